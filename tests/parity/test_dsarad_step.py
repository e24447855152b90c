"""DSARAD's training, `docs/spec/dsarad.md` §5.

It equals the published one, step by step, whatever is left out of it.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blemish.core.params import TrainingParams
from blemish.methods.dsarad import plain
from blemish.methods.dsarad.detector import Dsarad
from blemish.methods.dsarad.draws import Draws
from blemish.methods.dsarad.networks import Reconstruction
from blemish.methods.dsarad.params import Params
from blemish.methods.loop import Loop
from blemish.methods.trainer import trainer_of
from tests.models import new
from tests.units import tiny_unit

SMALL: dict[str, Any] = {
    "image_size": 64, "width": 2, "segmenter_width": 2, "epochs": 10, "teacher_epochs": 5,
    "images_per_epoch": 3, "learning_rate": 1e-3, "score_boxes": [5],
}  # fmt: skip
STEPS = 1  # of an epoch: one batch exceeds `images_per_epoch`


def loop(**changes: Any) -> Loop:
    return Loop(TrainingParams(device="cpu", threads=1, **changes), 0, "tiny")


def small(**changes: Any) -> Dsarad:
    return new("dsarad", Params(**SMALL | changes))


def double(**changes: Any) -> Dsarad:
    return small(**changes).double()


def test_training_equals_the_published_one() -> None:
    ours, unit, run = double(), tiny_unit().open(), loop()
    teacher = Reconstruction(SMALL["width"], run.generator(2)).double()
    other = double()
    other.load_state_dict(ours.state_dict())
    published = plain.Training(other, teacher, unit, loop())
    start = {key: value.clone() for key, value in ours.state_dict().items()}
    trainer_of(ours).fit(unit, run)
    curves = published.fit()
    assert any(one.grad is not None for one in teacher.parameters())  # never applied
    assert [row.pop("epoch") for row in run.curves] == list(range(1, 11))
    for mine, expected in zip(run.curves, curves, strict=True):
        assert mine == pytest.approx(expected, rel=1e-8)
    trained = ours.state_dict()
    for key, expected in other.state_dict().items():
        if key.endswith(("conv.bias", "running_mean")):
            # BatchNorm cancels the bias before it, so that its gradient is nothing but rounding,
            # which Adam magnifies; the running mean contains that bias.
            assert (trained[key] - expected).abs().max() < 0.1
            continue
        torch.testing.assert_close(trained[key], expected, rtol=0, atol=1e-7)
        # Published pixels stay as they are; phi's bias shifts all scores of a query alike.
        if not key.startswith("pixels.") and not key.endswith("phi.bias"):
            assert (trained[key].double() - start[key].double()).abs().max() > 1e-6, key


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Reconstruction]]:
    """The calls of all reconstruction networks that follow."""
    calls: list[tuple[str, Reconstruction]] = []
    for name in ("features", "bottom"):
        original = getattr(Reconstruction, name)

        def called(self: Reconstruction, x: Any, name: str = name, original: Any = original) -> Any:
            calls.append((f"{name}, gradients {torch.is_grad_enabled()}", self))
            return original(self, x)

        monkeypatch.setattr(Reconstruction, name, called)
    return calls


def test_the_teacher_stops_at_block_four_and_has_no_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = small(epochs=3, teacher_epochs=2, teacher_passes=3)
    calls = watch(monkeypatch)
    trainer_of(ours).fit(tiny_unit().open(), loop())
    others = [name for name, network in calls if network is not ours.student]
    assert others.count("features, gradients True") == 2 * 3 * STEPS
    assert others.count("bottom, gradients True") == 2 * 3 * STEPS
    assert others.count("features, gradients False") == 3 * STEPS
    assert others.count("bottom, gradients False") == 0
    teacher = next(network for _, network in calls if network is not ours.student)
    assert teacher.training
    assert all(one.training for one in teacher.modules())
    # Batch statistics also where the teacher is but a target; of block 5 nobody reads them.
    learnt = (2 * 3 * STEPS, 3 * STEPS)
    assert teacher.encoder[3][0][0].norm.num_batches_tracked == sum(learnt)
    assert teacher.encoder[4][0][0].norm.num_batches_tracked == learnt[0]


def test_precise_statistics_are_the_mean_over_one_more_epoch() -> None:
    """Of each batch's own; nothing else differs from a training without them."""
    running, precise = (
        small(epochs=2, batch_size=2, images_per_epoch=None, precise_statistics=one)
        for one in (False, True)
    )
    for model in (running, precise):
        trainer_of(model).fit(tiny_unit().open(), loop())
    seen: list[Tensor] = []
    first = next(one for one in running.segmenter.modules() if isinstance(one, nn.BatchNorm2d))
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    unit = tiny_unit().open().with_kinds(running.params.kinds)
    images = unit.normals(running.framing)
    inside = unit.foregrounds(running.framing, images)
    draws = Draws(unit, images, inside, running.params, running.pixels, loop())
    running.train()
    kept = first.running_mean.clone()
    for _, corrupted, _ in draws.synthetic(2, torch.float32):
        reconstruction, _ = running.student(corrupted)
        running.segmenter(torch.cat([reconstruction, corrupted], dim=1))
    assert len(seen) > 1
    expected = torch.stack([one.mean(dim=(0, 2, 3)) for one in seen]).mean(dim=0)
    measured = next(one for one in precise.segmenter.modules() if isinstance(one, nn.BatchNorm2d))
    assert torch.allclose(measured.running_mean, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(kept, expected, rtol=1e-3)
    assert measured.momentum == first.momentum
    for (name, one), other in zip(running.named_parameters(), precise.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_scores_are_those_of_the_plain_form() -> None:
    ours, other = double().eval(), double().eval()
    plain.make_plain(other)
    images = torch.randint(256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        maps, scores = ours.score(images.byte())
        expected_maps, expected = plain.score(other, images.double() / 255, box=5)
    torch.testing.assert_close(maps.double(), expected_maps, rtol=0, atol=1e-7)
    torch.testing.assert_close(scores, expected, rtol=1e-9, atol=0)


def test_the_teacher_is_not_kept() -> None:
    kept = {key.split(".")[0] for key in small().state_dict()}
    assert kept == {"student", "segmenter"}


def test_bfloat16_computes_otherwise_and_keeps_whole_weights() -> None:
    whole, half = (small(epochs=3, teacher_epochs=2) for _ in range(2))
    runs = [loop(), loop(precision="bfloat16")]
    for model, run in zip((whole, half), runs, strict=True):
        trainer_of(model).fit(tiny_unit().open(), run)
    assert {value.dtype for value in half.parameters()} == {torch.float32}
    first, last = ([run.curves[n] for run in runs] for n in (0, -1))
    for mine, expected in ((first[1], first[0]), (last[1], last[0])):
        assert mine != expected
        for key in ("loss_mse", "loss_ssim", "loss_focal", "loss_distillation"):
            assert mine[key] == pytest.approx(expected[key], rel=0.15), key


def test_losses_are_computed_in_single_precision_under_autocast() -> None:
    model = small().train()
    teacher = Reconstruction(SMALL["width"], torch.Generator().manual_seed(1)).train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    masks = images[:, 0] > 0.9
    with loop(precision="bfloat16").autocast():
        losses = trainer_of(model).losses(teacher, images, 1 - images, masks)
    assert {value.dtype for value in losses.values()} == {torch.float32}
