"""All annotations of an own folder's images: masks, files of outlines, COCO's lists."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item
from blemish.datasets.layouts.boxes import image_size
from blemish.datasets.layouts.coco import Coco, CocoImage, coco_defects, is_coco, read_coco
from blemish.datasets.layouts.own.marks import (
    Mark,
    annotation_files,
    class_files,
    json_if_whole,
    kinds_of_classes,
    mark,
    marks_in,
)
from blemish.datasets.layouts.own.pairs import Pairs, is_among, pair, places
from blemish.datasets.layouts.own.tree import Tree
from blemish.datasets.layouts.own.words import folded

EXACT = ("pixel", "polygons", "boxes")  # from the most to the least exact


@dataclass
class Annotations:
    """What is known of each image: its mask, or its outlines (none: the file says there is no
    defect); and which files say so."""

    masks: Pairs
    marks: dict[Path, list[Mark]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)  # notes on images that are only listed
    has_lists: bool = False  # whether COCO's files say which images they describe

    def of(self, image: Path) -> Path | list[Mark] | None:
        """An image's mask or its outlines; None if nothing is said of it."""
        return self.masks.get(image) or self.marks.get(image)

    def knows(self, image: Path) -> bool:
        """Whether anything is said of an image, be it that there is no defect."""
        return image in self.masks or image in self.marks

    def how(self, images: Sequence[Path]) -> str:
        """How exact the least exact annotation of these images is; "none" without any."""
        hows = {mark.how for image in images for mark in self.marks.get(image, ())}
        hows |= {"pixel" for image in images if image in self.masks}
        return max(hows, key=EXACT.index, default="none")

    def item(
        self, tree: Tree, image: Path, kind: str, split: str | None, group: str | None
    ) -> Item:
        """A defective image with its annotation."""
        mask = self.masks.get(image)
        outlines = tuple(line for mark in self.marks.get(image, ()) for line in mark.outlines)
        path = tree.root / mask if mask else None
        return Item(tree.root / image, kind, split, path, outlines=outlines, group=group)


def find_annotations(tree: Tree, images: Sequence[Path], masks: Sequence[Path]) -> Annotations:
    """The annotations of `images`; `masks` are the image files that are no photographs.

    A mask counts before outlines. Raises UserError naming what is damaged or belongs to two.
    """
    annotations = Annotations(pair(tree, images, masks))
    annotations.files |= set(annotations.masks.values())
    left = [image for image in images if image not in annotations.masks]
    files = annotation_files(tree, left)
    kinds = kinds_of_classes(tree) if any(file.suffix == ".txt" for file in files.values()) else ()
    for image, file in files.items():
        annotations.marks[image] = marks_in(tree, image, file, kinds)
    annotations.files |= set(files.values()) | (set(class_files(tree)) if kinds else set())
    named = set(files.values())
    others = [file for file in tree.texts if file.suffix.lower() == ".json" and file not in named]
    for file in others:
        content = json_if_whole(tree, file)
        if is_coco(content):
            _add_listed(tree, left, file, read_coco(tree.root / file, content), annotations)
    return annotations


def _add_listed(
    tree: Tree, images: Sequence[Path], file: Path, coco: Coco, annotations: Annotations
) -> None:
    """The defects of the images that one of COCO's files lists."""
    annotations.has_lists = True
    there = {folded(image.name) for image in tree.images}
    absent = sum(folded(Path(name).name) not in there for name in coco.images)
    for image, listed in _listed(tree, images, file, coco):
        if image in annotations.marks:
            raise UserError(
                f"{tree.root / file} and another file: both hold annotations of {image}: keep one"
            )
        defects = coco_defects(coco, listed, image_size(tree.root / image))
        annotations.marks[image] = [mark(defect) for defect in defects]
        annotations.files.add(file)
    if absent:
        annotations.missing.append(f"{absent} image(s) that {file} lists are not there.")


def _listed(
    tree: Tree, images: Sequence[Path], file: Path, coco: Coco
) -> Iterator[tuple[Path, CocoImage]]:
    """The images that a file lists, by the end of their path, else by their mere names."""
    by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for image in images:
        if is_among(places(file), places(image)):
            by_name[folded(image.name)].append(image)
    for name, listed in coco.images.items():
        near = by_name.get(folded(Path(name).name), [])
        exact = [
            image for image in near if f"/{folded(image.as_posix())}".endswith(f"/{folded(name)}")
        ]
        fits = exact or near
        if len(fits) > 1:
            raise UserError(
                f"{tree.root / file}: its image {name[:80]!r} may be {fits[0]} or {fits[1]}: put "
                "the file into the folder of its images"
            )
        if fits:
            yield fits[0], listed


def largest(marks: Sequence[Mark]) -> str:
    """The type of the largest defect."""
    areas: defaultdict[str, float] = defaultdict(float)
    for defect in marks:
        areas[defect.kind] = max(areas[defect.kind], defect.area)
    return max(areas, key=lambda kind: areas[kind])
