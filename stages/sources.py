"""sources: what decides each unit's bytes, one small file a unit.

`fetch` and `prepare` depend on their own unit's file alone: adding a unit, changing a setting of
another data set or editing its code leaves all other units as they are.
"""

import json
from pathlib import Path

from blemish.closure import digest, module_file
from blemish.data.dataset import data_set, images_in, module_name, split_unit
from blemish.errors import UserError, run_stage
from blemish.files import finished_folder, sha256, write_json
from blemish.params import Params, load_params


def main(folders: str, out: str) -> None:
    params = load_params()
    with finished_folder(Path(out)) as folder:
        for unit in params.units:
            write_json(folder / f"{unit}.json", describe(unit, params, Path(folders)))


def describe(unit: str, params: Params, folders: Path) -> dict[str, object]:
    """Settings, code digest, and for an own folder the hashes of its images."""
    name, category = split_unit(unit)
    code = module_file(module_name(name, params.data.folders))
    assert code is not None
    options = data_set(name, params.data.folders).options(params.data)
    if name in params.data.folders:
        listing = json.loads((folders / f"{name}.json").read_text(encoding="utf-8"))
        if category not in listing:
            raise UserError(
                f"params.yaml: `units` has {unit!r}, but the folder has no {category!r}"
            )
        options = {"files": listing[category]}
    return {
        "unit": unit,
        "options": options,
        "code": digest(code),
        "foreground": hand_made(unit) if unit in params.data.foreground else None,
    }


def hand_made(unit: str) -> dict[str, str]:
    """The hashes of a unit's hand-made foreground masks."""
    return {file.name: sha256(file) for file in images_in(Path("data/foreground") / unit)}


if __name__ == "__main__":
    run_stage(main)
