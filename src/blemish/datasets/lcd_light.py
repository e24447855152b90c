"""lcd-light: a lit display with spots, lines and mura in boxes (the authors of DACA-Net)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from blemish.core.completeness import differing
from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Layout, images_in
from blemish.datasets.layouts.archive_tree import folders_below, link_tree
from blemish.datasets.layouts.boxes import Box, image_size, voc_boxes, yolo_boxes
from blemish.datasets.layouts.class_names import LISTS, TABLES, class_names
from blemish.datasets.layouts.tiles import Annotated, tile_items
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked
from blemish.images.formats import IMAGE_SUFFIXES

HOME = "github.com/SijieLuo/Detail-aware-network-with-contrast-attention"
ARCHIVES = (hand_placed("lcd-light", f"the Baidu drive linked by {HOME}, renamed"),)
# Images are 768×1280: 3×5 tiles, in which a spot of a few pixels is still seen.
SIDE = 256
EVERY = 5  # every fifth image, in the order of names, is for the test
PUBLISHED_IMAGES = 1608
PUBLISHED_KINDS = ("mura", "line", "spot")  # the classes 0, 1, 2 where no file names them


def fetch(_category: str, folder: Path) -> None:
    """Link the images, the annotations and the names of the classes, wherever they lie."""
    suffixes = IMAGE_SUFFIXES | TABLES | {".xml", ".txt", ".names"}
    expected = "expected images with VOC xml or YOLO txt files"
    root = unpacked(ARCHIVES[0])
    link_tree(root, folder, lambda file: file.suffix.lower() in suffixes, expected)


def layout(folder: Path, _category: str) -> Layout:
    """Tiles; a box file belongs to the image of its stem, wherever the two lie."""
    files = [file for inner in folders_below(folder) for file in sorted(inner.iterdir())]
    kinds = class_names(files)
    annotated = list(_images(folder, files, kinds or PUBLISHED_KINDS))
    items, unused = tile_items(annotated, SIDE)
    notes = [
        f"lcd-light has no normal images: normals are {SIDE} px tiles that touch no annotated "
        "box; masks are drawn from the boxes.",
        f"lcd-light has no published split: every {EVERY}th image, in the order of names, is the "
        f"test, the others give only their normal tiles to training; {unused} defective tiles of "
        "theirs are not used.",
        "Its authors augmented the images (1,608 in all): copies of one photograph may lie on both "
        "sides of the split where the twin guard does not know them again.",
    ]
    if not kinds and any(file.suffix.lower() == ".txt" for file in files):
        notes.append(f"No file names the classes: 0, 1, 2 are {', '.join(PUBLISHED_KINDS)}.")
    notes += differing(len(annotated), PUBLISHED_IMAGES)
    return Layout(items, masks="boxes", notes=tuple(notes), own_split=True)


def _images(folder: Path, files: Sequence[Path], kinds: Sequence[str]) -> Iterator[Annotated]:
    """The images in the order of their names, with their boxes."""
    images = sorted(
        (image for inner in folders_below(folder) for image in images_in(inner)),
        key=lambda image: image.name,
    )
    voc = _by_stem([file for file in files if file.suffix.lower() == ".xml"])
    labels = [file for file in files if file.suffix.lower() == ".txt"]
    yolo = _by_stem([file for file in labels if file.name.lower() not in LISTS])
    _by_stem(images)
    for number, image in enumerate(images, 1):
        boxes = _boxes(image, voc, yolo, kinds)
        yield Annotated(image, boxes, image.stem, number % EVERY == 0)


def _by_stem(files: Sequence[Path]) -> dict[str, Path]:
    """Files by their stems, which tell what belongs together and so must be unique."""
    by_stem: dict[str, Path] = {}
    for file in files:
        other = by_stem.setdefault(file.stem, file)
        if other != file:
            raise UserError(f"{file} and {other}: the same name: rename one and its box")
    return by_stem


def _boxes(
    image: Path, voc: dict[str, Path], yolo: dict[str, Path], kinds: Sequence[str]
) -> list[Box]:
    if image.stem in voc:
        return voc_boxes(voc[image.stem], image_size(image))
    if image.stem not in yolo:
        raise UserError(
            f"{image}: no boxes: expected {image.stem}.xml (VOC) or {image.stem}.txt (YOLO)"
        )
    return yolo_boxes(yolo[image.stem], image_size(image), kinds)


DATA_SETS = (
    DataSet(
        name="lcd-light",
        title="A lit LCD: spots, lines, mura",
        categories=("panel",),
        licence="none stated",
        citation="DACA-Net: detail-aware network with contrast attention for display defects, "
        "Displays (2024)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
    ),
)
