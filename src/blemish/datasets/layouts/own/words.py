"""The names by which people call the folders of normal images, of masks and of parts, and masks.

Names are compared without regard to case, to how accents are encoded, and to what joins words.
"""

import re
import unicodedata
from pathlib import Path

GOOD = frozenset(
    {
        "good",
        "ok",
        "okay",
        "normal",
        "normals",
        "nominal",
        "defect_free",
        "defectfree",
        "no_defect",
        "no_defects",
        "non_defective",
        "nondefective",
        "anomaly_free",
        "flawless",
    }
)
# What else could these folders be? A defect type may be called `label`, but none `masks`.
SURE_MASKS = frozenset({"ground_truth", "groundtruth", "gt", "mask", "masks"})
MASKS = SURE_MASKS | {
    "label",
    "labels",
    "annotation",
    "annotations",
    "segmentation",
    "segmentationclass",
}
IMAGES = frozenset({"image", "images", "img", "imgs", "jpegimages", "default"})
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# `000_mask`, `000_GT`, `000.png_label`; what stands before is the image's name.
_MASK_SUFFIX = re.compile(
    r"[ ._-](?:(masks?|gt|seg|segmentation|ground[ _-]?truth)|labels?|annotations?)$", re.IGNORECASE
)


def folded(name: str) -> str:
    """A file's name as it is compared."""
    return unicodedata.normalize("NFC", name).casefold()


def word(name: str) -> str:
    """A folder's name as it is compared: `No-Defect` is no_defect."""
    return re.sub(r"[ -]+", "_", folded(name).strip())


def is_good(name: str) -> bool:
    """Whether a folder of this name holds normal images."""
    return word(name) in GOOD


def part(name: str) -> str | None:
    """ "train", "val" or "test" for a folder called like that part, `train2017`, too; else None."""
    return SPLITS.get(re.sub(r"_?\d{4}$", "", word(name)))


def is_split(name: str) -> bool:
    """Whether a folder of this name is the training, validation or test part."""
    return part(name) is not None


def without_mask_suffix(stem: str) -> str:
    """`000_GT` → `000`; any other stem as it is."""
    return _MASK_SUFFIX.sub("", stem)


def is_surely_mask(stem: str) -> bool:
    """Whether a suffix can be of a mask alone: a photograph of a label may be called `_label`."""
    match = _MASK_SUFFIX.search(stem)
    return bool(match and match[1])


def split_of(path: Path) -> str | None:
    """The part, "train", "val" or "test", that a file's folders name; None if none does."""
    return next((part(folder) for folder in path.parts[:-1] if is_split(folder)), None)
