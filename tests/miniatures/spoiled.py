"""A unit's raw folder made of a miniature in which something was changed."""

import shutil
from collections.abc import Callable
from pathlib import Path

from blemish.datasets.dataset import Layout, data_set, split_unit
from blemish.download.archive import Archive
from tests.miniatures import MINIATURES

TREES = {one.unit: one.archives for one in MINIATURES}


def fetched(unit: str, change: Callable[[Path], object], tmp_path: Path) -> tuple[Path, Layout]:
    """The raw folder of a unit whose first archive was changed, placed as folders by hand."""
    for number, (name, builder) in enumerate(TREES[unit].items()):
        place = Path("data/downloads") / Archive(name).stem
        place.mkdir(parents=True)
        builder(place)
        if not number:
            change(place)
    name, category = split_unit(unit)
    published = data_set(name, {})
    raw = tmp_path / "raw"
    raw.mkdir()
    published.fetch(category, raw)
    return raw, published.layout(raw, category)


def drop(pattern: str) -> Callable[[Path], None]:
    """Remove what matches."""

    def change(place: Path) -> None:
        found = list(place.glob(pattern))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def write(pattern: str, text: str) -> Callable[[Path], None]:
    """Overwrite the one file that matches."""

    def change(place: Path) -> None:
        (path,) = place.glob(pattern)
        path.write_text(text)

    return change


def other(place: Path) -> None:
    """Something else altogether lies there."""
    shutil.rmtree(place)
    place.mkdir()
    (place / "readme.md").touch()
