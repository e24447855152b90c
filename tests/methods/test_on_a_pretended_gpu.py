"""Every method's training step and scoring on a pretended GPU: nothing mixes devices.

The forward pass with its losses, the optimisers' step and the scoring of an image. No number is
computed; that the GPU's are those of the CPU is for `benchmarks/gpu.py` to say, on a GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
import torch
from torch import Tensor

from blemish.core.params import TrainingParams
from blemish.methods.detector import AnyDetector
from blemish.methods.dlas_lcd.coherent import spread_of
from blemish.methods.esad.detector import symmetric
from blemish.methods.glass.feature_cache import embed_all
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.patchcore.coreset import Coreset
from blemish.methods.registry import METHODS
from blemish.methods.trainer import Trainer, trainer_of
from tests.methods.pretended_gpu import GPU, Stream, move, on_gpu, pretended_gpu
from tests.methods.tiny import tiny
from tests.models import new

SIDE, IMAGES = 64, 4
Losses = dict[str, Tensor]
Step = Callable[[Trainer, Loop], Losses]


def loop() -> Loop:
    running = Loop(TrainingParams(device="cpu"), 0, "pretended")
    running.device = GPU
    return running


def normals() -> Normals:
    return Normals.whole(torch.zeros(IMAGES, 3, SIDE, SIDE, dtype=torch.uint8))


def glass_step(trainer: Trainer, _: Loop) -> Losses:
    detector = trainer.detector
    cached = embed_all(detector.features, normals(), "features")
    levels = cached.rows(torch.arange(IMAGES), GPU)
    if detector.name == "dlas_lcd":
        trainer.spread = spread_of([detector.features.scaled(levels)], 8)
    detector.hypersphere = detector.name == "dlas"
    rows = torch.arange(IMAGES)
    center = trainer.center(cached.mean(), cached, rows) if detector.hypersphere else None
    twins = detector.features(on_gpu((IMAGES, 3, SIDE, SIDE)))
    masks = on_gpu((IMAGES, SIDE, SIDE), torch.bool)
    return trainer.losses(levels, twins, masks, center, Stream())


def esad_step(trainer: Trainer, running: Loop) -> Losses:
    x = symmetric(on_gpu((IMAGES, 3, SIDE, SIDE), torch.uint8))
    removed = trainer.draw_masks(running.generator(2), GPU)
    return trainer.losses(x, trainer.detector.backbone.embed(x), removed)


def dsarad_step(trainer: Trainer, _: Loop) -> Losses:
    teacher = trainer.detector.student  # any network of its kind
    images, masks = on_gpu((IMAGES, 3, SIDE, SIDE)), on_gpu((IMAGES, SIDE, SIDE), torch.bool)
    return trainer.losses(teacher, images, trainer.detector.pixels(images), masks)


def dmad_step(trainer: Trainer, _: Loop) -> Losses:
    return trainer.losses(trainer.detector.scaled(on_gpu((IMAGES, 3, SIDE, SIDE), torch.uint8)))


def patchcore_step(trainer: Trainer, running: Loop) -> Losses:
    points = trainer.project(normals(), running.generator(2), running)
    coreset = Coreset(points, 8, 0)
    trainer.remember(coreset.picked, normals(), running)
    return {}


STEPS: dict[str, Step] = {
    "glass": glass_step,
    "dlas": glass_step,
    "dlas_lcd": glass_step,
    "esad": esad_step,
    "dsarad": dsarad_step,
    "dmad": dmad_step,
    "patchcore": patchcore_step,
}


@contextmanager
def detector_on_gpu(
    method: str, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> Iterator[AnyDetector]:
    """A detector of real weights, moved to the pretended GPU for the block."""
    section = tiny(method).params | {"image_size": SIDE} | changes
    detector = new(method, import_module(f"blemish.methods.{method}.params").Params(**section))
    detector.to = lambda device: move(detector, device)
    if method == "patchcore":
        detector.resize_bank(8)
    with pretended_gpu(monkeypatch):
        move(detector)
        yield detector


def train_step(detector: AnyDetector) -> None:
    """A step's losses, and a step of the optimiser with gradients of the weights' own shape."""
    detector.train()
    losses = STEPS[detector.name](trainer_of(detector), loop())
    assert all(loss.device == GPU for loss in losses.values())
    weights = [weight for weight in detector.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    if weights:
        torch.optim.AdamW(weights, fused=True).step()


def score(detector: AnyDetector) -> None:
    """As `methods.scoring` does: the map and the peaks on the GPU, the score on the CPU."""
    detector.eval()
    measured = detector.measure(on_gpu((1, 3, SIDE, SIDE), torch.uint8))
    assert measured.maps.device == GPU
    for judged in (None, on_gpu((1, SIDE, SIDE), torch.bool)):
        peaks = detector.peaks(measured.cells, judged)
        assert detector.combine(peaks.cpu()[None]).device.type == "cpu"


@pytest.mark.parametrize("method", METHODS)
def test_a_training_step_stays_on_the_gpu(method: str, monkeypatch) -> None:
    with detector_on_gpu(method, monkeypatch) as detector:
        train_step(detector)


@pytest.mark.parametrize("method", METHODS)
def test_scoring_stays_on_the_gpu(method: str, monkeypatch) -> None:
    with detector_on_gpu(method, monkeypatch) as detector:
        score(detector)


def leave_behind(detector: AnyDetector) -> None:
    """Put the last weights and numbers that the method computes with on the CPU."""
    parts = [part for part in detector.modules() if list(part.parameters(recurse=False))]
    move(parts[-1], torch.device("cpu"))


@pytest.mark.parametrize("method", ["glass", "dmad"])
def test_a_memory_of_normals_stays_on_the_gpu(method: str, monkeypatch) -> None:
    with detector_on_gpu(method, monkeypatch, memory=8) as detector:
        memory = detector.memory if method == "glass" else detector.patches.memory
        memory.bank = on_gpu((8, memory.bank.shape[1]))
        score(detector)
        memory.bank = memory.bank.cpu()
        with pytest.raises(RuntimeError, match="same device"):
            score(detector)


@pytest.mark.parametrize("work", [train_step, score])
@pytest.mark.parametrize("method", METHODS)
def test_a_part_left_on_the_cpu_is_seen(
    method: str, work: Callable[[AnyDetector], None], monkeypatch
) -> None:
    with detector_on_gpu(method, monkeypatch) as detector:
        leave_behind(detector)
        with pytest.raises(RuntimeError, match="same device"):
            work(detector)


def test_a_generator_of_the_cpu_is_seen(monkeypatch) -> None:
    with detector_on_gpu("glass", monkeypatch) as detector:
        trainer = trainer_of(detector)
        with pytest.raises(RuntimeError, match="randn on cuda:7 with a generator of cpu"):
            trainer.noise_like(on_gpu((4, 16)), torch.Generator())


def test_numpy_of_a_tensor_on_the_gpu_is_seen(monkeypatch) -> None:
    with pretended_gpu(monkeypatch):
        assert on_gpu((2, 3)).cpu().numpy().shape == (2, 3)
        with pytest.raises(RuntimeError, match="numpy"):
            on_gpu((2, 3)).numpy()
