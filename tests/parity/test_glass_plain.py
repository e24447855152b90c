"""What the plain form takes from PyTorch, written out: `docs/spec/glass.md` §5 and §10."""

import pytest
import torch
from torch import Tensor

from blemish.methods.glass.params import Params
from blemish.methods.glass.plain import Plain
from blemish.methods.trainer import trainer_of
from tests.glass import double

PARAMS = Params(target_dim=12, hidden=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_discriminator_is_its_formula_and_follows_the_statistics_of_batches() -> None:
    plain = Plain(PARAMS).double()
    first, norm, _, tail, *_ = plain.discriminator
    norm.weight.data = 1 + 0.3 * torch.randn(8, dtype=torch.float64, generator=seeded(1))
    norm.bias.data = 0.3 * torch.randn(8, dtype=torch.float64, generator=seeded(2))
    mean, variance = torch.zeros(8).double(), torch.ones(8).double()

    def score(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        z = (z - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias
        return torch.sigmoid(torch.where(z > 0, z, 0.2 * z) @ tail.weight[0])

    for seed in (3, 4):
        rows = torch.randn(50, 12, dtype=torch.float64, generator=seeded(seed))
        z = rows @ first.weight.T + first.bias
        expected = score(z, z.mean(dim=0), z.var(dim=0, unbiased=False))
        torch.testing.assert_close(plain.discriminator(rows), expected, rtol=0, atol=1e-13)
        mean = 0.9 * mean + 0.1 * z.mean(dim=0)
        variance = 0.9 * variance + 0.1 * z.var(dim=0, unbiased=True)
    torch.testing.assert_close(norm.running_mean, mean, rtol=0, atol=1e-13)
    torch.testing.assert_close(norm.running_var, variance, rtol=0, atol=1e-13)
    plain.eval()
    torch.testing.assert_close(
        plain.discriminator(rows), score(z, mean, variance), rtol=0, atol=1e-13
    )


def adam(start: Tensor, gradients: list[Tensor], rate: float, coupled: float, decoupled: float):
    """Adam with both kinds of weight decay, written out."""
    weight, m, v = start, torch.zeros_like(start), torch.zeros_like(start)
    for step, gradient in enumerate(gradients, 1):
        slope = gradient + coupled * weight
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        move = m / (1 - 0.9**step) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        weight = (1 - rate * decoupled) * weight - rate * move
    return weight


@pytest.mark.parametrize("fast", [True, False])
def test_the_optimisers_are_adam_with_coupled_and_with_decoupled_decay(fast: bool) -> None:
    ours = double()
    plain = Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    modules = ours if fast else plain
    optimizers = trainer_of(ours).optimizers() if fast else plain.optimizers()
    rate = ours.params.learning_rate
    for module, optimizer, settings in (
        (modules.adaptor, optimizers[0], (rate, 1e-5, 0.0)),
        (modules.discriminator, optimizers[1], (2 * rate, 0.0, 0.01)),
    ):
        for weight in module.parameters():
            draws = (torch.randn(weight.shape, generator=seeded(step)) for step in (1, 2, 3))
            gradients = [draw.double() for draw in draws]
            expected = adam(weight.detach().clone(), gradients, *settings)
            for gradient in gradients:
                weight.grad = gradient.clone()
                optimizer.step()
            weight.grad = None
            torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-14)
