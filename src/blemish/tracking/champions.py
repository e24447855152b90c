"""`champions/dvc.yaml`: DVC's own names of the chosen models, for `dvc artifacts get`.

A file of its own, which only `blemish promote` writes: DVC fills no variables into `artifacts:`.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blemish.core.errors import UserError
from blemish.core.files import finished_file

CHAMPIONS = Path("champions/dvc.yaml")
PLAIN = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9/_-]*[a-zA-Z0-9])?")  # what DVC takes as a name


def write_champion(root: Path, unit: str, model: Path, meta: dict[str, Any]) -> None:
    """Name the folder `model`, below `root`, as the artifact of a unit; the others stay.

    Raises UserError where the file is there and is not what this function writes.
    """
    file = root / CHAMPIONS
    content = _content(file)
    content["artifacts"][artifact_name(unit)] = {
        "path": f"../{model.relative_to(root).as_posix()}",
        "type": "model",
        "desc": f"Blemish's champion of {unit}",
        "meta": meta,
    }
    yaml = YAML()
    yaml.default_flow_style = False
    with finished_file(file) as temporary:
        yaml.dump(content, temporary)


def artifact_name(unit: str) -> str:
    """The unit itself, or what DVC takes of its letters, and a digest."""
    if PLAIN.fullmatch(unit):
        return unit
    letters = re.sub(r"[^a-zA-Z0-9]+", "-", unit).strip("-")
    digest = hashlib.sha256(unit.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{letters}-{digest}".lstrip("-")


def _content(file: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(file) if file.exists() else {"artifacts": {}}
    except (YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("artifacts"), dict):
        raise UserError(f"{file}: not a list of artifacts: restore it from git, or remove it")
    return content
