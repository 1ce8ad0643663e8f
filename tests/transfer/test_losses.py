"""The losses against their formulas, which are written out as loops in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stylize.transfer.losses import (
    PARTS,
    content_loss,
    gram,
    mean_gram,
    style_loss,
    total_variation,
)


def features(channels: int, height: int, width: int) -> Tensor:
    return torch.rand(1, channels, height, width, dtype=torch.float64)


def naive_gram(maps: Tensor) -> list[list[float]]:
    """G_ij = sum_k F_ik F_jk (eq. 3)."""
    flat = maps[0].flatten(1).tolist()
    return [[math.fsum(a * b for a, b in zip(x, y, strict=True)) for y in flat] for x in flat]


def naive_style_loss(maps: Tensor, style: Tensor) -> float:
    """1/(4 N^2) sum_ij (G_ij / M_x - A_ij / M_a)^2."""
    n, m_x, m_a = maps.shape[1], maps[0, 0].numel(), style[0, 0].numel()
    g, a = naive_gram(maps), naive_gram(style)
    return math.fsum((g[i][j] / m_x - a[i][j] / m_a) ** 2 for i in range(n) for j in range(n)) / (
        4 * n**2
    )


def naive_content_loss(maps: Tensor, content: Tensor) -> float:
    """1/2 sum_ij (F_ij - P_ij)^2 (eq. 1)."""
    pairs = zip(maps.flatten().tolist(), content.flatten().tolist(), strict=True)
    return math.fsum((f - p) ** 2 for f, p in pairs) / 2


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
def test_gram_matrices_and_losses_agree_with_naive_loops(
    n: int, h: int, w: int, other_height: int
) -> None:
    f, p, a = features(n, h, w), features(n, h, w), features(n, other_height, w)
    expected = torch.tensor(naive_gram(f), dtype=torch.float64)
    torch.testing.assert_close(gram(f), expected, rtol=1e-13, atol=0)
    assert content_loss(f, p).item() == pytest.approx(naive_content_loss(f, p), rel=1e-12)
    style = style_loss(mean_gram(f), mean_gram(a))
    assert style.item() == pytest.approx(naive_style_loss(f, a), rel=1e-12)


def test_the_style_loss_is_that_of_the_paper_where_the_sizes_agree() -> None:
    f, a = features(5, 4, 6), features(5, 4, 6)
    n, m = 5, 24
    paper = (gram(f) - gram(a)).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close(style_loss(mean_gram(f), mean_gram(a)), paper, rtol=1e-13, atol=0)


def test_the_gram_matrix_does_not_depend_on_the_arrangement_of_positions() -> None:
    f = features(4, 5, 6)
    shuffled = f.flatten(2)[:, :, torch.randperm(30)].view(1, 4, 6, 5)
    torch.testing.assert_close(gram(shuffled), gram(f))
    assert torch.equal(gram(f), gram(f).T)
    assert torch.linalg.eigvalsh(gram(f)).min() > -1e-12


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 5), (4, 4), (1, 17), (5, 9), (37, 53)])
def test_the_gram_matrix_of_16_bit_features_is_summed_in_32_bits(size: tuple[int, int]) -> None:
    """Also for fewer positions than parts, and for numbers that are no multiple of the parts."""
    assert PARTS > 5
    assert 37 * 53 % PARTS
    f = torch.randn(1, 64, *size).relu().bfloat16()
    result, exact = gram(f), gram(f.double())
    assert result.dtype == torch.float32
    assert (result - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_guided_gram_matrix_is_that_of_the_guided_part(dtype: torch.dtype) -> None:
    features = torch.rand(1, 24, 40, 30).to(dtype)
    left = torch.zeros(1, 1, 40, 30)
    left[..., :13] = 1
    part = mean_gram(features[..., :13])
    torch.testing.assert_close(mean_gram(features, left), part, rtol=2e-3, atol=0)
    assert (mean_gram(features, 0.3 * left) - part).abs().max() < 2e-3 * part.abs().max()
    everywhere = mean_gram(features, torch.ones(1, 1, 40, 30))
    torch.testing.assert_close(everywhere, mean_gram(features), rtol=1e-5, atol=1e-6)


def test_gram_matrices_and_content_losses_add_up_over_tiles() -> None:
    f, p = features(3, 4, 8), features(3, 4, 8)
    left, right = f[..., :3], f[..., 3:]
    torch.testing.assert_close(gram(left) + gram(right), gram(f))
    parts = content_loss(left, p[..., :3]) + content_loss(right, p[..., 3:])
    torch.testing.assert_close(parts, content_loss(f, p))


def test_total_variation_is_the_sum_of_squared_differences() -> None:
    image = torch.tensor([[0.0, 1.0], [0.0, 0.5]], dtype=torch.float64).expand(1, 3, 2, 2)
    down, right = 0.5**2, 1 + 0.5**2
    assert total_variation(image).item() == pytest.approx(3 * 255**2 * (down + right))
    assert total_variation(torch.full((1, 3, 5, 4), 0.3)).item() == 0
