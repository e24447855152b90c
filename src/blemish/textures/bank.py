"""Filling the texture bank: DTD, or real textures that ship in packages plus procedural ones."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import TextureParams
from blemish.core.progress import progress
from blemish.datasets.dataset import images_in
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked
from blemish.images.reading import read_image
from blemish.synthesis import INDEX
from blemish.textures import procedural

SIDE = 320  # pixels; a little more than the published 288, so that nothing is enlarged much

DTD = [
    Archive(
        file="dtd-r1.0.1.tar.gz",
        checksum="md5:fff73e5086ae6bdbea199a49dfb8a4c1",
        by_hand="the Describable Textures Dataset, www.robots.ox.ac.uk/~vgg/data/dtd",
    ),
    Archive(
        file="dtd-10of47.tar",
        checksum="sha256:752f5f90616eb2665f19f89d3a22221836165fd84b4d3d262958cfb85431510e",
    ),
    Archive(
        file="dtd-r1.0.1.tar.gz",
        checksum="md5:fff73e5086ae6bdbea199a49dfb8a4c1",
        urls=("https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",),
    ),
]

# Photographs that scikit-image and scikit-learn ship inside their packages; all are cut into
# tiles, and each file is one texture class.
SKIMAGE = (
    "brick", "grass", "gravel", "chelsea", "coffee", "coins", "hubble_deep_field",
    "immunohistochemistry", "moon", "page", "rocket",
)  # fmt: skip
SKLEARN = ("china.jpg", "flower.jpg")


def build_bank(params: TextureParams, folder: Path) -> None:
    """Write `<class>/<file>` and the index that says which class serves which purpose.

    A texture class serves training or validation, never both. Raises UserError where DTD cannot
    be had or is damaged.
    """
    if params.source == "dtd":
        _unpack_dtd(folder)
    else:
        _builtin_photographs(folder)
        procedural.write_textures(folder, SIDE, params.seed)
    files = sorted(file for sub in folder.iterdir() if sub.is_dir() for file in images_in(sub))
    classes = sorted({file.parent.name for file in files})
    for file in progress(files, "checking textures", len(files), "image"):
        read_image(file)  # raises an error that names a damaged file, here and not in training
    held_out = set(_held_out(classes, params))
    rows = [
        {
            "file": file.relative_to(folder).as_posix(),
            "class": file.parent.name,
            "purpose": "validation" if file.parent.name in held_out else "train",
        }
        for file in files
    ]
    pd.DataFrame(rows).to_csv(folder / INDEX, index=False)


def _held_out(classes: Sequence[str], params: TextureParams) -> list[str]:
    """The classes for validation: the first share in the order of a seeded hash."""
    if len(classes) < 2:
        raise UserError(
            f"textures: found {len(classes)} class(es), but training and validation each need "
            "one of their own: add texture folders"
        )
    ordered = sorted(
        classes, key=lambda name: hashlib.sha256(f"{params.seed}:{name}".encode()).digest()
    )
    return ordered[
        : min(max(1, round(params.validation_fraction * len(classes))), len(classes) - 1)
    ]


def _unpack_dtd(folder: Path) -> None:
    tree = unpacked(DTD)
    images = sorted(tree.glob("**/images/*/*.jpg"))
    for image in images:
        link(image, folder / image.parent.name / image.name)
    if not images:
        raise UserError(f"textures: the DTD archive holds no images/<category>/*.jpg (in {tree})")


def _builtin_photographs(folder: Path) -> None:
    import skimage.data
    from sklearn.datasets import load_sample_image

    for name in SKIMAGE:
        _write_tiles(Image.fromarray(getattr(skimage.data, name)()).convert("RGB"), folder / name)
    for name in SKLEARN:
        _write_tiles(Image.fromarray(load_sample_image(name)), folder / name.partition(".")[0])


def _write_tiles(photograph: Image.Image, folder: Path) -> None:
    """Cut a photograph into tiles of SIDE pixels (of its own shorter side if that is less)."""
    folder.mkdir(parents=True)
    side = min(SIDE, *photograph.size)
    places = [
        (left, top)
        for top in _starts(photograph.height, side)
        for left in _starts(photograph.width, side)
    ]
    for number, (left, top) in enumerate(places):
        tile = photograph.crop((left, top, left + side, top + side))
        tile.save(folder / f"{number:02d}.png")


def _starts(length: int, side: int) -> list[int]:
    """Evenly spread starts of tiles that cover `length`, at most three."""
    count = min(3, -(-length // side))
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
