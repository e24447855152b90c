"""folder: list a user's own folder (`data.folders`), so that DVC sees which unit changed.

Where the folder is not there, as on a machine that has only the results, the listing that was made
of it stands.
"""

import json
import sys
from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_file, write_json
from blemish.core.params import load_params
from blemish.datasets.listing import Listing, list_folder


def main(name: str, out: str) -> None:
    text = load_params().data.folders[name]
    listing = list_folder(name, text)
    if fault := listing.get("fault"):
        earlier = made_earlier(Path(out), text) if listing["absent"] else None
        then = "the listing made before stands" if earlier else "its units cannot be made"
        print(f"note: {fault}: {then}", file=sys.stderr)
        listing = earlier or listing
    with finished_file(Path(out)) as temporary:
        write_json(temporary, listing)


def made_earlier(out: Path, text: str) -> Listing | None:
    """The listing of the same folder in the workspace, or which dvc.lock names, if it is to be had.

    Never that of another folder, whatever its name."""
    try:
        content = out.read_text(encoding="utf-8") if out.is_file() else _locked(out)
        listing: Listing = json.loads(content)
    except (OSError, ValueError):
        return None
    same = listing.get("folder") == text and "categories" in listing
    return listing if same else None


def _locked(out: Path) -> str:
    from dvc import api
    from dvc.exceptions import DvcException

    try:
        return str(api.read(out.as_posix(), encoding="utf-8"))
    except DvcException as error:
        raise ValueError(str(error)) from None


if __name__ == "__main__":
    run_stage(main)
