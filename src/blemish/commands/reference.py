"""`blemish reference`: whether the results here are those that the project states."""

from typing import Annotated

import typer

Write = Annotated[
    bool,
    typer.Option("--write", help="Make the results here the reference, and README's table of it."),
]


def reference(write: Write = False) -> None:
    """Compare the results of the grid with metrics/reference.json, made on a stated machine.

    Says how many models have the same bytes; of each other one, whether its numbers lie within the
    reference's 95 % intervals, or which differ and by how much.

    Example: blemish reference
    """
    from pathlib import Path

    from rich.console import Console

    from blemish.core.params import load_params
    from blemish.core.workspace import MODELS, RESULTS, grid
    from blemish.report.comparison import compare
    from blemish.report.reference import README, REFERENCE, read_reference, write_reference

    params, console = load_params(), Console()
    runs = grid(MODELS, RESULTS, params.units, params.methods, params.seeds)
    runs = [run.check() for run in runs]
    if write:
        write_reference(runs, params, Path())
        console.print(f"written: {REFERENCE}, and the table of {README}", highlight=False)
        return
    first, *others = compare(read_reference(REFERENCE), params, runs)
    for line in (f"reference  {first}", *(f"    {line}" for line in others)):
        console.print(line, markup=False, highlight=False)
