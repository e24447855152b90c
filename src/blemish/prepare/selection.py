"""A few real defects for choosing methods, settings and thresholds: never in the test numbers."""

from collections import defaultdict
from collections.abc import Sequence

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item
from blemish.prepare.split import held_out

SLICE = "selection"


def set_apart(
    unit: str,
    items: Sequence[Item],
    splits: Sequence[str],
    digests: Sequence[str],
    wanted: float | Sequence[str],
    seed: int,
) -> tuple[set[int], str]:
    """The positions of the test defects that `wanted` sets apart, and a note that says so.

    wanted: a share of each type, taken in the order of a seeded hash of the images' digests; or
    the types that are set apart whole. What shows the same object or is a twin stays together: a
    group that has anything else of the test set in it stays there. splits: "" of what is in a
    slice outside the headline numbers, which is left alone.

    Raises UserError for a type that the unit has not, and where no defect would be left for one
    of the two.
    """
    tested = [at for at, split in enumerate(splits) if split == "test"]
    defects = [at for at in tested if items[at].label]
    types = sorted({items[at].defect for at in defects})
    where = f"params.yaml: `data.selection.{unit}`"
    unknown = sorted(set(wanted) - set(types)) if not isinstance(wanted, float) else []
    if unknown:
        raise UserError(f"{where}: {unknown[0]!r} is no defect of its test set; it has: "
                        f"{', '.join(types)}")  # fmt: skip
    keys = [item.group or digest for item, digest in zip(items, digests, strict=True)]
    asked = [at for at in defects if isinstance(wanted, float) or items[at].defect in wanted]
    whole = set(asked) - _torn(keys, tested, set(asked))
    chosen = (
        _share(items, keys, sorted(whole), wanted, seed) if isinstance(wanted, float) else whole
    )
    if not chosen or len(chosen) == len(defects):
        left = "none of the unit's" if not chosen else "all of the unit's"
        raise UserError(
            f"{where}: {left} {len(defects)} defects would be set apart: ask for more or fewer, or "
            "take the unit out"
        )
    note = (
        f"{len(chosen)} of {len(defects)} real defects are set apart for choosing (slice "
        f"'{SLICE}') and are in no test number."
    )
    if torn := len(asked) - len(whole):
        note += f" {torn} stay in the test set with images of the same object."
    return chosen, note


def _torn(keys: Sequence[str], tested: Sequence[int], asked: set[int]) -> set[int]:
    """Those of `asked` whose group has another image in the test set."""
    others = {keys[at] for at in tested if at not in asked}
    return {at for at in asked if keys[at] in others}


def _share(
    items: Sequence[Item], keys: Sequence[str], whole: Sequence[int], share: float, seed: int
) -> set[int]:
    """About a share of each type; a group counts as the type of its first image."""
    first = {keys[at]: items[at].defect for at in reversed(whole)}
    by_type = defaultdict(list)
    for at in whole:
        by_type[first[keys[at]]].append(at)
    chosen = set()
    for _, of_type in sorted(by_type.items()):
        taken = held_out([keys[at] for at in of_type], share * len(of_type), seed)
        chosen |= {of_type[at] for at in taken}
    return chosen
