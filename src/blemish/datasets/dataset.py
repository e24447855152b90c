"""What a registered data set is: its facts, how its bytes arrive, and how its layout is read."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blemish.download.archive import Archive

# A polygon in pixels of the published image, x before y; two points are the corners of a box.
Outline = tuple[tuple[float, float], ...]
# Category ("" for the sum of all) → numbers of images by "train", "val", "test_good",
# "test_defective".
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Item:
    """One image of a published layout, before it is restructured.

    The annotation is `mask`, whose pixels above `mask_threshold` are anomalous (None: by what the
    file holds, see `images.masks`); or `outlines`, to
    be drawn; or `channels`, a folder of PNGs whose union is the mask and which is kept (LOCO).
    `split` is "train", "val" or "test" as published, or None where the publisher gives no split.
    Images that show the same object share a `group`. `slice` names a test subset ("" is the main
    one). A `tile` (left, top, width, height) is cut out of `image` and its annotation.
    """

    image: Path
    defect: str
    split: str | None = None
    mask: Path | None = None
    mask_threshold: int | None = None
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
    numbers. `files` are kept beside the images under their own names. `own_split`: who is in the
    test is a rule of ours, as the publisher says nothing of it. `one_scene`: all images show one
    photograph, so that every normal image is a twin of others, in training and test.
    """

    items: list[Item]
    masks: str
    extra_slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    own_split: bool = False
    one_scene: bool = False


@dataclass(frozen=True)
class DataSet:
    """A registered data set.

    `fetch(category, folder)` fills an empty folder with the bytes of a unit as published;
    `layout(folder, category)` says which image of that folder is what. Both raise UserError where
    the archive is not what the publisher describes.

    `archives`: for each archive that is needed its alternatives; `{category}` in a file name
    stands for the unit's category. `package`: the Python package that holds the data, if one does.
    `expected`: the published counts, as far as they are known. `open_categories`: the publisher
    does not list the categories; `categories` are those at hand, and any name may be asked for.
    `fault`: why a user's own folder cannot be read on this machine, "" if it can.
    """

    name: str
    title: str
    categories: tuple[str, ...]
    licence: str
    citation: str
    home: str
    fetch: Callable[[str, Path], None]
    layout: Callable[[Path, str], Layout]
    archives: tuple[tuple[Archive, ...], ...] = ()
    package: str = ""
    expected: Counts = field(default_factory=dict)
    open_categories: bool = False
    fault: str = ""


def published_counts(table: Mapping[str, tuple[int, int, int]]) -> Counts:
    """`DataSet.expected` from category → (train, good test, defective test) images."""
    names = ("train", "test_good", "test_defective")
    return {category: dict(zip(names, row, strict=True)) for category, row in table.items()}


def for_category(archives: Sequence[Archive], category: str) -> tuple[Archive, ...]:
    """Alternatives of `DataSet.archives` with `{category}` in their file names replaced."""
    return tuple(
        replace(archive, file=archive.file.format(category=category)) for archive in archives
    )


# What is read, by Pillow's name of the format. Formats that run a program (EPS), hold documents
# (PDF) or only announce an image are none of them: files are hostile input.
FORMATS = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "PPM": ".ppm .pgm .pbm .pnm",
    "GIF": ".gif",
    "TGA": ".tga .icb .vda .vst",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "AVIF": ".avif",
    "PCX": ".pcx",
    "SGI": ".sgi .bw .rgb .rgba",
    "QOI": ".qoi",
}
IMAGE_FORMATS = tuple(FORMATS)
IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes.split())


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def images_in(folder: Path) -> Iterable[Path]:
    """The image files directly in a folder, sorted by name; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if is_image(path) and not path.name.startswith(".")
    )


def data_set(
    name: str, folders: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> DataSet:
    """The data set behind a unit's first word: a published one, or one of `data.folders`.

    `options`: what params.yaml sets for a data set that has settings, which is lcdsim.
    """
    module = importlib.import_module(module_name(name, folders))
    if name in folders:
        made: DataSet = module.folder_data_set(name, folders[name])
        return made
    members: tuple[DataSet, ...] = module.with_options(options) if options else module.DATA_SETS
    return {member.name: member for member in members}[name]


def module_name(name: str, folders: Mapping[str, str]) -> str:
    """The module that defines a data set. It and the registry are imported by name: a unit depends
    on its own set's code alone, through the digest that the stage `sources` writes."""
    if name in folders:
        return "blemish.datasets.own_folder"
    registry = importlib.import_module("blemish.datasets.registry")
    return f"blemish.datasets.{registry.DATA_SETS[name]}"


def split_unit(unit: str) -> tuple[str, str]:
    """`elpv/mono` → (`elpv`, `mono`)."""
    name, _, category = unit.partition("/")
    return name, category
