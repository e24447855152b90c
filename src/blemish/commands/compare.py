"""`blemish compare`: before and after, on the same images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

HELP = "A folder of results, such as results/elpv/mono/glass-0; with @REVISION as it was there."
TITLES = {"image_auroc": "image AUROC", "recall": "recall", "false_alarm_rate": "false alarms"}
LISTED = 40  # images that are named in the terminal


def compare(
    before: Annotated[str, typer.Argument(help=HELP)],
    after: Annotated[str, typer.Argument(help=HELP)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Compare two results of a unit on the images that both judged.

    Image AUROC, recall and false alarms before and after, the change with its 95 % interval (paired
    bootstrap), and the images whose decision changed. A revision is a commit, branch, tag or DVC
    experiment; its results come from DVC's cache.

    Example: blemish compare results/bolts/m4/glass-0@HEAD results/bolts/m4/glass-0
    """
    from blemish.core.surroundings import printable_json
    from blemish.evaluation.compare import Result
    from blemish.evaluation.compare import compare as compared

    with _opened(before) as first, _opened(after) as second:
        numbers = compared(Result.read(first), Result.read(second))
    if as_json:
        print(printable_json(numbers, indent=2, allow_nan=False))
    else:
        _print(numbers, before, after)


@contextmanager
def _opened(text: str) -> Iterator[Path]:
    """The folder that is meant; of another revision a copy of the files that are needed."""
    import tempfile

    from blemish.core.errors import UserError

    name, at, revision = text.rpartition("@")
    if not at or Path(text).exists():
        yield Path(text)
        return
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    with tempfile.TemporaryDirectory() as folder:
        try:
            there = DVCFileSystem(".", rev=revision)
            for file in ("scores.parquet", "metrics.json"):
                there.get_file(f"{Path(name).as_posix()}/{file}", f"{folder}/{file}")
        except (DvcException, SCMError, OSError) as error:
            raise UserError(
                f"{text}: no results at that revision in DVC's cache ({error}): check the name, "
                "or `dvc pull` them"
            ) from None
        yield Path(folder)


def _print(numbers: dict[str, Any], before: str, after: str) -> None:
    from rich.console import Console

    from blemish.evaluation.compare import PARTS

    console = Console()
    console.print(f"{numbers['unit']}: before {before}, after {after}", markup=False,
                  highlight=False)  # fmt: skip
    if numbers["left_out"]:
        console.print(f"{numbers['left_out']} test image(s) are in one of the two only.")
    for name, title in PARTS.items():
        if name in numbers:
            _print_part(console, title, numbers[name])


def _print_part(console: "Console", title: str, part: dict[str, Any]) -> None:
    from rich.table import Table

    images = part["images"]
    table = Table("", box=None, pad_edge=False)
    for head in ("before", "after", "change", "95 %"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, values in part["metrics"].items():
        change = [f"{values['change']:+.4f}", f"{values['low']:+.4f} to {values['high']:+.4f}"]
        shown = change if "change" in values else ["–", "–"]
        table.add_row(TITLES[name], f"{values['before']:.4f}", f"{values['after']:.4f}", *shown)
    console.print(f"\n{title}: {images['good']} good, {images['defective']} defective",
                  highlight=False)  # fmt: skip
    console.print(table)
    flipped = part["flipped"]
    console.print(f"{len(flipped)} decision(s) changed", highlight=False)
    for one in flipped[:LISTED]:
        console.print(f"  {one['what']:16}  {one['before']:.5g} → {one['after']:.5g}  "
                      f"{one['image']}", markup=False, highlight=False)  # fmt: skip
    if len(flipped) > LISTED:
        console.print(f"  … and {len(flipped) - LISTED} more: `--json` lists all")
