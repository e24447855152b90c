"""Train a detector on a folder of images and judge new ones, in Python alone.

    python examples/own_images.py [PHOTOS [MODEL]]

PHOTOS holds `good/` and folders of defective images, if there are any; without it, solar cells come
from the package elpv-dataset. `blemish run` calls the same functions, and evaluates properly.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import elpv_dataset
import pandas as pd

import blemish
from blemish.core.params import load_params
from blemish.datasets.own_folder import folder_data_set
from blemish.images.manifest import Manifest, read_manifest
from blemish.methods.detector import create
from blemish.methods.loop import Loop
from blemish.methods.saved import save
from blemish.methods.scoring import score_each
from blemish.methods.trainer import trainer_of
from blemish.methods.training_data import TrainingUnit
from blemish.methods.view import choose_view
from blemish.prepare.unit import prepare
from blemish.synthesis.synthesize import synthesize
from blemish.textures.bank import build_bank

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
SYNTHESIS = PARAMS.synthesis.model_copy(update={"weak": [], "weak_visibility": []})


def solar_cells(folder: Path) -> Path:
    """A few real cells: those that are surely good, and some that are surely not."""
    data = Path(elpv_dataset.__file__).parent / "data"
    labels = pd.read_csv(data / "labels.csv", sep=r"\s+", names=["image", "probability", "cell"])
    for name, probability, count in (("good", 0, 60), ("defective", 1, 10)):
        (folder / name).mkdir(parents=True)
        wanted = labels.query(f"cell == 'mono' and probability == {probability}")
        for image in wanted["image"].head(count):
            shutil.copy(data / image, folder / name)
    return folder


def train(photos: Path, work: Path, model: Path) -> Manifest:
    """From photographs to a saved detector; returns the list of the images, held-out ones too."""
    raw, prepared, synthetic, textures = (work / name for name in ("raw", "unit", "drawn", "bank"))
    for folder in (raw, prepared, synthetic, textures, model):
        folder.mkdir(parents=True, exist_ok=True)
    own = folder_data_set("own", str(photos.resolve()))
    own.fetch("all", raw)
    prepare(own, "all", raw, PARAMS.data, prepared)
    build_bank(SYNTHESIS.textures, textures)
    synthesize(prepared, textures, work / "no-crops", SYNTHESIS, synthetic)
    data = TrainingUnit.open(prepared, synthetic, textures, SYNTHESIS)
    params = PARAMS.method("glass").model_copy(update={"epochs": 3, "average_last": 1})
    framing, reason = choose_view(params, data.sizes_of("train"))
    detector = create("glass", params, 0, framing)
    trainer_of(detector).fit(data, Loop(PARAMS.training, 0, "own images"))
    normals = score_each(detector, data.pictures(framing, "val"), data.sizes_of("val"))
    save(detector, model, "own/all", normals, data.manifest.facts.levels, reason)
    return read_manifest(prepared)


def main(photos: str = "", model: str = "") -> None:
    with TemporaryDirectory() as scratch:
        work, folder = Path(scratch), Path(model or f"{scratch}/model")
        images = train(Path(photos) if photos else solar_cells(work / "cells"), work, folder)
        test = images.rows.query("split == 'test'")
        verdicts = blemish.load(folder).score([images.root / name for name in test["image"]])
        for (_, row), verdict in zip(test.iterrows(), verdicts, strict=True):
            word = "defective" if verdict.defective else "good"
            print(f"{word:9} {verdict.score:.3f} > {verdict.threshold:.3f}? {row['image']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
