"""What a registered data set is: its facts, how its bytes arrive, and how its layout is read."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Item:
    """One image of a published layout, before it is restructured.

    `mask` is the published annotation; pixels above `mask_threshold` are anomalous. `split` is
    "train" or "test" as published, or None where the publisher gives no split. Images that show
    the same object share a `group`. `slice` names a test subset ("" is the main one).
    """

    image: Path
    defect: str
    split: str | None = None
    mask: Path | None = None
    mask_threshold: int = 0
    slice: str = ""
    group: str | None = None

    @property
    def label(self) -> int:
        """0 for a good image, 1 for a defective one."""
        return int(self.defect != "good")


@dataclass(frozen=True)
class Layout:
    """What `DataSet.layout` returns: the images and what must be said about them."""

    items: list[Item]
    masks: str  # "pixel", "boxes" or "none"
    extra_slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A registered data set. Functions take plain values so that DVC can hash all they depend on.

    `options(params.data)` gives the JSON-able settings that decide the unit's bytes;
    `fetch(category, options, folder)` fills an empty folder with the bytes as published;
    `layout(folder, category)` says which image is what.
    """

    name: str
    title: str
    categories: tuple[str, ...]
    licence: str
    citation: str
    home: str
    fetch: Callable[[str, dict[str, Any], Path], None]
    layout: Callable[[Path, str], Layout]
    options: Callable[[Any], dict[str, Any]] = lambda _: {}


IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def images_in(folder: Path) -> Iterable[Path]:
    """The image files directly in a folder, sorted by name; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def data_set(name: str, folders: Mapping[str, str]) -> DataSet:
    """The data set behind a unit's first word: a published one, or one of `data.folders`."""
    module = importlib.import_module(module_name(name, folders))
    found: DataSet = (
        module.folder_data_set(name, folders[name]) if name in folders else module.DATA_SET
    )
    return found


def module_name(name: str, folders: Mapping[str, str]) -> str:
    """The module that defines a data set. Imported by name: a unit depends on its own set alone,
    through the digest that the stage `sources` writes."""
    return "blemish.data.sets." + ("folder" if name in folders else name.replace("-", "_"))


def split_unit(unit: str) -> tuple[str, str]:
    """`elpv/mono` → (`elpv`, `mono`)."""
    name, _, category = unit.partition("/")
    return name, category
