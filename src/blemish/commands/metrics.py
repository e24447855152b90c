"""`blemish metrics`: evaluate the anomaly maps of any tool."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


class Resolution(StrEnum):
    """Where maps and masks of different sizes meet."""

    original = "original"
    model = "model"


def metrics(
    maps: Annotated[
        Path, typer.Argument(help="Anomaly maps: <type>/<number>.npy, .npz (one array) or .tiff.")
    ],
    masks: Annotated[
        Path,
        typer.Argument(
            help="Ground truth: <type>/<number>_mask.png or <number>.png, or folders "
            "<type>/<number>/ of channels as in MVTec LOCO."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
    resolution: Annotated[
        Resolution | None,
        typer.Option(
            help="original: maps are resized to their masks; model: masks to their maps. Without "
            "it their sizes must agree."
        ),
    ] = None,
    fpr_limit: Annotated[
        float, typer.Option(help="False-positive rate up to which AUPRO integrates, 0 to 1.")
    ] = 0.3,
    defects: Annotated[
        Path | None,
        typer.Option(
            help="MVTec LOCO's defects_config.json; by default the one in MASKS or beside it."
        ),
    ] = None,
) -> None:
    """Evaluate anomaly maps made by any tool against ground-truth masks.

    Images without a mask file, or with an empty mask, are normal.
    The score of an image is the maximum of its map.
    Maps are read one at a time: memory does not grow with their number.
    Bad maps are named, a line each, and then no number is printed.

    Example: blemish metrics maps data/prepared/mvtec/screw/ground_truth --resolution original
    """
    from blemish.core.surroundings import printable_json
    from blemish.evaluation.foreign_maps import BadMaps, evaluate_folder, open_folder

    if not 0 < fpr_limit <= 1:
        raise typer.BadParameter(
            f"{fpr_limit} is not above 0 and at most 1", param_hint="fpr-limit"
        )
    try:
        folder = open_folder(maps, masks, resolution.value if resolution else None, defects)
    except BadMaps as error:
        for line in [f"error: {problem}" for problem in error.problems] + error.notes:
            print(line, file=sys.stderr)
        raise typer.Exit(1) from None
    stated = resolution.value if resolution else "as given"
    numbers = {"resolution": stated, **evaluate_folder(folder, fpr_limit)}
    if as_json:
        print(printable_json(numbers, indent=2, allow_nan=False))
    else:
        _print(numbers)


def _print(numbers: dict[str, Any]) -> None:
    """The whole, then a line for each defect type and area quarter."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    whole = Table("metric", box=None, pad_edge=False)
    whole.add_column("value", justify="right")
    for name, value in numbers["metrics"].items():
        whole.add_row(name, _shown(value))
    console.print(whole)
    for title, part in (("defect type", "by_defect"), ("defect area", "by_area")):
        if numbers[part]:
            console.print()
            console.print(_details(Table(title, box=None, pad_edge=False), numbers[part]))
    counts = numbers["counts"]
    console.print(
        f"\n{counts['good']} good and {counts['defective']} defective images; resolution "
        f"{numbers['resolution']}: maps {', '.join(numbers['map_sizes'])}, masks "
        f"{', '.join(numbers['mask_sizes']) or 'none'}.",
        highlight=False,
    )
    for note in numbers["notes"]:
        console.print(note, highlight=False, markup=False, style="yellow")


def _details(table: "Table", parts: dict[str, dict[str, float | None]]) -> "Table":
    from blemish.metrics.table import is_further

    columns = [name for name in next(iter(parts.values())) if not is_further(name)]
    for column in columns:
        table.add_column(column.replace("_", "\n", 1), justify="right", no_wrap=True)
    for name, values in parts.items():
        table.add_row(name, *(_shown(values[column]) for column in columns))
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
