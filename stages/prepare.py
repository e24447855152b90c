"""prepare: one layout for all data sets, with the manifest."""

import json
from pathlib import Path

from blemish.data.dataset import data_set, split_unit
from blemish.data.foreground import FOREGROUNDS
from blemish.data.prepare import prepare
from blemish.errors import run_stage
from blemish.files import finished_folder
from blemish.params import load_params


def main(unit: str, source: str, raw: str, out: str) -> None:
    params = load_params()
    name, category = split_unit(unit)
    described = json.loads(Path(source).read_text(encoding="utf-8"))
    foregrounds = FOREGROUNDS / unit if described["foreground"] is not None else None
    found = data_set(name, params.data.folders)
    with finished_folder(Path(out)) as folder:
        prepare(found, category, Path(raw), params.data, folder, foregrounds)


if __name__ == "__main__":
    run_stage(main)
