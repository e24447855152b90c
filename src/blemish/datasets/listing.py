"""What lies in a user's own folder: each category's images with their digests, or its fault.

The stage `folder` writes it and `sources` reads it. A fault is no error there: it stops the unit
that it concerns, in `fetch`.
"""

import json
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.core.files import finished_file, sha256
from blemish.core.places import project_folder, resolve_path
from blemish.datasets.own_folder import categories_in, inventory, is_absent, left_out

Listing = dict[str, Any]


def list_folder(name: str, text: str) -> Listing:
    """The folder `text` of params.yaml, called `name`: category → {image: SHA-256}. Under "" stand
    `folder`, the text; `faults`, category → line; `left out`, category → what is not read there, of
    which a note speaks; or of the whole folder `fault` and `absent`.
    """
    about: Listing = {"folder": text, "faults": {}, "left out": {}}
    digests = Digests(project_folder(Path.cwd()) / f".dvc/tmp/blemish/{name}.json")
    listing: Listing = {"": about}
    try:
        root = resolve_path(text)
        categories = categories_in(name, root)
    except UserError as error:
        return {"": about | {"fault": str(error), "absent": is_absent(text)}}
    for category in categories:
        try:
            files = inventory(root, category).items()
            listing[category] = {image: digests.of(file) for image, file in files}
            if rest := left_out(root, category):
                about["left out"][category] = rest
        except OSError as error:
            about["faults"][category] = f"{error.filename}: cannot be read: {error.strerror}"
        except UserError as error:
            about["faults"][category] = str(error)
    digests.keep()
    return listing


def options(listing: Listing, unit: str, category: str) -> Listing:
    """What a listing says of one unit: {"files": …} and maybe "left out", or {"fault": line}."""
    about = listing[""]
    if fault := about.get("fault") or about["faults"].get(category):
        return {"fault": fault}
    if category in listing:
        rest = about["left out"].get(category)
        return {"files": listing[category]} | ({"left out": rest} if rest else {})
    valid = ", ".join(sorted(name for name in {*listing, *about["faults"]} if name))
    return {
        "fault": f"params.yaml: `units` has {unit!r}, but the folder {about['folder']} has no "
        f"{category!r}; it has: {valid}"
    }


class Digests:
    """Digests of files, kept where DVC keeps such: who looks often does not read all each time."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        try:
            self._known: dict[str, list[Any]] = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}
        self._seen: dict[str, list[Any]] = {}

    def of(self, file: Path) -> str:
        """The SHA-256 of a file, read only if size, time or inode are others than before."""
        facts = file.stat()
        state = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
        *before, digest = self._known.get(str(file), [None])
        if before != state:
            digest = sha256(file)
        self._seen[str(file)] = [*state, digest]
        return str(digest)

    def keep(self) -> None:
        """Remember what was seen; outside a DVC project nothing is."""
        if self._seen != self._known and self._kept.parents[2].is_dir():
            with finished_file(self._kept) as temporary:
                temporary.write_text(json.dumps(self._seen), encoding="utf-8")
