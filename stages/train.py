"""train: fit one method on one unit."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import Params, load_params
from blemish.core.progress import progress
from blemish.images.looks import looks_of
from blemish.images.store import GIB, STORE, ImageStore
from blemish.methods.checkpoint import CHECKPOINTS, Checkpoint, key_of
from blemish.methods.detector import AnyDetector, create
from blemish.methods.loop import Loop
from blemish.methods.saved import save
from blemish.methods.scoring import score_each
from blemish.methods.trainer import trainer_of
from blemish.methods.training_data import TrainingUnit
from blemish.methods.variation import Variation
from blemish.methods.view import choose_view


def main(
    unit: str,
    method: str,
    seed: str,
    prepared: str,
    synthetic: str,
    textures: str,
    code: str,
    out: str,
) -> None:
    params = load_params()
    store = ImageStore(STORE, params.data.store_gib * GIB)
    folders = (Path(prepared), Path(synthetic), Path(textures))
    data = TrainingUnit.open(*folders, params.synthesis, store)
    method_params = params.method(method, unit)
    method_params = method_params.asked(data.manifest.framing())
    varied = Variation(method_params.vary_light, method_params.vary_place, int(seed))
    data = replace(data, variation=varied)
    framing, reason = choose_view(method_params, data.sizes_of("train"))
    print(f"{unit} {method}: {framing.said}, {reason}")
    detector = create(method, method_params, int(seed), framing)
    key = _key(unit, detector, params, Path(code), *folders)
    checkpoint = Checkpoint(CHECKPOINTS / unit / f"{method}-{seed}", key)
    with finished_folder(Path(out)) as folder:
        title = f"{unit} {method} seed {seed}"
        loop = Loop(params.training, int(seed), title, folder, checkpoint)
        trainer_of(detector).fit(data, loop)
        pictures, sizes = data.pictures(framing, "val"), data.sizes_of("val")
        zones = data.zones(framing)
        scored = score_each(detector, pictures, sizes, zones.of_normals() if zones else None)
        normals = progress(scored, "scoring validation normals", len(sizes), "image")
        looks = (looks_of(picture.numpy()) for picture in pictures)
        save(detector, folder, unit, normals, data.manifest.facts.levels, reason, zones, looks)
        loop.write_curves(folder / "curves.csv")
        loop.export_epochs()
    checkpoint.remove()


def _key(
    unit: str,
    detector: AnyDetector,
    params: Params,
    code: Path,
    prepared: Path,
    synthetic: Path,
    textures: Path,
) -> str:
    """Of all that the model follows from, the number of threads included: it moves last bits."""
    facts: dict[str, Any] = {
        "run": [unit, detector.name, detector.seed],
        "params": detector.params.model_dump(),
        "framing": asdict(detector.framing),
        "training": params.training.model_dump(),
        "own kinds": [
            params.synthesis.seed,
            params.synthesis.blend.model_dump(),
            params.synthesis.visibility.model_dump(),
        ],
        "machine": [torch.__version__, torch.get_num_threads(), torch.cuda.is_available()],
    }
    # The manifest holds a digest of each image.
    inputs = [code, prepared / "manifest.parquet", prepared / "foreground", prepared / "zones"]
    inputs += [textures, synthetic / "recipes.parquet", synthetic / "crops"]
    return key_of(facts, inputs)


if __name__ == "__main__":
    run_stage(main)
