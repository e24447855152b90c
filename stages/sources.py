"""sources: what decides each unit's bytes, one small file a unit.

`fetch` and `prepare` depend on their own unit's file alone: adding a unit, changing a setting of
another data set or editing its code leaves all other units as they are.
"""

import json
from pathlib import Path
from typing import Any

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder, sha256, write_json
from blemish.core.params import Params, Section, load_params
from blemish.datasets import listing
from blemish.datasets.dataset import images_in, split_unit
from blemish.datasets.registry import OWN_FOLDER
from blemish.images.feedback import FEEDBACK, described


def main(code: str, folders: str, out: str) -> None:
    params = load_params()
    with finished_folder(Path(out)) as folder:
        for unit in params.units:
            name, _ = split_unit(unit)
            framing = params.data.framing.get(unit)
            described = OWN_FOLDER if name in params.data.folders else name
            source = {
                "unit": unit,
                "options": options(unit, params, Path(folders)),
                "runs": read_json(Path(code) / f"{described}.json"),
                "foreground": hand_made(unit) if unit in params.data.foreground else None,
                "zones": zones(unit, params),
                "framing": framing.model_dump() if framing else None,
                "drop": sorted(params.audit.drop.get(unit, [])),
            }
            source |= for_choosing(unit, params)
            write_json(folder / f"{unit}.json", source)


def options(unit: str, params: Params, folders: Path) -> dict[str, Any]:
    """The section of `data` that is named like the data set; of a user's folder its images,
    or why they cannot be had."""
    name, category = split_unit(unit)
    if name not in params.data.folders:
        section = getattr(params.data, name, None)
        return section.model_dump() if isinstance(section, Section) else {}
    return listing.options(read_json(folders / f"{name}.json"), unit, category)


def hand_made(unit: str) -> dict[str, str]:
    """The hashes of a unit's hand-made foreground masks."""
    return {file.name: sha256(file) for file in images_in(Path("data/foreground") / unit)}


def zones(unit: str, params: Params) -> dict[str, Any]:
    """The tolerances of a unit's zones, in their order, which decides where they overlap, and the
    hashes of the files that say where they are."""
    folder = Path("data/zones") / unit
    listed = params.data.zones.get(unit, {}).items()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "tolerances": [[name, each.model_dump()] for name, each in listed],
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
    }


def for_choosing(unit: str, params: Params) -> dict[str, Any]:
    """What people confirmed of the unit, and which of its defects are set apart; a unit without
    either has no such key."""
    feedback = described(FEEDBACK / unit)
    selection = params.data.selection.get(unit)
    return ({"feedback": feedback} if feedback else {}) | (
        {"selection": selection} if selection is not None else {}
    )


def read_json(path: Path) -> Any:
    """A JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_stage(main)
