"""aitex: strips of seven woven fabrics with pixel masks (Silvestre-Blanes et al.)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout, images_in
from blemish.datasets.layouts.archive_tree import folders_below, link_tree
from blemish.datasets.layouts.regions import mask_runs
from blemish.datasets.layouts.tiles import grid
from blemish.download.archive import Archive, hand_placed
from blemish.download.fetch import unpacked
from blemish.images.masks import read_mask
from blemish.images.reading import read_image

HOME = "aitex.es/afid"
URL = "https://newweb.aitex.es/wp-content/uploads/2019/07"
PARTS = {
    "NODefect_images": "4409ca615f069e0b92eaf1bd2058c8a37d9cb983f3aad205e7d69f30816f5664",
    "Defect_images": "2153ef691020ce0c6a0acaee2d1de76c75f0784a04b931706de7d5e1df7a1b63",
    "Mask_images": "2d64486dbb5a2e1aa462b43c0f19e614af5aea6607c11d1a928e4ad9feb558d5",
}
ARCHIVES = tuple(
    (
        Archive(f"{name}.7z", f"sha256:{digits}", urls=(f"{URL}/{name}.7z",), by_hand=HOME),
        *(archive for archive in hand_placed(name, HOME) if not archive.file.endswith(".7z")),
    )
    for name, digits in PARTS.items()
)
FABRICS = ("00", "01", "02", "03", "04", "05", "06")
# Image, defect (000: none) and fabric; a defect's masks are `…_mask.png`, or `…_mask1.png` and
# `…_mask2.png`.
NAME = re.compile(r"(?P<strip>\d{4}_(?P<code>\d{3})_(?P<fabric>\d\d))(?P<mask>_mask\d?)?")
CODES = {
    "002": "broken_end",
    "006": "broken_yarn",
    "010": "broken_pick",
    "016": "weft_curling",
    "019": "fuzzyball",
    "022": "cut_selvage",
    "023": "crease",
    "025": "warp_ball",
    "027": "knots",
    "029": "contamination",
    "030": "nep",
    "036": "weft_crack",
}
# Strips are 4096×256: shrunk whole to what a network sees, a nep of a few pixels would vanish.
SIDE = 256
NOTES = (
    f"aitex's strips are cut into tiles of {SIDE} px, judged by their masks; a tile of one grey "
    "level shows no cloth and is left out.",
    "aitex has no published split: good strips are divided by a seeded rule, all tiles of a strip "
    "together.",
)


def fetch(category: str, folder: Path) -> None:
    """Link the strips and masks of a fabric."""

    def wanted(file: Path) -> bool:
        name = NAME.fullmatch(file.stem)
        return name is not None and name["fabric"] == category

    for part, archives in zip(PARTS, ARCHIVES, strict=True):
        expected = f"no image of fabric {category}: expected names like 0001_002_{category}.png"
        link_tree(unpacked(archives), folder / part, wanted, expected)


def layout(folder: Path, _category: str) -> Layout:
    """Tiles of good strips, to be divided, and those of defective strips, for the test."""
    items: list[Item] = []
    for strip in _strips(folder / "NODefect_images"):
        items += _tiles(strip, None)
    masks: dict[str, list[Path]] = {}
    for file in _strips(folder / "Mask_images"):
        masks.setdefault(_name(file)["strip"], []).append(file)
    unknown = []
    for strip in _strips(folder / "Defect_images"):
        mask = _union(strip, masks.get(strip.stem, []))
        if mask.any():
            items += _tiles(strip, mask)
        else:
            unknown.append(strip.name)
    notes = list(NOTES)
    if unknown:
        notes.append(
            f"{len(unknown)} defective strip(s) without a mask are not used: {', '.join(unknown)}."
        )
    return Layout(items, masks="pixel", notes=tuple(notes), own_split=True)


def _strips(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: fetch the unit again")
    images = [image for inner in folders_below(folder) for image in images_in(inner)]
    return sorted(images, key=lambda image: image.name)


def _name(file: Path) -> re.Match[str]:
    name = NAME.fullmatch(file.stem)
    if name is None:
        raise UserError(f"{file}: expected a name like 0001_002_00.png")
    return name


def _union(strip: Path, masks: list[Path]) -> NDArray[np.bool_]:
    """The masks of a strip (H, W) together; all False without any."""
    union: NDArray[np.bool_] = np.zeros(read_image(strip).shape[:2], bool)
    for file in masks:
        values = read_mask(file)
        if values.shape != union.shape:
            raise UserError(
                f"{file}: the mask is {values.shape[1]}×{values.shape[0]} but its strip is "
                f"{union.shape[1]}×{union.shape[0]}: fetch the unit again"
            )
        union |= values
    return union


def _tiles(strip: Path, mask: NDArray[np.bool_] | None) -> Iterator[Item]:
    """The tiles of a strip that show cloth; those without defect of a defective one are good."""
    pixels = read_image(strip)
    code = str(_name(strip)["code"])
    split = None if mask is None else "test"
    rows, columns = pixels.shape[:2]
    for tile in grid((columns, rows), SIDE):
        left, top, width, height = tile
        place = slice(top, top + height), slice(left, left + width)
        shown = np.zeros((height, width), bool) if mask is None else mask[place]
        if shown.any():
            kind = CODES.get(code, f"code_{code}")
            outlines = tuple(
                ((start + left, row + top), (end + left, row + top + 1))
                for start, end, row in mask_runs(shown)
            )
            yield Item(strip, kind, split, group=strip.stem, tile=tile, outlines=outlines)
        elif np.ptp(pixels[place]):
            yield Item(strip, "good", split, group=strip.stem, tile=tile)


DATA_SETS = (
    DataSet(
        name="aitex",
        title="AITEX, strips of seven fabrics",
        categories=FABRICS,
        licence="none stated",
        citation="Silvestre-Blanes et al., A public fabric database for defect detection methods "
        "and results, Autex Research Journal 19 (2019)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
    ),
)
