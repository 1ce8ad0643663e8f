"""The size of the result, and the scales from coarse to fine."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize import OptionError, PictureError
from stylize.settings.options import DECLINE, EFFORTS, LEAST_SHARE
from stylize.transfer.scales import (
    FIXED_COST,
    Scale,
    check_shorter_side,
    plan_scales,
    result_size,
    style_size,
)
from stylize.transfer.strips import LARGE, VERY_LARGE

sides = st.integers(16, 8000)


@pytest.mark.parametrize(
    ("content", "size", "result"),
    [
        ((640, 427), "auto", (512, 342)),
        ((451, 300), "auto", (451, 300)),  # a smaller content image is not enlarged ...
        ((451, 300), 512, (512, 341)),  # ... unless the option asks for it
        ((640, 427), "original", (640, 427)),
        ((300, 600), 100, (50, 100)),
        ((10000, 10), 512, (512, 1)),
        ((640, 427), "200%", (1280, 854)),
        ((300, 600), "12.5%", (38, 75)),
    ],
)
def test_the_size_of_the_result(
    content: tuple[int, int], size: int | str, result: tuple[int, int]
) -> None:
    assert result_size(content, size) == result


@pytest.mark.parametrize(("size", "side"), [("1%", 6), ("20000%", 128000)])
def test_a_multiple_of_too_many_or_too_few_pixels_is_refused(size: str, side: int) -> None:
    with pytest.raises(OptionError, match=f"--size {size}: is {side} pixels; .* another size$"):
        result_size((640, 427), size)


@settings(deadline=None)
@given(
    sides,
    sides,
    st.one_of(st.just("auto"), st.integers(1, 2000)),
    st.sampled_from(list(EFFORTS)),
    st.one_of(st.just("auto"), st.integers(1, 16)),
)
def test_any_plan_adds_up_doubles_the_size_and_ends_at_the_result(
    width: int, height: int, iterations: int | str, effort: str, scales: int | str
) -> None:
    planned = plan_scales((width, height), iterations, effort, scales, smallest=16)
    counts = [scale.iterations for scale in planned]
    if iterations == "auto":
        assert counts[0] == EFFORTS[effort]
    else:
        assert sum(counts) == iterations
    assert counts == sorted(counts, reverse=DECLINE <= 1)
    assert all(scale.iterations > 0 for scale in planned)
    assert (planned[-1].width, planned[-1].height) == (width, height)
    assert all(min(scale.width, scale.height) >= 16 for scale in planned)
    for coarse, fine in itertools.pairwise(planned):
        assert abs(2 * coarse.width - fine.width) <= 2
        assert abs(2 * coarse.height - fine.height) <= 2
    if scales != "auto":
        assert len(planned) <= int(scales)


def test_automatic_scales_start_near_128_pixels() -> None:
    assert [s.width for s in plan_scales((512, 342), 200, "normal", "auto", 16)] == [128, 256, 512]
    assert [s.width for s in plan_scales((300, 200), 200, "normal", "auto", 16)] == [150, 300]
    assert [s.width for s in plan_scales((128, 128), 200, "normal", "auto", 16)] == [128]


def test_iterations_decline_from_scale_to_scale() -> None:
    for effort, most in EFFORTS.items():
        counts = [s.iterations for s in plan_scales((1024, 700), "auto", effort, "auto", 16)]
        shares = [max(LEAST_SHARE, DECLINE**place) for place in range(4)]
        assert counts == [round(most * share) for share in shares]
        assert counts[-1] < counts[-2]
        divided = [s.iterations for s in plan_scales((1024, 700), sum(counts), effort, "auto", 16)]
        assert all(abs(a - b) <= 4 for a, b in zip(counts, divided, strict=True))
    draft, normal, best = (EFFORTS[effort] for effort in ("draft", "normal", "best"))
    assert draft < normal < best


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_scale_has_iterations(effort: str) -> None:
    planned = plan_scales((65536, 65536), "auto", effort, 16, 1)
    assert len(planned) == 16
    assert all(scale.iterations > 0 for scale in planned)


def test_one_scale_or_one_iteration_gives_one_scale() -> None:
    (only,) = plan_scales((512, 342), 200, "normal", 1, 16)
    assert (only.iterations, only.work) == (200, 200 * (512 * 342 + FIXED_COST))
    assert len(plan_scales((512, 342), 1, "normal", "auto", 16)) == 1


@pytest.mark.parametrize(
    ("pixels", "slowdown"),
    [(LARGE - 1, 1), (LARGE, 1.4), (VERY_LARGE - 1, 1.4), (VERY_LARGE, 1.5), (10**8, 1.5)],
)
def test_a_pixel_costs_more_in_strips(pixels: int, slowdown: float) -> None:
    assert Scale(pixels, 1, 1).cost == round(pixels * slowdown) + FIXED_COST


@settings(deadline=None)
@given(sides, sides, sides, sides, st.floats(0.1, 10))
def test_a_style_image_is_shown_with_the_area_of_the_result(
    a: int, b: int, c: int, d: int, k: float
) -> None:
    width, height = style_size((a, b), (c, d), k, smallest=16)
    assert min(width, height) >= 16
    if min(width, height) > 16:
        assert width * height == pytest.approx(c * d * k * k, rel=0.1)
        assert width / height == pytest.approx(a / b, rel=0.1)


def test_no_size_is_planned_twice() -> None:
    assert [s.width for s in plan_scales((16, 16), 16, "normal", 16, 1)] == [1, 2, 4, 8, 16]


def test_the_error_for_a_small_picture_names_its_size() -> None:
    check_shorter_side((16, 900), 16, "a.jpg")
    with pytest.raises(PictureError, match=r"a\.jpg: has only 15 x 900 .* 16 .* a larger picture$"):
        check_shorter_side((15, 900), 16, "a.jpg")
    with pytest.raises(PictureError, match=r"a\.jpg: the result .* 15 x 900 .* a larger --size$"):
        check_shorter_side((15, 900), 16, "a.jpg", resized=True)
