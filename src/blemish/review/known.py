"""What is known of a unit that was prepared: its kinds of defects, and how 16 bits are read."""

from pathlib import Path

from blemish.images.manifest import read_manifest
from blemish.images.reading import Levels


def known_of(prepared: Path) -> tuple[list[str], Levels | None]:
    """Kinds of defects, black and white of 16-bit images; nothing where there is no manifest."""
    if not (prepared / "manifest.parquet").is_file():
        return [], None
    manifest = read_manifest(prepared)
    kinds = sorted(set(manifest.rows["defect"][manifest.rows["label"] == 1]))
    return kinds, manifest.facts.levels
