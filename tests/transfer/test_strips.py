"""Which rows of a picture go through the network together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylize.network.names import LAYERS
from stylize.transfer import strips
from stylize.transfer.strips import Segment

BLOCK_3, BLOCK_4 = LAYERS[:8], LAYERS[8:]


def test_a_small_picture_goes_through_as_a_whole() -> None:
    (segment,) = strips.segments(["relu1_1", "relu5_1"], (2000, 1499))
    assert segment.layers == LAYERS[:13]
    (strip,) = segment.strips(1499)
    assert (strip.first, strip.end, strip.last) == (0, 1499, True)
    for stride in (1, 16):
        assert strip.own(stride) == strip.all(stride) == slice(0, None)


def test_a_large_picture_is_cut_after_the_third_block() -> None:
    shallow, deep = strips.segments(["relu1_1", "relu5_1"], (4000, 3000))
    assert (shallow.layers, shallow.pooled) == (BLOCK_3, True)
    assert (deep.layers, deep.pooled) == (LAYERS[8:13], False)
    assert [strip.top for strip in shallow.strips(3000)] == list(range(0, 3000, 248))
    assert len(list(deep.strips(375))) == 4
    (only,) = strips.segments(["relu1_1", "relu3_1"], (4000, 3000))
    assert (only.layers, only.pooled) == (LAYERS[:5], False)


def test_a_very_wide_picture_has_strips_of_some_height() -> None:
    shallow, _ = strips.segments(["relu5_1"], (30_000, 1000))
    assert shallow.rows == strips.LEAST_ROWS


@given(
    st.sampled_from(
        [(BLOCK_3, True), (BLOCK_4, False), (LAYERS[8:13], False), (LAYERS[:3], False)]
    ),
    st.integers(1, 70),
    st.integers(16, 400),
)
def test_every_position_is_in_one_strip_and_sees_all_that_it_sees_in_the_whole(
    kind: tuple[tuple[str, ...], bool], rows: int, height: int
) -> None:
    segment = Segment(*kind, rows=rows)
    for layer in segment.layers:
        stride = segment.stride(layer)
        owned: list[int] = []
        for strip in segment.strips(height):
            positions = list(range(height // stride))[strip.all(stride)]
            owned += positions
            features = range((strip.end - strip.first) // stride)[strip.own(stride)]
            assert len(features) == len(positions)
            assert strip.first % segment.unit == 0
            if positions:
                assert strip.first + features[0] * stride == positions[0] * stride
            for edge, border in ((strip.top - strip.first, 0), (strip.end - strip.bottom, height)):
                at_border = (strip.first if border == 0 else strip.end) == border
                assert at_border or edge >= receptive_field(segment.layers)
        assert owned == list(range(height // stride))


def receptive_field(layers: tuple[str, ...]) -> int:
    """Rows seen beyond a position, added up layer by layer."""
    seen, stride = 0, 1
    for before, layer in zip((None, *layers), layers, strict=False):
        if before and before[4] != layer[4]:
            stride *= 2
        seen += stride
    return seen


@pytest.mark.parametrize(("layers", "around"), [(BLOCK_3, 24), (BLOCK_4, 12), (LAYERS[8:13], 6)])
def test_what_strips_see_around_them(layers: tuple[str, ...], around: int) -> None:
    assert Segment(layers, pooled=layers == BLOCK_3, rows=8).around == around
    assert Segment(BLOCK_3, pooled=True).around == strips.AROUND
