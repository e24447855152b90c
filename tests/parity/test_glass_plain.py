"""What the plain form takes from PyTorch, written out: `docs/spec/glass.md` §5 and §10."""

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


def test_the_optimisers_are_adam_with_coupled_and_with_decoupled_decay() -> None:
    ours = double()
    plain = Plain(ours.params).with_weights(ours.adaptor, ours.discriminator)
    rate = ours.params.learning_rate
    for modules, optimizers in (
        ((ours.adaptor, ours.discriminator), trainer_of(ours).optimizers()),
        ((plain.adaptor, plain.discriminator), plain.optimizers()),
    ):
        for module, optimizer, factor in zip(modules, optimizers, (1, 2), strict=True):
            for parameter in module.parameters():
                expected = parameter.detach().clone()
                m, v = torch.zeros_like(expected), torch.zeros_like(expected)
                for step in (1, 2, 3):
                    gradient = torch.randn(expected.shape, generator=seeded(step)).double()
                    parameter.grad = gradient.clone()
                    optimizer.step()
                    parameter.grad = None
                    if factor == 1:  # of the adaptor the decay is a part of the gradient
                        gradient = gradient + 1e-5 * expected
                    else:
                        expected = expected * (1 - factor * rate * 0.01)
                    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
                    unbiased = m / (1 - 0.9**step), v / (1 - 0.999**step)
                    expected -= factor * rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
                torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-14)
