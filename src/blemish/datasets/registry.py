"""The registered data sets, and whether a unit can exist."""

import difflib
import re
from collections.abc import Mapping

from blemish.core.errors import UserError, suggestion
from blemish.datasets.dataset import DataSet, data_set, split_unit

# Name → the module of blemish.datasets that defines it. `blemish units` keeps this order.
DATA_SETS = {
    "mvtec": "mvtec_family",
    "mvtec2": "mvtec2",
    "loco": "loco",
    "loco-structural": "loco",
    "loco-logical": "loco",
    "visa": "visa",
    "mpdd": "mvtec_family",
    "wfdd": "mvtec_family",
    "mad-man": "mad",
    "mad-sys": "mad",
    "anolcd": "mvtec_family",
    "lcd-light": "lcd_light",
    "lcd-surface": "lcd_surface",
    "pcb": "pcb",
    "magnetic-tile": "magnetic_tile",
    "magnetic-tile-thu": "magnetic_tile_thu",
    "elpv": "elpv",
    "ksdd2": "ksdd2",
    "btad": "btad",
    "dagm": "dagm",
    "aitex": "aitex",
    "bsdata": "bsdata",
    "casting": "casting",
    "lcdsim": "lcdsim",
}
OWN_FOLDER = "own-folder"  # stands for a user's own among the data sets whose code is described
# Categories become folders and stage names.
CATEGORY = re.compile(r"\w[\w.+-]*")
# In those of a user's own: DVC splits the name of a stage at @, and a shell reads words up to '.
REFUSED = "@'"


def check_unit(unit: str, folders: Mapping[str, str], where: str) -> None:
    """Raise UserError, naming `where` and the valid choices, unless the unit can exist."""
    clash = sorted(set(DATA_SETS) & set(folders))
    if clash:
        raise UserError(
            f"params.yaml: `data.folders.{clash[0]}` has the name of a registered data set: "
            "choose another name"
        )
    name, category = split_unit(unit)
    sets = [*DATA_SETS, *folders]
    if not category or "/" in category:
        raise UserError(
            f"{where} is {unit!r}: expected `<data set>/<category>`"
            f"{_unit_suggestion(unit, folders) or ', e.g. elpv/mono'}"
        )
    if name not in sets:
        raise UserError(
            f"{where} is {unit!r}: unknown data set {name!r}"
            f"{_unit_suggestion(unit, folders) or suggestion(name, sets)}; "
            f"valid: {', '.join(sets)}, or add your own to `data.folders`"
        )
    if name in folders:
        _check_own(category, f"{where} is {unit!r}")
        return
    known = data_set(name, folders)
    if known.open_categories and CATEGORY.fullmatch(category):
        return
    check_category(known, unit, where)


def _check_own(category: str, where: str) -> None:
    """A category of a user's own is a folder's name, of which DVC makes the names of stages."""
    bad = next((sign for sign in category if sign in REFUSED or not sign.isprintable()), None)
    if bad or category.startswith("."):
        what = f"{bad!r} in it" if bad else "a dot in front"
        raise UserError(f"{where}: DVC cannot run a folder with {what}: rename the folder")


def check_category(known: DataSet, unit: str, where: str) -> None:
    """Raise UserError, naming the valid choices, unless the data set has the unit's category."""
    _, category = split_unit(unit)
    if category not in known.categories:
        valid = ", ".join(known.categories) or "a folder of the archive"
        raise UserError(
            f"{where} is {unit!r}: unknown category {category!r}"
            f"{suggestion(category, known.categories)}; valid: {valid}"
        )


def all_units(folders: Mapping[str, str]) -> list[str]:
    """Every unit whose name is known, in the order of the data sets."""
    return [
        f"{name}/{category}"
        for name in [*DATA_SETS, *folders]
        for category in data_set(name, folders).categories
    ]


def _unit_suggestion(unit: str, folders: Mapping[str, str]) -> str:
    """A suggestion of a whole unit: of one that has the very category, else of a close name."""
    units = all_units({name: path for name, path in folders.items() if name not in DATA_SETS})
    words = [word for word in unit.split("/") if word]
    same = [known for known in units if words and split_unit(known)[1] == words[-1].lower()]
    close = difflib.get_close_matches(unit, same, n=1, cutoff=0) if same else []
    close = close or difflib.get_close_matches(unit, units, n=1, cutoff=0.75)
    return f" (did you mean {close[0]!r}?)" if close else ""
