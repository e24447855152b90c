"""The registered data sets, and whether a unit can exist."""

import difflib
from collections.abc import Mapping, Sequence

from blemish.data.dataset import data_set, split_unit
from blemish.errors import UserError

# A data set named `a-b` is defined in blemish.data.sets.a_b.
DATA_SETS = (
    *("mvtec", "loco", "loco-structural", "loco-logical", "visa", "mpdd", "wfdd"),
    *("mad-man", "mad-sys", "anolcd", "lcd-light", "lcd-surface", "pcb"),
    *("magnetic-tile", "magnetic-tile-thu", "elpv", "lcdsim"),
)


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
            f"{suggestion(category, categories)}; valid: {', '.join(categories)}"
        )


def suggestion(word: str, valid: Sequence[str]) -> str:
    """` (did you mean …?)` where a valid word is close, else nothing."""
    close = difflib.get_close_matches(word, valid, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
