"""What a registered data set is: its facts, how its bytes arrive, and how its layout is read."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A polygon in pixels of the published image, x before y; two points are the corners of a box.
Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Item:
    """One image of a published layout, before it is restructured.

    The annotation is `mask`, whose pixels above `mask_threshold` are anomalous; or `outlines`, to
    be drawn; or `channels`, a folder of PNGs whose union is the mask and which is kept (LOCO).
    `split` is "train", "val" or "test" as published, or None where the publisher gives no split.
    Images that show the same object share a `group`. `slice` names a test subset ("" is the main
    one). A `tile` (left, top, width, height) is cut out of `image` and its annotation.
    """

    image: Path
    defect: str
    split: str | None = None
    mask: Path | None = None
    mask_threshold: int = 0
    slice: str = ""
    group: str | None = None
    outlines: tuple[Outline, ...] = ()
    channels: Path | None = None
    tile: tuple[int, int, int, int] | None = None

    @property
    def label(self) -> int:
        """0 for a good image, 1 for a defective one."""
        return int(self.defect != "good")

    @property
    def has_mask(self) -> bool:
        """Whether the annotation says where the defect is."""
        return bool(self.mask or self.outlines or self.channels)


@dataclass(frozen=True)
class Layout:
    """What `DataSet.layout` returns: the images and what must be said about them.

    `masks`: "pixel", "boxes", "polygons" or "none". `extra_slices` stay outside the headline
    numbers. `files` are kept beside the images under their own names.
    """

    items: list[Item]
    masks: str
    extra_slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A registered data set. Functions take plain values so that DVC can hash all they depend on.

    `options(params.data)` gives the JSON-able settings that decide the unit's bytes;
    `fetch(category, options, folder)` fills an empty folder with the bytes as published;
    `layout(folder, category)` says which image is what.

    `archives`: for each archive that is needed its alternatives, `blemish.download.Archive`;
    `{category}` in a file name stands for the unit's category.
    `expected`: category ("" for the sum of all) → published counts of "train", "val",
    "test_good", "test_defective", as far as they are known. `open_categories`: the publisher does
    not list the categories; `categories` are those at hand, and any name may be asked for.
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
    # Not imported for its type: the stages that never download need not depend on that code.
    archives: tuple[tuple[Any, ...], ...] = ()
    expected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    open_categories: bool = False


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
    return "blemish.datasets." + ("own_folder" if name in folders else name.replace("-", "_"))


def split_unit(unit: str) -> tuple[str, str]:
    """`elpv/mono` → (`elpv`, `mono`)."""
    name, _, category = unit.partition("/")
    return name, category
