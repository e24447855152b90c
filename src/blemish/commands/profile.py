"""`blemish profile`: settings for a kind of machine."""

from pathlib import Path
from typing import Annotated

import typer


def profile(
    name: Annotated[str, typer.Argument(help="A file in profiles/, such as paper or quick.")],
) -> None:
    """Write a profile's settings into params.yaml; `units`, `methods`, `seeds` stay.

    Example: blemish profile paper
    """
    from blemish.core.profiles import apply_profile

    changed = apply_profile(name, Path("profiles"), Path("params.yaml"))
    print(f"params.yaml: {len(changed)} value(s) changed" + "".join(f"\n  {c}" for c in changed))
