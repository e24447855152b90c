"""sources: what decides each unit's bytes, one small file a unit.

`fetch` and `prepare` depend on their own unit's file alone: adding a unit, changing a setting of
another data set or editing its code leaves all other units as they are.
"""

import json
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError, run_stage
from blemish.core.files import finished_folder, sha256, write_json
from blemish.core.params import Params, load_params
from blemish.datasets.dataset import data_set, images_in, split_unit
from blemish.datasets.registry import OWN_FOLDER


def main(code: str, folders: str, out: str) -> None:
    params = load_params()
    with finished_folder(Path(out)) as folder:
        for unit in params.units:
            write_json(folder / f"{unit}.json", describe(unit, params, Path(code), Path(folders)))


def describe(unit: str, params: Params, code: Path, folders: Path) -> dict[str, object]:
    """Settings, the code of the data set, and for an own folder the hashes of its images."""
    name, category = split_unit(unit)
    own = name in params.data.folders
    options = data_set(name, params.data.folders).options(params.data)
    if own:
        listing = read(folders / f"{name}.json")
        if category not in listing:
            raise UserError(
                f"params.yaml: `units` has {unit!r}, but the folder has no {category!r}"
            )
        options = {"files": listing[category]}
    return {
        "unit": unit,
        "options": options,
        "runs": read(code / f"{OWN_FOLDER if own else name}.json"),
        "foreground": hand_made(unit) if unit in params.data.foreground else None,
    }


def hand_made(unit: str) -> dict[str, str]:
    """The hashes of a unit's hand-made foreground masks."""
    return {file.name: sha256(file) for file in images_in(Path("data/foreground") / unit)}


def read(path: Path) -> Any:
    """A JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_stage(main)
