"""A unit with zones whose numbers are known: white things where they do not matter."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.data_params import DataParams, Tolerance
from tests import units
from tests.units import NAME, Picture, Unit, scratch, stripes, write_unit

SIDE = 96
IGNORED, RIM = np.s_[:28, :], np.s_[28:, 70:]  # rows, columns
TOLERANCES = {"rim": Tolerance(false_alarm_rate=0.4, min_area=30)}


def clock_and_glint(random: np.random.Generator, height: int, width: int) -> Picture:
    """Stripes, with a white clock of any brightness to be ignored, and a glint of 16 pixels on the
    rim, less bright than a defect."""
    picture = stripes(random, height, width)
    picture[6:22, 6:22] = random.integers(225, 256)
    picture[60:64, 80:84] = random.integers(225, 250)
    return picture


def mask_of(*parts: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for part in parts:
        mask[part] = True
    return mask


def write_zones(folder: Path, **masks: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for name, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")
    return folder


@cache
def zoned_unit() -> Unit:
    """96×96: the upper 28 rows are ignored, of the others the right 26 columns are the rim."""
    root = scratch() / "zoned"
    zones = write_zones(root / "drawn", ignore=mask_of(IGNORED), rim=mask_of(RIM))
    return _write(root, zones, DataParams(zones={NAME: TOLERANCES}))


@cache
def ignoring_unit() -> Unit:
    """The same without the rim."""
    root = scratch() / "ignoring"
    return _write(root, write_zones(root / "drawn", ignore=mask_of(IGNORED)), DataParams())


def _write(root: Path, zones: Path, params: DataParams) -> Unit:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "SIZES", [(SIDE, SIDE)] * 2)
        return write_unit(root, clock_and_glint, params=params, zones=zones)
