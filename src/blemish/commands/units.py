"""`blemish units`: which data there is, and how to get it."""

from typing import Annotated

import typer


def units(
    unit: Annotated[
        str | None, typer.Argument(help="All about one unit, e.g. mvtec/screw.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON value.")] = False,
) -> None:
    """List the data sets, their units, and whether and how each can be had.

    Example: blemish units mvtec/screw
    """
    from rich.console import Console

    from blemish.core.params import PARAMS_FILE, load_params
    from blemish.core.surroundings import printable_json
    from blemish.datasets import catalogue

    # Outside a project there are the published sets alone.
    folders = load_params().data.folders if PARAMS_FILE.exists() else {}
    if as_json:
        content = catalogue.one_unit(unit, folders) if unit else catalogue.records(folders)
        print(printable_json(content, indent=2))
    elif unit:
        catalogue.print_unit(unit, folders, Console())
    else:
        catalogue.print_catalogue(folders, Console())
