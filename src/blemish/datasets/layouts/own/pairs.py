"""Which mask or annotation file belongs to which image: by their folders, then by their names.

Folders: the names of a mask's folders, words such as `masks` and `images` aside, must be among
those of the image's folders, in the same order; so `ground_truth/scratch/000.png` belongs to
`test/scratch/000.png`. Names: the more of the image's name a file repeats, the surer it is. What
fits two equally well is an error.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.layouts.own.look import (
    has_few_values,
    is_black_with_one_value,
    is_mostly_two_values,
    looks_like_mask,
)
from blemish.datasets.layouts.own.tree import Tree
from blemish.datasets.layouts.own.words import (
    IMAGES,
    MASKS,
    folded,
    is_surely_mask,
    without_mask_suffix,
    word,
)

# From the strictest to the loosest; the last one tells drawn masks from drawn images.
LOOKS = (has_few_values, looks_like_mask, is_mostly_two_values, is_black_with_one_value)
Pairs = dict[Path, Path]  # an image and what belongs to it


def pair(tree: Tree, images: Sequence[Path], files: Iterable[Path]) -> Pairs:
    """Image → file, of the files that belong to one of the images.

    Raises UserError naming two images that one file may belong to, or two files of one image.
    """
    by_name = _by_name(images)
    pairs: Pairs = {}
    for file in files:
        image = _owner(tree, file, by_name)
        if image is None:
            continue
        other = pairs.setdefault(image, file)
        if other != file:
            raise UserError(
                f"{tree.root / other} and {file}: both are named like annotations of {image}: "
                f"keep one, or name each like its whole image ({image.name}{file.suffix})"
            )
    return pairs


def named_like(images: Sequence[Path], files: Iterable[Path]) -> list[Path]:
    """The files that belong to one of the images, or to several."""
    by_name = _by_name(images)
    return [file for file in files if _candidates(file, by_name)]


def _by_name(images: Sequence[Path]) -> dict[str, list[Path]]:
    by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for image in images:
        for name in {folded(image.name), folded(image.stem)}:
            by_name[name].append(image)
    return dict(by_name)


def _candidates(file: Path, by_name: Mapping[str, list[Path]]) -> list[Path]:
    """The images that a file may belong to, each once."""
    names = (folded(file.name), folded(file.stem), folded(without_mask_suffix(file.stem)))
    near = {image: None for name in names for image in by_name.get(name, ())}
    return [image for image in near if is_among(places(file), places(image))]


def _owner(tree: Tree, file: Path, by_name: Mapping[str, list[Path]]) -> Path | None:
    fits = {image: _fit(image, file) for image in _candidates(file, by_name)}
    best = max(fits.values(), default=None)
    owners = [image for image, fit in fits.items() if fit == best]
    if len(owners) > 1:
        raise UserError(
            f"{tree.root / file}: belongs to {owners[0]} or to {owners[1]}? Name it like its whole "
            f"image ({owners[0].name}{file.suffix}), in the folder of its defect type"
        )
    return owners[0] if owners else None


def _fit(image: Path, file: Path) -> tuple[int, int, bool]:
    """How well a file fits an image of its name: few further folders, then much of its name."""
    extra = len(places(image)) - len(places(file))
    whole, stems = folded(image.name), (folded(file.stem), folded(without_mask_suffix(file.stem)))
    if whole in stems:
        same = 3
    elif whole == folded(file.name):
        same = 2
    else:
        same = 1 if folded(image.stem) == stems[0] else 0
    return -extra, same, file.stem.startswith(image.stem)


def places(file: Path) -> tuple[str, ...]:
    """A file's folders, those aside that only say that images or masks are in them."""
    words = (word(part) for part in file.parts[:-1])
    return tuple(word for word in words if word not in MASKS and word not in IMAGES)


def is_among(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether all of a few words stand among many, in the same order."""
    left = iter(many)
    return all(one in left for one in few)


def beside(tree: Tree) -> tuple[list[Path], list[Path], list[list[Path]]]:
    """Images; the masks that lie beside them; and images of one stem that may be either.

    A mask is named like an image with a suffix for masks, or like it with another file suffix: then
    their content tells, as a mask has few values and a photograph many.
    """
    images, masks = _by_suffix(tree)
    by_stem: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for image in images:
        by_stem[image.parent, folded(image.stem)].append(image)
    doubtful: list[list[Path]] = []
    for group in by_stem.values():
        if len(group) > 1:
            drawn = _drawn(tree, group)
            masks += drawn
            if not drawn and has_few_values(tree.root / group[0]):
                doubtful.append(group)
    known = set(masks)
    return [image for image in images if image not in known], masks, doubtful


def _by_suffix(tree: Tree) -> tuple[list[Path], list[Path]]:
    names = {(image.parent, folded(name)) for image in tree.images for name in _names(image)}
    masks = [
        image
        for image in tree.images
        if (bare := without_mask_suffix(image.stem)) != image.stem
        and (image.parent, folded(bare)) in names
        and (is_surely_mask(image.stem) or looks_like_mask(tree.root / image))
    ]
    known = set(masks)
    return [image for image in tree.images if image not in known], masks


def _names(image: Path) -> tuple[str, str]:
    return image.name, image.stem


def _drawn(tree: Tree, group: Sequence[Path]) -> list[Path]:
    """The masks among images of one stem: as many as the photographs, by the strictest look that
    tells them apart."""
    for look in LOOKS:
        masks = [image for image in group if look(tree.root / image)]
        if masks and len(masks) < len(group):
            return masks
    return []


def check_doubtful(
    tree: Tree, doubtful: Sequence[Sequence[Path]], annotated: Iterable[Path]
) -> None:
    """Raise UserError about images of one stem and few values, of which none has a mask: one may be
    the other's."""
    known = set(annotated)
    for first, second, *_ in doubtful:
        if not known & {first, second}:
            raise UserError(
                f"{tree.root / first} and {second.name}: two images, or an image and its mask? Put "
                f"the mask into ground_truth/{first.parent.name}/, or name it "
                f"{first.stem}_mask{first.suffix}"
            )
