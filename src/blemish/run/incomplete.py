"""Units of which a part is missing, told where a run begins: training would not stop for it."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from blemish.core.completeness import missing_parts

PREPARED = Path("data/prepared")
STAGE = "prepare@"


def tell_incomplete(stages: Iterable[str], console: Console, told: set[str]) -> None:
    """One line for each prepared unit among the stages that is not as published.

    `told`: the units that have been spoken of; those of now are added.
    """
    units = [stage.removeprefix(STAGE) for stage in stages if stage.startswith(STAGE)]
    there = [unit for unit in units if (PREPARED / unit / "manifest.parquet").is_file()]
    if not there:
        return
    from blemish.images.manifest import read_notes  # slow to import

    for unit in there:
        missing = missing_parts(read_notes(PREPARED / unit))
        if missing and unit not in told:
            told.add(unit)
            line = f"not as published: {unit}: {' '.join(missing)}"
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
