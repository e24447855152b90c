"""Published archives in the MVTec AD layout: one folder a category, pixel masks."""

from collections.abc import Sequence
from pathlib import Path

from blemish.core.completeness import INCOMPLETE
from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, Layout
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    folders_below,
    folders_in,
    holding,
    link_images,
)
from blemish.datasets.layouts.mvtec_folders import kinds_of_masks, masks_by_stem, mvtec_items
from blemish.datasets.layouts.sorted_masks import items_by_order


def category_folder(root: Path, category: str) -> Path:
    """Where a category lies in an unpacked archive; UserError naming those that are there."""
    is_any = holding("train/good")
    wanted = category.casefold()
    try:
        return find_folder(
            root, lambda place: place.name.casefold() == wanted and is_any(place), ""
        )
    except UserError:
        there = sorted({folder.name for folder in folders_below(root) if is_any(folder)})
        raise UserError(
            f"{root}: expected {category}/train/good somewhere in it; found "
            f"{'the categories ' + ', '.join(there) if there else 'no category at all'}"
        ) from None


def link_train(source: Path, folder: Path) -> None:
    """Link `train/good` of a category."""
    link_images(entry(source, "train/good"), folder / "train" / "good")


def link_test(source: Path, folder: Path) -> None:
    """Link `test/<type>` and `ground_truth/<type>`; the types keep their published names."""
    for part in ("test", "ground_truth"):
        for kind in folders_in(entry(source, part)):
            link_images(kind, folder / part / kind.name)


def read_category(
    folder: Path, masks_are_known: bool = True, masks_by_order: bool = False
) -> Layout:
    """The layout of one category. `masks_by_order`: see `items_by_order`.

    Raises UserError if there are no test images, if only some images have masks, or, where the
    publisher is known to give masks, if there are none.
    """
    items, notes = items_by_order(folder) if masks_by_order else (mvtec_items(folder), [])
    masks = checked_masks(folder, items, masks_are_known)
    notes += _notes_on_lost_masks(folder, items)
    if masks == "none":
        notes.append("The archive holds no masks: only image metrics are given.")
    return Layout(items, masks=masks, notes=tuple(notes))


def checked_masks(folder: Path, items: Sequence[Item], masks_are_known: bool = True) -> str:
    """`pixel` or `none`; UserError where the test images or their masks are missing."""
    if not any(item.label for item in items):
        raise UserError(
            f"{folder}/test: no defective images: expected test/<type>/*.png; fetch the unit again"
        )
    masks = kinds_of_masks(items)
    if masks == "none" and masks_are_known:
        raise UserError(
            f"{folder}/ground_truth: no masks: expected ground_truth/<type>/*_mask.png; the "
            "archive is incomplete, fetch it again"
        )
    return masks


def _notes_on_lost_masks(folder: Path, items: Sequence[Item]) -> list[str]:
    """A note about masks whose image is missing: the archive is incomplete."""
    used = {item.mask for item in items}
    kinds = sorted((folder / "ground_truth").glob("*"))
    masks = [mask for kind in kinds for mask in masks_by_stem(kind).values()]
    lost = [mask.relative_to(folder) for mask in masks if mask not in used]
    if not lost:
        return []
    return [f"{len(lost)} mask(s) belong to no image, e.g. {lost[0]}: {INCOMPLETE}"]
