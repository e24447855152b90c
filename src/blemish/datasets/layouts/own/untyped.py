"""The shapes in which an image's annotation tells whether it is good: no folder's name does.

DAGM (`Train/0001.PNG`, `Train/Label/0001_label.PNG`), KolektorSDD (`kos01/Part0.jpg`,
`kos01/Part0_label.bmp`), KolektorSDD2 (`train/10000.png`, `train/10000_GT.png`), exports of
Roboflow and other tools (COCO, YOLO, VOC), and images beside their LabelMe files.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, is_image
from blemish.datasets.layouts.own.annotations import Annotations, find_annotations, largest
from blemish.datasets.layouts.own.look import is_empty_mask
from blemish.datasets.layouts.own.marks import SUFFIXES
from blemish.datasets.layouts.own.pairs import beside, check_doubtful, named_like
from blemish.datasets.layouts.own.reading import Reading
from blemish.datasets.layouts.own.tree import Tree
from blemish.datasets.layouts.own.words import (
    IMAGES,
    MASKS,
    folded,
    is_split,
    split_of,
    without_mask_suffix,
    word,
)

WORDS = MASKS | IMAGES
DEFECT = "defect"  # the type where nothing names one


def is_annotated(tree: Tree) -> bool:
    """Whether images lie in no folder but those of parts and of images, with annotations; or, in
    folders of an object each, all with a mask beside them. Read from the names alone."""
    images = [file for file in tree.files if is_image(file) and not _in_masks(file)]
    names = {(image.parent, folded(name)) for image in images for name in (image.name, image.stem)}
    masks = {image for image in images if _is_mask_by_name(image, names)}
    photographs = [image for image in images if image not in masks]
    if any(not _own_folders(image) for image in photographs):
        stems = [(image.parent, folded(image.stem)) for image in photographs]
        annotated = masks or _in_files(tree, photographs) or len(set(stems)) < len(stems)
        return bool(annotated)
    in_objects = all(_own_folders(image) == [image.parent.name] for image in photographs)
    return bool(photographs) and in_objects and len(masks) >= len(photographs)


def _own_folders(image: Path) -> list[str]:
    return [part for part in image.parts[:-1] if not is_split(part) and word(part) not in WORDS]


def _in_masks(file: Path) -> bool:
    return any(word(part) in MASKS for part in file.parts[:-1])


def _is_mask_by_name(image: Path, names: set[tuple[Path, str]]) -> bool:
    bare = without_mask_suffix(image.stem)
    return bare != image.stem and (image.parent, folded(bare)) in names


def _in_files(tree: Tree, photographs: Sequence[Path]) -> bool:
    """Whether masks or files of outlines are there for some of the images."""
    masks = (file for file in tree.files if is_image(file) and _in_masks(file))
    texts = [file for file in tree.texts if file.suffix.lower() in SUFFIXES]
    lists = any(file.suffix.lower() == ".json" for file in texts)
    return lists or bool(named_like(photographs, [*masks, *texts]))


def read_untyped(tree: Tree) -> Reading:
    """The items of these shapes. Raises UserError naming an image of which nothing is known, or
    what may belong to two images."""
    images, masks, doubtful = beside(tree)
    annotations = find_annotations(tree, images, [*tree.masks, *masks])
    check_doubtful(tree, doubtful, [*annotations.masks, *annotations.marks])
    if not annotations.files:
        raise UserError(
            f"{tree.root}: no normal images in good/, and no annotations that tell which ones are "
            "normal: put the normal images into good/"
        )
    kinds = _kinds(tree, images, annotations)
    bad = [image for image, kind in kinds.items() if kind != "good"]
    notes = [*annotations.missing, *_notes(annotations, kinds)]
    items = _items(tree, kinds, annotations)
    used = {*kinds, *annotations.files, *masks}
    return Reading(_with_splits(items), annotations.how(bad), notes, used)


def _items(tree: Tree, kinds: dict[Path, str], annotations: Annotations) -> list[Item]:
    """The items; images of one object's folder share a group, unless most objects have a defect
    and would be lost for training: then their defective images are on their own."""
    objects = {image: image.parent.as_posix() for image in kinds if _own_folders(image)}
    defective = {objects.get(image) for image, kind in kinds.items() if kind != "good"}
    good = [image for image, kind in kinds.items() if kind == "good"]
    lost = sum(image in objects and objects[image] in defective for image in good)
    items = []
    for image, kind in kinds.items():
        if kind == "good":
            group = objects.get(image)
            items.append(Item(tree.root / image, "good", split_of(image), group=group))
        else:
            group = objects.get(image) if 2 * lost <= len(good) else None
            items.append(annotations.item(tree, image, kind, "test", group))
    return items


def _kinds(tree: Tree, images: Sequence[Path], annotations: Annotations) -> dict[Path, str]:
    """The type of each image: what its largest outline is called, `good` for none at all.

    Where COCO's lists or empty masks say which images are good, silence does not.
    """
    kinds: dict[Path, str] = {}
    unknown: list[Path] = []
    empty: Path | None = None
    for image in images:
        if image in annotations.masks:
            is_empty = is_empty_mask(tree.root / annotations.masks[image])
            empty = image if is_empty else empty
            kinds[image] = "good" if is_empty else DEFECT
        elif image in annotations.marks:
            kinds[image] = largest(annotations.marks[image]) if annotations.marks[image] else "good"
        elif not annotations.has_lists:
            unknown.append(image)
            kinds[image] = "good"
    if empty and unknown:
        raise UserError(
            f"{tree.root / unknown[0]}: no mask, while that of {empty} is empty to say that it is "
            "good: give every image a mask"
        )
    return kinds


def _notes(annotations: Annotations, kinds: dict[Path, str]) -> list[str]:
    silent = sum(not annotations.knows(image) for image in kinds)
    notes = [f"{silent} image(s) without an annotation count as good."] if silent else []
    parts = [split_of(image) for image, kind in kinds.items() if kind != "good"]
    if moved := parts.count("train") + parts.count("val"):
        notes.append(
            f"{moved} defective image(s) of the training or validation part are in the test: "
            "training takes good images alone."
        )
    return notes


def _with_splits(items: list[Item]) -> list[Item]:
    """The items; their parts are forgotten unless both training and test have good images."""
    good = {item.split for item in items if not item.label}
    if {"train", "test"} <= good:
        return [item for item in items if item.split]
    return [item if item.label else dataclasses.replace(item, split=None) for item in items]
