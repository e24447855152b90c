"""Zones as a person draws them: mask images and LabelMe's polygons in a folder (docs/data.md)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from blemish.core.data_params import IGNORE, RESERVED
from blemish.core.errors import UserError, suggestion
from blemish.images.formats import IMAGE_SUFFIXES
from blemish.images.labelme import Shape, check_near, labelme_shapes
from blemish.images.masks import read_mask
from blemish.images.outlines import draw_outlines, half_down
from blemish.images.zones import Mask, ZoneMap, zone_map

SHARED = "zones.json"  # polygons for all images
# What helps where a file for all images meets an image of another size.
EACH = "where images differ in size, give each a file of its own: <zone>/<image>.png, <image>.json"


class ZoneFiles:
    """The zone files of a folder.

    For all images: `<zone>.png` and the shapes in `zones.json`. For one image: `<zone>/<image>.png`
    and `<image>.json`, which win, zone by zone, over those for all: a black mask says that this
    image does not have the zone. `<image>` is the image's name without suffix; where images of
    several folders share it, its path in the unit, such as `test/scratch/000`. A mask and shapes
    of one zone add up.

    folder: may be missing, then there are no zones. names: the zones that may occur beside
    `ignore`, in the order in which they win over each other. Raises UserError naming a file of an
    unknown zone, or two files of one zone and image.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = tuple(name for name in names if name != IGNORE)
        self._masks: dict[str, Path] = {}  # zone → file for all images
        self._shapes: Path | None = None
        self._own_masks: defaultdict[str, dict[str, Path]] = defaultdict(dict)  # image → zone → …
        self._own_shapes: dict[str, Path] = {}  # image → file
        self._read: dict[tuple[int, int], dict[str, Mask]] = {}  # those for all, by size
        for path in _visible(folder):
            self._add(path)

    def __bool__(self) -> bool:
        """Whether there is any file."""
        return bool(self._masks or self._shapes or self._own_masks or self._own_shapes)

    def has_own(self, image: str) -> bool:
        """Whether an image, by its name or path without suffix, has files of its own."""
        own = self._own_masks.keys() | self._own_shapes.keys()
        return not own.isdisjoint(_names(image))

    def check_images(self, images: Iterable[str]) -> None:
        """Raise UserError naming a file that belongs to none of these images (paths without
        suffix), or by its name to several."""
        fitting: defaultdict[str, list[str]] = defaultdict(list)
        for image in images:
            for name in _names(image):
                fitting[name].append(image)
        own = [(image, path) for image, path in self._own_shapes.items()]
        own += [(image, path) for image, each in self._own_masks.items() for path in each.values()]
        for name, path in sorted(own):
            found = fitting.get(name, [])
            if not found:
                raise UserError(
                    f"{path}: no image of the unit is called {name}{suggestion(name, [*fitting])}: "
                    "name the file as its image; what is for all images is called <zone>.png or "
                    f"{SHARED}"
                )
            if len(found) > 1:
                some = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
                raise UserError(
                    f"{path}: {len(found)} images are called {name} ({some}): "
                    f"put the file into folders as its image, e.g. {found[0]}{path.suffix}"
                )

    def of(self, image: str, size: tuple[int, int]) -> ZoneMap | None:
        """The zones of an image of `size` (H, W), by its name or path without suffix; None where
        it has none.

        Raises UserError naming a file that is damaged, of another size than the image, holds
        shapes of an unknown zone, or leaves nothing of the image to be judged.
        """
        masks = {**self._shared(size), **self._own(image, size)}
        zones = zone_map(self.names, masks, size)
        if not zones.judged().any():
            raise UserError(
                f"{self.folder}: the zone `{IGNORE}` covers all of the image {image}, so that "
                "nothing of it is judged: leave a part free"
            )
        return zones if zones.index.any() else None

    def _shared(self, size: tuple[int, int]) -> dict[str, Mask]:
        """The masks for all images, read once a size."""
        if size not in self._read:
            masks = {zone: _read(path, size, EACH) for zone, path in self._masks.items()}
            for zone, mask in masks.items():
                if not mask.any():
                    raise UserError(f"{self._masks[zone]}: the zone is empty: mark it with white")
            if self._shapes:
                drawn = self._drawn(self._shapes, size, EACH)
                if not drawn:
                    raise UserError(f"{self._shapes}: holds no shape: draw the zones")
                masks = _united(masks, drawn)
            self._read[size] = masks
        return self._read[size]

    def _own(self, image: str, size: tuple[int, int]) -> dict[str, Mask]:
        files = {zone: path for name in reversed(_names(image))
                 for zone, path in self._own_masks.get(name, {}).items()}  # fmt: skip
        masks = {zone: _read(path, size, "give both one size") for zone, path in files.items()}
        shapes = [self._own_shapes[name] for name in _names(image) if name in self._own_shapes]
        return _united(masks, self._drawn(shapes[0], size, "draw them anew") if shapes else {})

    def _drawn(self, path: Path, size: tuple[int, int], remedy: str) -> dict[str, Mask]:
        """The zones whose shapes a file of LabelMe holds."""
        height, width = size
        masks: dict[str, Mask] = {}
        for shape in labelme_shapes(path, (width, height), remedy):
            zone = shape.label.strip()
            self._check_zone(zone, shape.where)
            masks = _united(masks, {zone: _draw(shape, size)})
        return masks

    def _add(self, path: Path) -> None:
        """Sort in a file or folder that lies directly in `folder`."""
        if path.is_dir() and path.name in RESERVED:
            for file in _files_below(path):
                if _is_mask(file):
                    raise UserError(f"{file}: of which zone? Put it into the folder of that zone")
                self._add_own_shapes(file, self.folder)
        elif path.is_dir():
            self._check_zone(path.name, str(path))
            for file in filter(_is_mask, _files_below(path)):
                self._add_file(self._own_masks[_stem(file, path)], path.name, file)
        elif _is_mask(path):
            self._check_zone(path.stem, str(path))
            self._add_file(self._masks, path.stem, path)
        elif path.name == SHARED:
            self._shapes = path
        else:
            self._add_own_shapes(path, self.folder)

    def _add_own_shapes(self, path: Path, top: Path) -> None:
        if path.suffix.lower() == ".json":
            self._add_file(self._own_shapes, _stem(path, top), path)

    def _add_file(self, files: dict[str, Path], key: str, path: Path) -> None:
        if key in files:
            raise UserError(f"{path}: {files[key].name} is for the same zone: remove one of them")
        files[key] = path

    def _check_zone(self, zone: str, where: str) -> None:
        known = [*self.names, IGNORE]
        if zone not in known:
            raise UserError(
                f"{where}: unknown zone {zone[:40]!r}{suggestion(zone, known)}; known: "
                f"{', '.join(known)}. Rename it, or list it in `data.zones` of params.yaml"
            )


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _files_below(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _stem(path: Path, top: Path) -> str:
    return path.relative_to(top).with_suffix("").as_posix()


def _names(image: str) -> tuple[str, ...]:
    """What a file of an image may be called, the exact first."""
    return tuple(dict.fromkeys((image, image.rpartition("/")[2])))


def _read(path: Path, size: tuple[int, int], remedy: str) -> Mask:
    mask = read_mask(path)
    if mask.shape != size:
        raise UserError(
            f"{path}: the zone is {mask.shape[1]}×{mask.shape[0]} but its image is "
            f"{size[1]}×{size[0]}: {remedy}"
        )
    return mask


def _draw(shape: Shape, size: tuple[int, int]) -> Mask:
    check_near(shape.values, (size[1], size[0]), shape.where)
    xs, ys = shape.values[::2], shape.values[1::2]
    if len(xs) > 2:
        mask = draw_outlines([half_down(list(zip(xs, ys, strict=True)))], size)
    else:
        mask = draw_outlines([((min(xs), min(ys)), (max(xs), max(ys)))], size)
    if not mask.any():
        raise UserError(f"{shape.where}: covers no pixel of the image: draw it on the image")
    return mask


def _united(first: dict[str, Mask], second: dict[str, Mask]) -> dict[str, Mask]:
    """Both, zone by zone."""
    both = {zone: np.logical_or(first[zone], second[zone]) for zone in first.keys() & second.keys()}
    return {**first, **second, **both}
