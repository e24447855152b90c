"""The registry of data sets, and what a unit's name means."""

import difflib
import importlib
from collections.abc import Mapping

from blemish.data.dataset import DataSet
from blemish.errors import UserError

# name in `units` → module in blemish.data.sets. Imported only when asked for, so that checking a
# name is fast and a unit depends on its own set's code alone.
DATA_SETS: dict[str, str] = {
    "elpv": "elpv",
    "lcdsim": "lcdsim",
    "magnetic-tile": "magnetic_tile",
}


def data_set(name: str, folders: Mapping[str, str]) -> DataSet:
    """The data set behind a unit's first word: a registered one, or one of `data.folders`."""
    if name in folders:
        from blemish.data.sets.folder import folder_data_set

        return folder_data_set(name, folders[name])
    found: DataSet = importlib.import_module(module_name(name, folders)).DATA_SET
    return found


def module_name(name: str, folders: Mapping[str, str]) -> str:
    """The module that defines a data set."""
    return "blemish.data.sets." + ("folder" if name in folders else DATA_SETS[name])


def split_unit(unit: str) -> tuple[str, str]:
    """`elpv/mono` → (`elpv`, `mono`)."""
    name, _, category = unit.partition("/")
    return name, category


def check_unit(unit: str, folders: Mapping[str, str], where: str) -> None:
    """Raise UserError, naming `where` and the valid choices, unless the unit can exist."""
    name, category = split_unit(unit)
    clash = sorted(set(DATA_SETS) & set(folders))
    if clash:
        raise UserError(
            f"params.yaml: `data.folders.{clash[0]}` has the name of a registered data set: "
            "choose another name"
        )
    sets = [*DATA_SETS, *folders]
    if not category or "/" in category:
        raise UserError(f"{where} is {unit!r}: expected `<data set>/<category>`, e.g. elpv/mono")
    if name not in sets:
        raise UserError(
            f"{where} is {unit!r}: unknown data set {name!r}{suggestion(name, sets)}; "
            f"valid: {', '.join(sets)}, or add your own to `data.folders`"
        )
    categories = data_set(name, folders).categories
    if category not in categories:
        raise UserError(
            f"{where} is {unit!r}: unknown category {category!r}"
            f"{suggestion(category, categories)}; valid: {', '.join(categories) or 'none'}"
        )


def suggestion(word: str, valid: list[str] | tuple[str, ...]) -> str:
    """` (did you mean …?)` where a valid word is close, else nothing."""
    close = difflib.get_close_matches(word, valid, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
