"""prepare: one layout for all data sets, with the manifest."""

from pathlib import Path

from blemish.data.dataset import data_set, split_unit
from blemish.data.prepare import prepare
from blemish.errors import run_stage
from blemish.files import finished_folder
from blemish.params import load_params


def main(unit: str, raw: str, out: str) -> None:
    params = load_params()
    name, category = split_unit(unit)
    with finished_folder(Path(out)) as folder:
        prepare(data_set(name, params.data.folders), category, Path(raw), params.data, folder)


if __name__ == "__main__":
    run_stage(main)
