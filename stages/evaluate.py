"""evaluate: one trained model on its unit's test set."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.evaluation.results import write_results
from blemish.images.store import GIB, STORE, ImageStore


def main(model: str, prepared: str, synthetic: str, out: str) -> None:
    params = load_params()
    inputs = (Path(model), Path(prepared), Path(synthetic))
    store = ImageStore(STORE, params.data.store_gib * GIB)
    with finished_folder(Path(out)) as folder:
        write_results(*inputs, params.evaluation, params.training, folder, store)


if __name__ == "__main__":
    run_stage(main)
