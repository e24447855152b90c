"""PyTorch's operators that ONNX or ONNX Runtime lacks, of others that they have."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def solve(matrix: Tensor, right: Tensor, *, left: bool = True) -> Tensor:
    """`torch.linalg.solve` of 3×3 matrices (…, 3, 3) and right sides (…, 3, k): Cramer's rule."""
    if not left or matrix.shape[-2:] != (3, 3) or right.ndim != matrix.ndim:
        raise NotImplementedError(f"solve of {tuple(matrix.shape)} and {tuple(right.shape)}")

    def cofactor(row: int, column: int) -> Tensor:
        # With indices that go round no sign changes.
        a, b = (row + 1) % 3, (row + 2) % 3
        c, d = (column + 1) % 3, (column + 2) % 3
        return matrix[..., a, c] * matrix[..., b, d] - matrix[..., a, d] * matrix[..., b, c]

    rows = [torch.stack([cofactor(j, i) for j in range(3)], dim=-1) for i in range(3)]
    adjugate = torch.stack(rows, dim=-2)
    determinant = (matrix[..., 0, :] * adjugate[..., :, 0]).sum(dim=-1)
    return adjugate @ right / determinant[..., None, None]


def average_pool(
    x: Tensor,
    kernel: list[int],
    stride: tuple[int, ...] = (),
    padding: tuple[int, ...] = (0, 0),
    *_: Any,
) -> Any:
    """`avg_pool2d` in float64 with stride 1 and the size kept: a matrix per axis."""
    if x.dtype != torch.float64:
        return NotImplemented
    if [*stride] != [1, 1] or [2 * pad + 1 for pad in padding] != [*kernel]:
        raise NotImplementedError(f"a mean in float64 over {kernel} with stride {stride}")
    rows, columns = (_mean(side, k, x) for side, k in zip(x.shape[-2:], kernel, strict=True))
    return rows @ x @ columns.T


def _mean(length: int, kernel: int, like: Tensor) -> Tensor:
    """The mean of the `kernel` entries about each, zeros beyond the borders: (length, length)."""
    place = torch.arange(length, device=like.device)
    near = (place[:, None] - place).abs() <= kernel // 2
    return near.to(like.dtype) / kernel


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.linalg_solve.default: solve,
    torch.ops.aten.avg_pool2d.default: average_pool,
}
