"""evaluate: one trained model on its unit's test set."""

import importlib
from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.evaluation.results import write_results
from blemish.images.manifest import read_manifest
from blemish.images.store import GIB, STORE, ImageStore


def main(model: str, prepared: str, synthetic: str, out: str) -> None:
    params = load_params()
    inputs = (Path(model), Path(prepared), Path(synthetic))
    store = ImageStore(STORE, params.data.store_gib * GIB)
    # By name, and first: it cannot change what the stage makes, and little is in memory yet.
    normals = read_manifest(inputs[1]).of("val", 0)["image"]
    note_times = importlib.import_module("blemish.core.scoring_times").note_times
    note_times(inputs[0], [inputs[1] / image for image in normals])
    with finished_folder(Path(out)) as folder:
        write_results(*inputs, params.evaluation, params.training, folder, store)


if __name__ == "__main__":
    run_stage(main)
