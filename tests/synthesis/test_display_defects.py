"""Display defects (`docs/spec/dlas-net.md` §8.2): shapes, their sizes, and their visibility."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from blemish.synthesis import contrast
from blemish.synthesis.contrast import local_noise, strength
from blemish.synthesis.kinds import TRAINED, UNTRAINED, kind
from blemish.synthesis.masks import dlas_masks, draw_masks, perlin_masks, shape_masks
from blemish.synthesis.render import render
from tests.drawing import new_bank

SEEDS = torch.arange(120) * 44_497
KINDS = {name: kind(name) for name in (*TRAINED, *UNTRAINED)}
SOFT = {name: found.shape for name, found in KINDS.items() if found.shape}
AMPLITUDES = {name: found.amplitude for name, found in KINDS.items() if found.amplitude}


def noisy(count: int, deviation: float, level: int = 120, side: int = 128) -> Tensor:
    """Grey images of even brightness with normal noise, uint8 (count, 3, side, side)."""
    random = np.random.default_rng(0)
    grey = random.normal(level, deviation, (count, 1, side, side)).round().clip(0, 255)
    return torch.from_numpy(np.repeat(grey, 3, axis=1).astype(np.uint8))


def rows(kind: str, visibility: float, count: int = len(SEEDS)) -> pd.DataFrame:
    texture = new_bank().names[0]
    return pd.DataFrame(
        {
            "kind": kind, "texture": texture, "beta": np.nan, "visibility": visibility,
            "seed": SEEDS[:count].tolist(),
        }
    )  # fmt: skip


@pytest.mark.parametrize("kind", SOFT)
def test_profiles_peak_at_one_and_labels_are_where_they_are_strong(kind: str) -> None:
    profile, label = SOFT[kind](SEEDS, 96, 128, 0.096)
    assert profile.dtype == torch.float32
    assert label.dtype == torch.bool
    strength = profile.abs()
    peak = strength.flatten(1).amax(dim=1)
    assert ((peak - 1).abs() < 1e-6).logical_or(peak == 0).all()
    if kind in {"line", "scratch", "strokes"}:
        assert torch.equal(label, profile != 0)
    else:
        inside = (strength * label).flatten(1).sum(dim=1) / label.flatten(1).sum(dim=1)
        assert inside[label.flatten(1).any(dim=1)].median() > 0.3
    if kind != "cylinder":
        assert (profile >= 0).all()


# kind, the median share of a picture's area between these bounds, at any resolution
AREAS = {
    "spot": (5e-5, 1.5e-3), "line": (5e-4, 8e-3), "mura": (3e-3, 0.12), "scratch": (1e-4, 4e-3),
    "cylinder": (5e-5, 2e-3), "strokes": (5e-4, 8e-3), "dots": (5e-5, 3e-3),
    "stains": (5e-3, 0.12),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOFT)
def test_sizes_scale_with_the_resolution(kind: str) -> None:
    medians = []
    for side in (256, 512):
        labels = torch.cat(
            [SOFT[kind](part, side, side, side / 1000)[1] for part in SEEDS.split(20)]
        )
        areas = labels.flatten(1).double().mean(dim=1)
        medians.append(areas[areas > 0].median().item())
    low, high = AREAS[kind]
    assert low < medians[0] < high
    # No defect is thinner than a pixel, so the thin ones shrink less than the picture does.
    assert 0.35 < medians[1] / medians[0] < 1.2


def test_lines_and_bands_follow_the_specified_shares() -> None:
    labels = SOFT["line"](torch.arange(400), 64, 64, 0.064)[1]
    axis_aligned = [
        (label.any(dim=0).sum() <= 3) or (label.any(dim=1).sum() <= 3) for label in labels
    ]
    assert 0.9 < np.mean(axis_aligned) <= 1


@pytest.mark.parametrize("deviation", [2.0, 6.0, 15.0])
def test_local_noise_is_the_deviation_of_normal_noise(deviation: float) -> None:
    images = noisy(4, deviation)
    images[:, :, :, 64:] += 60  # a step elsewhere is not noise here
    labels = torch.zeros(4, 128, 128, dtype=torch.bool)
    labels[:, 40:60, 20:40] = True
    found = local_noise(images, labels) * 255
    assert found.numpy() == pytest.approx(deviation, rel=0.06)


def test_local_noise_is_exact_in_any_batch_and_size() -> None:
    random = np.random.default_rng(0)
    for height, width in ((33, 57), (300, 64)):
        images = torch.from_numpy(random.integers(0, 256, (5, 3, height, width), dtype=np.uint8))
        labels = torch.from_numpy(random.random((5, height, width)) < 0.02)
        together = local_noise(images, labels)
        alone = [local_noise(images[i : i + 1], labels[i : i + 1]) for i in range(5)]
        assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("kind", sorted(AMPLITUDES.keys() - {"texture"}))
def test_contrast_is_the_visibility_in_units_of_local_noise(kind: str) -> None:
    images, drawn = noisy(40, 4.0), rows(kind, 0.5, 40)
    pictures, masks = render(drawn, images, new_bank(), 8)
    change = (pictures - images.float() / 255).abs()[:, 0].flatten(1).amax(dim=1).double()
    noise = local_noise(images, masks)
    units = strength(
        AMPLITUDES[kind], torch.tensor(drawn["seed"].tolist()), torch.full((40,), 0.5).double()
    )
    clear = units * noise > 1 / 255
    assert change[clear].numpy() == pytest.approx((units * noise)[clear].numpy(), rel=0.02)
    low, high = AMPLITUDES[kind]
    assert units.min() >= 0.5 * low
    assert units.max() <= 0.5 * high
    half = render(rows(kind, 0.25, 40), images, new_bank(), 8)[0]
    less = (half - images.float() / 255).abs().amax(dim=(1, 2, 3)).double()
    both = clear & (units * noise / 2 > 1 / 255)
    assert less[both].numpy() == pytest.approx(change[both].numpy() / 2, rel=0.02)


def test_a_visible_texture_differs_by_its_visibility_and_never_more_than_the_texture() -> None:
    images, drawn = noisy(40, 2.0), rows("texture", 0.3, 40)
    pictures, masks = render(drawn, images, new_bank(), 8)
    squares = ((pictures - images.float() / 255) ** 2).mean(dim=1)
    found = torch.stack(
        [one[mask].mean().sqrt() for one, mask in zip(squares, masks, strict=True)]
    ).double()
    units = strength(
        AMPLITUDES["texture"], torch.tensor(drawn["seed"].tolist()), torch.tensor(0.3).double()
    )
    wanted = (units * local_noise(images, masks)).clamp(min=1 / 255)
    assert found.numpy() == pytest.approx(wanted.numpy(), rel=0.01)


@pytest.mark.parametrize(("level", "brighter"), [(255, False), (0, True)])
def test_no_defect_is_lost_where_the_sensor_is_saturated(level: int, brighter: bool) -> None:
    images = torch.full((30, 3, 64, 64), level, dtype=torch.uint8)
    pictures, masks = render(rows("shades", 1.0, 30), images, new_bank(), 8)
    change = (pictures - images.float() / 255)[:, 0]
    # No noise at all: one grey level.
    assert change[masks].abs().numpy() == pytest.approx(1 / 255, rel=1e-3)
    assert ((change[masks] > 0) == brighter).all()


def test_signs_are_both_drawn_and_grey_stays_grey() -> None:
    images = noisy(60, 4.0)
    pictures, masks = render(rows("shades", 1.0, 60), images, new_bank(), 8)
    change = [
        (one - image.float() / 255)[0][mask].mean().item()
        for one, image, mask in zip(pictures, images, masks, strict=True)
    ]
    assert 15 < sum(value > 0 for value in change) < 45
    assert torch.equal(pictures[:, 0], pictures[:, 1])
    images[:, 2] = images[:, 2] // 2
    coloured = render(rows("shades", 1.0, 60), images, new_bank(), 8)[0]
    difference = coloured - images.float() / 255
    assert (difference[:, 0] - difference[:, 1]).abs().max() > 0


def test_the_window_of_local_noise_never_exceeds_exact_sums() -> None:
    assert contrast.LARGEST_WINDOW**2 * 3 * 255 < 2**24


MASKS = {"perlin": perlin_masks, "dlas": dlas_masks, "shapes": shape_masks}
KNOWN = {"perlin": "6b89fe001f2a4252", "dlas": "33bbe306e73c05b0", "shapes": "f04bc7cf5bbe1c56"}


@pytest.mark.parametrize("kind", MASKS)
def test_known_masks(kind: str) -> None:
    # A change of these digests changes every user's synthetic defects: it must be meant.
    masks = draw_masks(MASKS[kind], torch.arange(64) * 7919, (96, 80), 8)
    assert hashlib.sha256(np.packbits(masks.numpy()).tobytes()).hexdigest()[:16] == KNOWN[kind]
