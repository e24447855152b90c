"""The MVTec AD folder layout, read from any folder that has it."""

from collections.abc import Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, images_in


def mvtec_items(folder: Path) -> list[Item]:
    """`train/good`, `test/<type>`, `ground_truth/<type>/<stem>_mask.*` (or `<stem>.*`).

    A defect type without a `ground_truth` folder has no masks at all; a type with one must have
    a mask for each of its images. Raises UserError naming the image whose mask is missing.
    """
    items = mvtec_train_items(folder)
    if not items:
        raise UserError(f"{folder}/train/good: no images: the training normals belong there")
    return items + mvtec_test_items(folder)


def mvtec_train_items(folder: Path) -> list[Item]:
    """The images of `train/good`."""
    return [Item(image, "good", "train") for image in images_in(folder / "train" / "good")]


def mvtec_test_items(folder: Path) -> list[Item]:
    """The test images and masks alone, as `mvtec_items` reads them."""
    items = []
    test = folder / "test"
    kinds = sorted(path.name for path in test.iterdir() if path.is_dir()) if test.is_dir() else []
    for kind in kinds:
        annotations = folder / "ground_truth" / kind
        masks = {} if kind == "good" else masks_by_stem(annotations)
        images = list(images_in(test / kind))
        _check_stems(images if masks else [])
        items += [
            Item(image, kind, "test", find_mask(image, masks, annotations)) for image in images
        ]
    return items


def _check_stems(images: Sequence[Path]) -> None:
    """Raise UserError naming two images that would have one mask."""
    stems: dict[str, Path] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other != image:
            raise UserError(f"{other} and {image.name}: one mask would belong to both: rename one")


def masks_by_stem(folder: Path) -> dict[str, Path]:
    """Mask files by the stem of the image they belong to; empty if there is no such folder.

    Raises UserError naming two masks of one image.
    """
    masks: dict[str, Path] = {}
    for path in images_in(folder):
        other = masks.setdefault(path.stem.removesuffix("_mask"), path)
        if other != path:
            raise UserError(f"{other} and {path.name}: two masks of one image: remove one")
    return masks


def find_mask(image: Path, masks: dict[str, Path], folder: Path) -> Path | None:
    """The mask of one image; None where the type has no masks; UserError where only it lacks."""
    if not masks:
        return None
    if image.stem not in masks:
        raise UserError(
            f"{image}: no mask in {folder} (expected {image.stem}_mask.png): "
            "add the mask or remove the image"
        )
    return masks[image.stem]


def kinds_of_masks(items: Sequence[Item]) -> str:
    """`pixel` where every defective image has a mask, `none` where none has; else UserError."""
    defective = [item for item in items if item.label]
    without = [item for item in defective if not item.has_mask]
    if without and len(without) < len(defective):
        raise UserError(
            f"{without[0].image}: no mask, while other defective images have one: "
            "give every defective image a mask, or none"
        )
    return "none" if without or not defective else "pixel"
