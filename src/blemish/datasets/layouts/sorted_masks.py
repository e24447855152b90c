"""Masks of the MVTec layout under other names than their images', as some authors publish them.

Their own loaders sort a type's images and its masks by name and pair them in that order. That is
followed where names do not match and the two are equally many; where not, nobody knows which mask
belongs to which image.
"""

from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, images_in
from blemish.datasets.layouts.mvtec_folders import find_mask, masks_by_stem, mvtec_train_items


def items_by_order(folder: Path) -> tuple[list[Item], list[str]]:
    """All images of a category, as `mvtec_items` reads them, and notes on what was paired by order.

    Raises UserError where names do not match and images and masks are not equally many.
    """
    train = mvtec_train_items(folder)
    if not train:
        raise UserError(f"{folder}/train/good: no images: the training normals belong there")
    test, notes = tested_by_order(folder)
    return train + test, notes


def tested_by_order(folder: Path) -> tuple[list[Item], list[str]]:
    """The test images and their masks, and the notes."""
    items: list[Item] = []
    notes: list[str] = []
    test = folder / "test"
    kinds = sorted(path.name for path in test.iterdir() if path.is_dir()) if test.is_dir() else []
    for kind in kinds:
        annotations = folder / "ground_truth" / kind
        images = list(images_in(test / kind))
        by_order = kind != "good" and _only_order_fits(images, annotations)
        masks = {} if kind == "good" else masks_by_stem(annotations)
        if by_order:
            masks = dict(zip([image.stem for image in images], images_in(annotations), strict=True))
            notes.append(
                f"{kind}: masks are not named like their images ({masks[images[0].stem].name} of "
                f"{images[0].name}): the {len(images)} of each are paired in sorted order, as the "
                "authors' own loader does."
            )
        items += [
            Item(image, kind, "test", find_mask(image, masks, annotations)) for image in images
        ]
    return items, notes


def _only_order_fits(images: list[Path], annotations: Path) -> bool:
    """Whether names do not match, but there is one mask an image."""
    known = masks_by_stem(annotations)
    unmatched = any(image.stem not in known for image in images)
    return unmatched and len(images) == len(list(images_in(annotations)))
