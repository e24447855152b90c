"""Published archives in the MVTec AD layout: one folder a category, pixel masks."""

from collections.abc import Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, Layout, images_in
from blemish.datasets.layouts.mvtec_folders import kinds_of_masks, masks_by_stem, mvtec_items
from blemish.datasets.layouts.published import (
    bring_images,
    child,
    find_folder,
    folders_below,
    folders_in,
    holding,
)
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked


def fetch_category(archives: Sequence[Archive], category: str, folder: Path) -> None:
    """Link one category of an archive: training and test images and their masks."""
    source = category_folder(unpacked(archives), category)
    bring_images(child(source, "train", "good"), folder / "train" / "good")
    bring_test(source, folder)


def category_folder(root: Path, category: str) -> Path:
    """Where a category lies in an unpacked archive; UserError naming those that are there."""
    try:
        return find_folder(root, lambda folder: is_category(folder, category), "")
    except UserError:
        is_any = holding("train/good")
        found = sorted({folder.name for folder in folders_below(root) if is_any(folder)})
        raise UserError(
            f"{root}: expected {category}/train/good somewhere in it; found "
            f"{'the categories ' + ', '.join(found) if found else 'no category at all'}"
        ) from None


def is_category(folder: Path, category: str) -> bool:
    """Whether this is the folder of a category with its training images."""
    named = folder.name.casefold() == category.casefold()
    return named and child(folder, "train", "good") is not None


def bring_test(source: Path, folder: Path) -> None:
    """Link `test/<type>` and `ground_truth/<type>`; the types keep their published names."""
    for name in ("test", "ground_truth"):
        part = child(source, name)
        for kind in folders_in(part) if part else []:
            bring_images(kind, folder / name / kind.name)


def read_category(folder: Path, notes: Sequence[str] = (), masks_are_known: bool = True) -> Layout:
    """The layout of one category.

    Raises UserError if there are no test images, if only some images have masks, or, where the
    publisher is known to give masks, if there are none.
    """
    items = mvtec_items(folder)
    masks = checked_masks(folder, items, masks_are_known)
    said = [*notes, *orphans(folder, items)]
    if masks == "none":
        said.append("The archive holds no masks: only image metrics are given.")
    return Layout(items, masks=masks, notes=tuple(said))


def checked_masks(folder: Path, items: Sequence[Item], masks_are_known: bool = True) -> str:
    """`pixel` or `none`; UserError where the test images or their masks are missing."""
    if not any(item.label for item in items):
        raise UserError(
            f"{folder}/test: no defective images: expected test/<type>/*.png; fetch the unit again"
        )
    masks = kinds_of_masks(list(items))
    if masks == "none" and masks_are_known:
        raise UserError(
            f"{folder}/ground_truth: no masks: expected ground_truth/<type>/*_mask.png; the "
            "archive is incomplete, fetch it again"
        )
    return masks


def orphans(folder: Path, items: Sequence[Item]) -> list[str]:
    """A note about masks whose image is missing: the archive is incomplete."""
    used = {item.mask for item in items}
    kinds = sorted((folder / "ground_truth").glob("*"))
    masks = [mask for kind in kinds for mask in masks_by_stem(kind).values()]
    lost = [mask.relative_to(folder) for mask in masks if mask not in used]
    if not lost:
        return []
    return [f"{len(lost)} mask(s) belong to no image, e.g. {lost[0]}: the archive is incomplete."]


def train_items(folder: Path) -> list[Item]:
    """The images of `train/good`."""
    return [Item(image, "good", "train") for image in images_in(folder / "train" / "good")]
