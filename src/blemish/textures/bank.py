"""Filling the texture bank: DTD, or real textures that ship in packages plus procedural ones."""

from pathlib import Path

from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import TextureParams
from blemish.core.progress import progress
from blemish.datasets.dataset import images_in
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked
from blemish.images.reading import read_image
from blemish.textures import procedural
from blemish.textures.index import write_index

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
    """Write `<class>/<file>` into an empty folder, and the index.

    Raises UserError where DTD is not available, or an image of it is damaged.
    """
    if params.source == "dtd":
        link_dtd(folder)
    else:
        write_photographs(folder)
        procedural.write_textures(folder, SIDE, params.seed)
    files = sorted(file for sub in folder.iterdir() if sub.is_dir() for file in images_in(sub))
    for file in progress(files, "checking textures", len(files), "image"):
        read_image(file)  # raises an error that names a damaged file, here and not in training
    write_index(files, folder, params.validation_fraction, params.seed)


def link_dtd(folder: Path) -> None:
    """Link the images of DTD into folders of their classes. Raises UserError if there are none."""
    tree = unpacked(DTD)
    images = sorted(tree.glob("**/images/*/*.jpg"))
    for image in images:
        link(image, folder / image.parent.name / image.name)
    if not images:
        raise UserError(f"textures: the DTD archive holds no images/<category>/*.jpg (in {tree})")


def write_photographs(folder: Path) -> None:
    """Write tiles of the photographs that the packages ship, each photograph a class."""
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
