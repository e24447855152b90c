"""The shapes in which a folder's name tells what is in it: normal images, or one defect type.

`good/` and defect folders side by side, or `train/good/` and `test/<type>/` as in MVTec AD (BTAD:
`ok/` and `ko/`). Masks and annotations lie in `ground_truth/<type>/` or beside the images.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item
from blemish.datasets.layouts.mvtec_folders import kinds_of_masks
from blemish.datasets.layouts.own.annotations import Annotations, find_annotations
from blemish.datasets.layouts.own.pairs import beside, check_doubtful, named_like
from blemish.datasets.layouts.own.reading import Reading
from blemish.datasets.layouts.own.tree import Tree
from blemish.datasets.layouts.own.words import IMAGES, MASKS, is_good, is_split, part, word

Place = tuple[str | None, str]  # the part that is named, and the defect type, "good" for none


def has_good(folder: Path) -> bool:
    """Whether there is a folder of normal images: `good/`, `train/good/`, or, where masks lie
    beside it, `images/good/`."""
    inner = folders(folder)
    if any(is_good(child.name) for child in inner):
        return True
    training = (child for child in inner if part(child.name) == "train")
    if any(is_good(child.name) for parent in training for child in folders(parent)):
        return True
    if not any(word(child.name) in MASKS for child in inner):
        return False
    return any(word(child.name) in IMAGES and has_good(child) for child in inner)


def folders(folder: Path) -> list[Path]:
    """The folders directly in a folder, none hidden."""
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def read_typed(tree: Tree) -> Reading:
    """The items of these shapes.

    Raises UserError naming an image that lacks its mask, or what may belong to two images.
    """
    images, masks, doubtful = beside(tree)
    placed = _places(images)
    bad = [image for image, (_, kind) in placed.items() if kind != "good"]
    good = [image for image, (_, kind) in placed.items() if kind == "good"]
    annotations = find_annotations(tree, bad, [*tree.masks, *masks])
    of_defects = [group for group in doubtful if group[0] in set(bad)]
    check_doubtful(tree, of_defects, [*annotations.masks, *annotations.marks])
    _check_kinds(tree, annotations, placed, bad)
    items = [Item(tree.root / image, "good", placed[image][0]) for image in good]
    for image in bad:
        kind = placed[image][1]
        items.append(annotations.item(tree, image, kind, "test", None))
    annotated = kinds_of_masks(items) != "none"
    used = {*placed, *annotations.files, *masks, *named_like(good, [*tree.masks, *tree.texts])}
    how = annotations.how(bad) if annotated else "none"
    return Reading(items, how, list(annotations.missing), used)


def _places(images: Sequence[Path]) -> dict[Path, Place]:
    """Where each image lies; those aside that lie where this shape has none."""
    placed = {image: place for image in images if (place := _place(image)) is not None}
    published = any(place == ("train", "good") for place in placed.values())
    inner = _categories(images)
    return {
        image: (split, kind)
        for image, (split, kind) in placed.items()
        if not inner & set(image.parts[:1])
        and not (published and split is None)
        and not (kind != "good" and split in {"train", "val"})
    }


def _place(image: Path) -> Place | None:
    """The part and the type by an image's folders, further folders below the type aside."""
    left = list(image.parts[:-1])
    if len(left) > 1 and word(left[0]) in IMAGES:
        del left[0]
    split = part(left.pop(0)) if left and is_split(left[0]) else None
    if len(left) > 1 and word(left[0]) in IMAGES:
        del left[0]
    if not left:
        return None
    return split, "good" if is_good(left[0]) else left[0]


def _categories(images: Sequence[Path]) -> set[str]:
    """Folders that have normal images of their own: other categories, and no defect types."""
    return {
        image.parts[0]
        for image in images
        if len(image.parts) > 2
        and not (is_good(image.parts[0]) or is_split(image.parts[0]))
        and word(image.parts[0]) not in IMAGES
        and (is_good(image.parts[1]) or is_split(image.parts[1]))
    }


def _check_kinds(
    tree: Tree, annotations: Annotations, placed: dict[Path, Place], bad: Sequence[Path]
) -> None:
    """A type of which some images have a mask must have one for each."""
    kinds: defaultdict[str, list[Path]] = defaultdict(list)
    for image in bad:
        kinds[placed[image][1]].append(image)
    for kind, images in kinds.items():
        without = [image for image in images if not annotations.of(image)]
        if not without or len(without) == len(images):
            continue
        image = without[0]
        masks = (annotations.masks[image].parent for image in images if image in annotations.masks)
        folder = tree.root / next(masks, Path("ground_truth", kind))
        if annotations.knows(image):
            raise UserError(f"{tree.root / image}: its annotation marks no defect: add it")
        raise UserError(
            f"{tree.root / image}: no mask in {folder} (expected {image.stem}_mask.png): "
            "add the mask or remove the image"
        )
