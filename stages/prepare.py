"""prepare: one layout for all data sets, with the manifest."""

import json
from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.datasets.dataset import data_set, split_unit
from blemish.images.feedback import FEEDBACK, confirmed
from blemish.prepare.foreground import FOREGROUNDS
from blemish.prepare.unit import prepare
from blemish.prepare.zones import ZONES


def main(unit: str, source: str, raw: str, out: str) -> None:
    params = load_params()
    name, category = split_unit(unit)
    described = json.loads(Path(source).read_text(encoding="utf-8"))
    foregrounds = FOREGROUNDS / unit if described["foreground"] is not None else None
    dataset = data_set(name, params.data.folders)
    feedback = confirmed(FEEDBACK / unit, described.get("feedback", {}))
    files = (foregrounds, ZONES / unit, described.get("drop", ()), feedback)
    with finished_folder(Path(out)) as folder:
        prepare(dataset, category, Path(raw), params.data, folder, *files)


if __name__ == "__main__":
    run_stage(main)
