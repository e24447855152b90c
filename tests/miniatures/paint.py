"""Small pictures, masks and archives for the miniatures of published data sets."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 16)  # width, height
Corners = tuple[int, int, int, int]


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """An image of noise that follows from its whole path, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = list("/".join(path.parts[-5:]).encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def board(path: Path, size: tuple[int, int]) -> Path:
    """A JPEG of grey fields of 10 px that follow from its name, as fine as a circuit's lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(path.name.encode()))
    fields = random.integers(60, 200, (size[1] // 10, size[0] // 10)).astype(np.uint8)
    Image.fromarray(fields).resize(size, Image.Resampling.NEAREST).convert("RGB").save(
        path, quality=95
    )
    return path


def pasted(template: Path, path: Path, box: Corners) -> Path:
    """The template with the colours inverted in a box, saved as JPEG again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(Image.open(template)).copy()
    place = slice(box[1], box[3]), slice(box[0], box[2])
    pixels[place] = np.where(pixels[place] < 128, 255, 0)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def mask(
    path: Path,
    value: int = 255,
    box: Corners = (2, 3, 6, 7),
    size: tuple[int, int] = SIZE,
) -> Path:
    """A grey mask with `value` in the box left, top, right, bottom (the ends excluded)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = value
    Image.fromarray(pixels).save(path)
    return path


def palette_mask(path: Path, index: int = 1) -> Path:
    """A palette PNG as PASCAL VOC has them: 0 is black, the classes are dark colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8)
    pixels[3:7, 2:6] = index
    image = Image.fromarray(pixels, mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    image.save(path)
    return path


def voc(path: Path, kind: str, box: Corners, size: tuple[int, int]) -> Path:
    """A PASCAL VOC file with one object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = "".join(
        f"<{key}>{value}</{key}>"
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    path.write_text(
        f"<annotation><filename>{path.stem}.jpg</filename>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
        f"<object><name>{kind}</name><bndbox>{corners}</bndbox></object></annotation>"
    )
    return path


def pack(folder: Path, archive: Path) -> Path:
    """The files below `folder` as a zip or tar archive, by the archive's suffix."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(folder))
    else:
        with tarfile.open(archive, "w:xz" if archive.suffix == ".xz" else "w") as packed_tar:
            for file in files:
                packed_tar.add(file, file.relative_to(folder))
    return archive
