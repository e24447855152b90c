"""The way out for archives that Blemish does not unpack itself."""

from pathlib import Path

from blemish.core.errors import UserError

from .archive import DOWNLOADS, Archive


def unpack_by_hand(path: Path, reason: str) -> UserError:
    """The error that says why, and which folder to unpack the archive to instead."""
    folder = DOWNLOADS / Archive(path.name).stem
    return UserError(f"{path}: cannot be unpacked ({reason}): unpack it by hand into {folder}/")
