"""What stands for operators that a runtime lacks computes the same."""

import pytest
import torch

from blemish.export.operators import average_pool, solve


def test_solve_of_three_by_three() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    right = torch.randn(5, 2, 3, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(solve(matrix, right), torch.linalg.solve(matrix, right))
    with pytest.raises(NotImplementedError, match="solve of"):
        solve(torch.eye(4), torch.ones(4, 1))


@pytest.mark.parametrize("kernel", [[3, 3], [5, 7]])
def test_mean_in_double_precision(kernel: list[int]) -> None:
    x = torch.rand(2, 1, 11, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padding = (kernel[0] // 2, kernel[1] // 2)
    expected = torch.nn.functional.avg_pool2d(x, kernel, 1, padding)
    torch.testing.assert_close(average_pool(x, kernel, (1, 1), padding), expected)
    assert average_pool(x.float(), kernel, (1, 1), padding) is NotImplemented
    with pytest.raises(NotImplementedError, match="stride"):
        average_pool(x, kernel, (2, 2), padding)
