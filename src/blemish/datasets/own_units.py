"""Whether the user's own folders are here and hold what `units` names.

Only who is about to use the photographs looks: results can be read without them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blemish.core.errors import UserError
from blemish.datasets.dataset import data_set, split_unit
from blemish.datasets.own_folder import is_absent
from blemish.datasets.registry import check_category


@dataclass(frozen=True)
class Faults:
    """A line for each folder that is not on this machine; for each that is here and has no shape
    that is understood, and each unit whose category it lacks."""

    absent: list[str]
    wrong: list[str]


def faults_of_folders(units: Sequence[str], folders: Mapping[str, str]) -> Faults:
    """Look into all of `data.folders`."""
    known = {name: data_set(name, folders) for name in folders}
    faulty = {name: own.fault for name, own in known.items() if own.fault}
    absent = [fault for name, fault in faulty.items() if is_absent(folders[name])]
    wrong = [fault for fault in faulty.values() if fault not in absent]
    for index, unit in enumerate(units):
        name, _ = split_unit(unit)
        if name in folders and name not in faulty:
            try:
                check_category(known[name], unit, f"params.yaml: `units.{index}`")
            except UserError as error:
                wrong.append(str(error))
    return Faults(absent, wrong)
