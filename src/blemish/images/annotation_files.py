"""Annotation files as JSON or text: hostile input, refused where it is too long or not finite."""

import json
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError

LONGEST = 20_000_000  # bytes of a file of boxes: thousands of them take a hundredth of it
LARGEST = 100_000_000  # bytes of a JSON file: it may hold its image


def check_length(path: Path, longest: int = LONGEST) -> None:
    """Raise UserError where an annotation file is missing or too long to be one."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"{path} is missing: fetch the unit again") from None
    if size > longest:
        raise UserError(f"{path}: {size} bytes, more than {longest}: refused; split the file")


def read_json(path: Path, what: str = "valid JSON") -> Any:
    """The value of a JSON file that is to be `what`. Raises UserError naming one that is damaged or
    too large."""
    check_length(path, LARGEST)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not {what} ({reason}): mend or replace the file") from None


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a finite number, of a size that images have."""
    return type(value) in {int, float} and abs(value) < 1e9  # type: ignore[arg-type]
