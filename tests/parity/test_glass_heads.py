"""Sizes and initialisation of adaptor and discriminator: `docs/spec/glass.md` §5."""

import math

import pytest
import torch
from torch import nn

from blemish.methods.glass.heads import Adaptor, Discriminator, composed


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_parameter_counts() -> None:
    adaptor = Adaptor(1536, generator=generator())
    discriminator = Discriminator(1536, generator=generator())
    assert count(adaptor) == 2_360_832
    assert count(discriminator) == 1_576_960
    assert sum(buffer.numel() for buffer in discriminator.buffers()) == 2_049
    assert discriminator.tail.bias is None


def test_published_initialisation() -> None:
    adaptor = Adaptor(1536, generator=generator()).linear
    discriminator = Discriminator(1536, generator=generator())
    first, norm = discriminator.first, discriminator.norm
    assert adaptor.weight.std().item() == pytest.approx(0.02552, rel=0.01)
    assert first.weight.std().item() == pytest.approx(0.02795, rel=0.01)
    assert discriminator.tail.weight.std().item() == pytest.approx(0.04417, rel=0.08)
    for linear in (adaptor, first):
        # A uniform distribution of the same spread would end at 1.73 standard deviations.
        assert linear.weight.abs().max() > 4 * linear.weight.std()
        bound = 1 / math.sqrt(1536)
        assert 0.98 * bound < linear.bias.abs().max() <= bound
        assert linear.bias.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert norm.weight.unique().tolist() == [1]
    assert norm.bias.unique().tolist() == [0]


def test_initialisation_depends_on_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = (Discriminator(48, 32, generator=generator(7)) for _ in range(2))
    other = Discriminator(48, 32, generator=generator(8))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.tail.weight, other.tail.weight)


def test_logits_are_those_of_the_layers_one_by_one() -> None:
    adaptor = Adaptor(12, generator=generator()).double()
    discriminator = Discriminator(12, 8, generator=generator()).double()
    rows = torch.randn(50, 12, dtype=torch.float64, generator=generator())
    z = adaptor(rows) @ discriminator.first.weight.T + discriminator.first.bias
    normed = (z - z.mean(dim=0)) / (z.var(dim=0, unbiased=False) + 1e-5).sqrt()
    expected = torch.where(normed > 0, normed, 0.2 * normed) @ discriminator.tail.weight[0]
    logits = discriminator(adaptor(rows))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    scores = discriminator.scores(adaptor(rows))
    torch.testing.assert_close(scores, 1 / (1 + torch.exp(-logits)), rtol=0, atol=1e-12)


def test_adaptor_and_first_layer_are_one_affine_map_with_the_gradients_of_two() -> None:
    adaptor = Adaptor(12, generator=generator()).double()
    discriminator = Discriminator(12, 8, generator=generator(1)).double()
    rows = torch.randn(50, 12, dtype=torch.float64, generator=generator(2))
    weights = torch.randn(50, 8, dtype=torch.float64, generator=generator(3))
    parameters = [*adaptor.parameters(), *discriminator.first.parameters()]
    plain = discriminator.first(adaptor(rows))
    expected = torch.autograd.grad((weights * plain).sum(), parameters)
    hidden = torch.nn.functional.linear(rows, *composed(adaptor, discriminator))
    gradients = torch.autograd.grad((weights * hidden).sum(), parameters)
    torch.testing.assert_close(hidden, plain, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradients, expected, rtol=0, atol=1e-12)


def test_adaptor_is_affine_so_the_centre_is_the_adapted_mean() -> None:
    adaptor = Adaptor(16, generator=generator()).double()
    rows = torch.randn(50, 16, dtype=torch.float64, generator=generator())
    expected = adaptor(rows).mean(dim=0)
    torch.testing.assert_close(adaptor(rows.mean(dim=0)), expected, rtol=0, atol=1e-14)


def test_scores_of_a_row_do_not_depend_on_others_in_eval_mode_but_do_in_train_mode() -> None:
    discriminator = Discriminator(16, 8, generator=generator()).double()
    rows = torch.randn(50, 16, dtype=torch.float64, generator=generator())
    assert (discriminator.scores(rows)[:25] - discriminator.scores(rows[:25])).abs().max() > 1e-3
    discriminator.eval()
    alone = discriminator.scores(rows[:25])
    torch.testing.assert_close(discriminator.scores(rows)[:25], alone, rtol=0, atol=1e-14)
