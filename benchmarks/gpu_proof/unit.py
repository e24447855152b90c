"""The unit that the proof trains on: a folder of photographs made ready, or a painted one.

What is made ready travels to the machine with the GPU, so that nothing there needs the packages
that only unpacking and preparing need.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import finished_folder
from blemish.core.params import DataParams, Params, SynthesisParams, TextureParams, load_params
from blemish.images.manifest import Manifest, read_manifest
from blemish.methods.training_data import TrainingUnit
from blemish.textures.index import write_index

ROOT = Path(__file__).resolve().parents[2]
NAME, CATEGORY = "proof", "all"
PARTS = ("prepared", "synthetic", "textures")
TEXTURES = 3  # of each class
MIB = 2**20


def quick_profile() -> Params:
    """params.yaml as shipped."""
    return load_params(ROOT / "params.yaml")


@dataclass(frozen=True)
class Unit:
    """What the stages before `train` made of a folder, below `root`."""

    root: Path

    def open(self) -> TrainingUnit:
        folders = [self.root / part for part in PARTS]
        return TrainingUnit.open(*folders, quick_profile().synthesis)

    def manifest(self) -> Manifest:
        """All images, the test set among them."""
        return read_manifest(self.root / "prepared")


def open_unit(root: Path) -> Unit:
    """A folder that `pack` made. Raises UserError where it is another one."""
    missing = [part for part in PARTS if not (root / part).is_dir()]
    if missing:
        raise UserError(
            f"{root}: no folder {missing[0]}/ in it: make it with "
            f"`python benchmarks/gpu.py pack FOLDER {root}`"
        )
    return Unit(root)


def write_bank(folder: Path) -> None:
    """The built-in textures, a few of each class: all would take half of what may travel."""
    from blemish.textures.bank import build_bank

    params = TextureParams()
    build_bank(params, folder)
    kept = []
    for textures in sorted(child for child in folder.iterdir() if child.is_dir()):
        files = sorted(textures.iterdir())
        kept += files[:TEXTURES]
        for file in files[TEXTURES:]:
            file.unlink()
    write_index(kept, folder, params.validation_fraction, params.seed)


def pack(
    photographs: Path,
    target: Path,
    draws: int = 640,
    fill_bank: Callable[[Path], None] = write_bank,
) -> Unit:
    """Make `photographs`, a folder as `data.folders` takes it, ready for training in `target`.

    draws: synthetic defects of each training image. fill_bank: writes the textures. Few images are
    rendered: only training and the real test set are looked at.
    """
    from blemish.datasets.own_folder import folder_data_set
    from blemish.prepare.unit import prepare
    from blemish.synthesis.synthesize import synthesize

    params = SynthesisParams(
        draws=draws, validation_images=1, weak=[], weak_visibility=[], weak_images=0
    )
    data_set = folder_data_set(NAME, str(photographs.resolve()))
    with finished_folder(target) as folder:
        raw, prepared, synthetic, textures = (folder / part for part in ("raw", *PARTS))
        for part in (raw, prepared, synthetic, textures):
            part.mkdir()
        data_set.fetch(CATEGORY, raw)
        prepare(data_set, CATEGORY, raw, DataParams(), prepared)
        fill_bank(textures)
        synthesize(prepared, textures, folder / "no-crops", params, synthetic)
        (synthetic / "preview.png").unlink()
        shutil.rmtree(raw)
    return Unit(target)


def size_of(root: Path) -> float:
    """MiB of the files below a folder."""
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) / MIB


def paint(root: Path, side: int = 96) -> Unit:
    """A tiny unit without photographs: grey stripes, on some of which lies a white square."""
    random = np.random.default_rng(0)
    photographs = root / "photographs"
    for folder, count in (("train/good", 10), ("test/good", 3), ("test/spot", 3)):
        for number in range(count):
            picture, mask = _stripes(random, side), np.zeros((side, side), np.uint8)
            if folder == "test/spot":
                top, left = random.integers(side // 8, side - side // 4, 2)
                mask[top : top + side // 8, left : left + side // 8] = 255
                picture[mask > 0] = 255
                _save(mask, photographs / "ground_truth" / "spot" / f"{number}_mask.png")
            _save(picture, photographs / folder / f"{number}.png")
    return pack(photographs, root / "unit", 3, _write_noise)


def _write_noise(folder: Path) -> None:
    random, files = np.random.default_rng(1), []
    for number in range(4):
        files.append(folder / f"noise-{number}" / "0.png")
        _save(random.integers(0, 256, (64, 64, 3), dtype=np.uint8), files[-1])
    write_index(files, folder, 0.25, 0)


def _stripes(random: np.random.Generator, side: int) -> NDArray[np.uint8]:
    wave = 110 + 30 * np.sin(np.arange(side) / 2 + random.uniform(0, 6))
    grain = random.normal(0, 5, (side, side))
    return np.repeat((wave + grain).clip(0, 200).astype(np.uint8)[:, :, None], 3, axis=2)


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
