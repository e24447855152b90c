"""The names by which people call the folders of normal images, of masks and of parts, and masks.

Names are compared without regard to case, to how accents are encoded, and to what joins words.
"""

import re
import unicodedata
from pathlib import Path

GOOD = frozenset(
    "good ok okay normal normals nominal defect_free defectfree no_defect no_defects non_defective "
    "nondefective anomaly_free flawless".split()
)
MASKS = frozenset(
    "ground_truth groundtruth gt mask masks label labels annotation annotations segmentation "
    "segmentations segmentationclass".split()
)
IMAGES = frozenset("image images img imgs jpegimages default".split())
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
    r"[ ._-](masks?|gt|labels?|seg|segmentation|ground[ _-]?truth|annotations?)$", re.IGNORECASE
)


def plain(name: str) -> str:
    """A file's name as it is compared."""
    return unicodedata.normalize("NFC", name).casefold()


def word(name: str) -> str:
    """A folder's name as it is compared: `No-Defect` is no_defect."""
    return re.sub(r"[ -]+", "_", plain(name).strip())


def is_good(name: str) -> bool:
    """Whether a folder of this name holds normal images."""
    return word(name) in GOOD


def is_split(name: str) -> bool:
    """Whether a folder of this name is the training, validation or test part."""
    return word(name) in SPLITS


def without_mask_suffix(stem: str) -> str:
    """`000_GT` → `000`; any other stem as it is."""
    return _MASK_SUFFIX.sub("", stem)


def split_of(path: Path) -> str | None:
    """The part, "train", "val" or "test", that a file's folders name; None if none does."""
    return next((SPLITS[word(part)] for part in path.parts[:-1] if is_split(part)), None)
