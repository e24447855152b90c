"""fetch: the bytes of one unit as published, verified."""

import json
from pathlib import Path

from blemish.core.errors import UserError, run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.datasets.dataset import data_set, split_unit


def main(unit: str, source: str, out: str) -> None:
    params = load_params()
    name, category = split_unit(unit)
    options = json.loads(Path(source).read_text(encoding="utf-8"))["options"]
    if fault := options.get("fault"):
        raise UserError(f"{unit}: {fault}")
    published = data_set(name, params.data.folders, options)
    with finished_folder(Path(out)) as folder:
        published.fetch(category, folder)
        if not any(folder.iterdir()):
            raise UserError(
                f"{unit}: no image of this category in {published.home}: put the normal ones into "
                "good/"
            )


if __name__ == "__main__":
    run_stage(main)
