"""A tiny unit, made by the project's own functions from painted pictures to synthetic defects."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blemish.core.params import DataParams, TextureParams, load_params
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.methods.training_data import TrainingUnit
from blemish.prepare.unit import prepare
from blemish.textures import bank
from stages import evaluate, synthesize, train

NAME = "tiny/bolts"
NO_CROPS = Path("no-crops")
SIZES = [(70, 94), (60, 60)]  # neither square nor multiples of 32, most of them
PARAMS: dict[str, Any] = {
    "units": ["elpv/mono"],
    "methods": ["glass"],
    "seeds": [0],
    "synthesis": {
        "draws": 3, "size": 64, "cell": 8,
        "validation_images": 6, "weak": [0.3, 0.7],
        "weak_visibility": [0.5], "weak_images": 3,
    },
    "training": {"device": "cpu", "threads": 1},
    "evaluation": {"heatmaps": 1, "false_alarm_rate": 0.25},
}  # fmt: skip

Picture = NDArray[np.uint8]
Painter = Callable[[np.random.Generator, int, int], Picture]


@dataclass(frozen=True)
class Unit:
    """The folders that `train` and `evaluate` read, all below `root`."""

    root: Path

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What `train` takes between the seed and the output; the code has no description here."""
        return self.prepared, self.synthetic, self.textures, self.root / "code.json"

    @property
    def prepared(self) -> Path:
        return self.root / "prepared" / "bolts"

    @property
    def textures(self) -> Path:
        return self.root / "textures"

    @property
    def synthetic(self) -> Path:
        return self.root / "synthetic"

    def open(self) -> TrainingUnit:
        with params_folder({}):
            synthesis = load_params().synthesis
        return TrainingUnit.open(self.prepared, self.synthetic, self.textures, synthesis)

    def copy(self, root: Path) -> "Unit":
        """One of its own for a test that damages it."""
        shutil.copytree(self.root, root)
        return Unit(root)


_SCRATCH = tempfile.TemporaryDirectory(prefix="blemish-tests-")


def scratch() -> Path:
    """A folder that is gone when the tests end."""
    return Path(_SCRATCH.name)


@cache
def tiny_unit() -> Unit:
    """14 training normals, 6 good and 9 defective test images, 3 more of them `doubtful`.

    Shared by all tests: copy it before changing anything.
    """
    return write_unit(scratch() / "unit")


@cache
def texture_bank() -> Path:
    """The built-in bank, with small tiles."""
    folder = scratch() / "textures"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank, "SIDE", 48)
        bank.build_bank(TextureParams(), folder)
    return folder


def stripes(random: np.random.Generator, height: int, width: int) -> Picture:
    """A normal picture: grey stripes with grain, nowhere near white."""
    wave = 110 + 30 * np.sin(np.arange(width) / 2 + random.uniform(0, 6))
    grain = random.normal(0, 5, (height, width))
    return np.repeat((wave + grain).clip(0, 200).astype(np.uint8)[:, :, None], 3, axis=2)


def write_unit(
    root: Path,
    paint: Painter = stripes,
    masks: str = "pixel",
    params: DataParams | None = None,
    zones: Path | None = None,
) -> Unit:
    """Paint pictures, prepare them, and run the stage `synthesize` on them."""
    unit = Unit(root)
    raw = root / "raw"
    items = _paint_all(raw, paint, with_masks=masks != "none")
    notes = ("Painted for tests.",)
    layout = Layout(items, masks, extra_slices=("doubtful",), notes=notes)
    data_set = DataSet(
        name="tiny", title="", categories=("bolts",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: layout,
    )  # fmt: skip
    unit.prepared.mkdir(parents=True)
    prepare(data_set, "bolts", raw, params or DataParams(), unit.prepared, None, zones)
    shutil.copytree(texture_bank(), unit.textures)
    run_stage(synthesize.main, {}, unit.prepared, unit.textures, NO_CROPS, unit.synthetic)
    return unit


def _paint_all(raw: Path, paint: Painter, with_masks: bool) -> list[Item]:
    random = np.random.default_rng(0)
    groups = [("good", "train", "", 14), ("good", "test", "", 6), ("spot", "test", "", 5)]
    groups += [("line", "test", "", 4), ("spot", "test", "doubtful", 3)]
    items = []
    for defect, split, slice_, count in groups:
        for number in range(count):
            picture = paint(random, *SIZES[number % 5 == 4])
            mask = None
            file = raw / f"{split}-{defect}-{slice_}{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            if defect != "good":
                marked = _spoil(random, picture, defect)
                if with_masks:
                    mask = file.with_suffix(".mask.png")
                    Image.fromarray(marked.astype(np.uint8) * 255).save(mask)
            Image.fromarray(picture).save(file)
            items.append(Item(file, defect, split, mask, slice=slice_))
    return items


def _spoil(random: np.random.Generator, picture: Picture, defect: str) -> NDArray[np.bool_]:
    """Paint one defect, pure white, into the central square; return where."""
    height, width = (12, 12) if defect == "spot" else (3, 40)
    middle = (picture.shape[1] - picture.shape[0]) // 2
    top = random.integers(0, picture.shape[0] - height)
    left = middle + random.integers(0, picture.shape[0] - width)
    mask = np.zeros(picture.shape[:2], bool)
    mask[top : top + height, left : left + width] = True
    picture[mask] = 255
    return mask


def train_model(unit: Unit, method: str, out: Path, params: dict[str, Any], seed: int = 0) -> Path:
    """Run the stage `train`; `params` is the method's section. Returns the model's folder."""
    run_stage(train.main, {method: params}, NAME, method, str(seed), *unit.inputs, out)
    return out


def evaluate_model(unit: Unit, model: Path, out: Path, **evaluation: Any) -> Path:
    """Run the stage `evaluate`. Returns the folder of the results."""
    changes = {"evaluation": PARAMS["evaluation"] | evaluation}
    run_stage(evaluate.main, changes, model, unit.prepared, unit.synthetic, out)
    return out


def run_stage(main: Callable[..., None], changes: dict[str, Any], *arguments: str | Path) -> None:
    """Call a stage's `main` beside the tiny params.yaml, some of its sections replaced."""
    with params_folder(changes):
        main(*map(str, arguments))


@contextlib.contextmanager
def params_folder(changes: dict[str, Any]) -> Iterator[Path]:
    """Work in a temporary folder that holds a params.yaml."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name, contextlib.chdir(name):
        folder = Path(name)
        # JSON is YAML.
        (folder / "params.yaml").write_text(json.dumps(PARAMS | changes), encoding="utf-8")
        yield folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
