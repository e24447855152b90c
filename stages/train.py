"""train: fit one method on one unit."""

from pathlib import Path

from blemish.data.store import GIB, STORE, ImageStore
from blemish.errors import run_stage
from blemish.files import finished_folder
from blemish.methods.base import create, save, score_all
from blemish.params import load_params
from blemish.training import Loop
from blemish.unit import TrainingUnit


def main(
    unit: str, method: str, seed: str, prepared: str, synthetic: str, textures: str, out: str
) -> None:
    params = load_params()
    store = ImageStore(STORE, params.data.store_gib * GIB)
    data = TrainingUnit.open(Path(prepared), Path(synthetic), Path(textures), store)
    detector = create(method, params.method(method), int(seed))
    with finished_folder(Path(out)) as folder:
        loop = Loop(params.training, int(seed), f"{unit} {method} seed {seed}", folder)
        detector.fit(data, loop)
        held_out = data.normals(detector.framing, "val")
        _, normal_scores = score_all(detector, held_out, "scoring validation normals")
        save(detector, folder, unit, normal_scores)
        loop.write_curves(folder / "curves.csv")


if __name__ == "__main__":
    run_stage(main)
