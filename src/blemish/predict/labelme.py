"""A prediction as LabelMe's JSON, for a person to correct (`docs/spec/dsarad.md` §10)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blemish.predict.regions import Region

VERSION = "7.9.1"  # of LabelMe, whose files have these keys; 6.3 reads them too


def annotation(
    file: Path,
    image: Path,
    size: tuple[int, int],
    regions: Sequence[Region],
    label: str,
    alarm: bool,
    zones: Mapping[str, bool] | None = None,
) -> dict[str, Any]:
    """The content of `file` about an image of `size` (H, W).

    A shape for each region, the most anomalous first: its rank is its group, so that LabelMe's
    list shows it, and its score is in the description, as is its zone where that has a name.
    The image's flag `alarm` is the decision, and where zones decide, `alarm in <zone>` that of each
    of `zones`.
    """
    return {
        "version": VERSION,
        "flags": {"alarm": alarm} | {f"alarm in {name}": on for name, on in (zones or {}).items()},
        "shapes": [_shape(region, rank, label) for rank, region in enumerate(regions, start=1)],
        "imagePath": _relative(image, file),
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }


def _shape(region: Region, rank: int, label: str) -> dict[str, Any]:
    zone = f", zone {region.zone}" if region.zone else ""
    return {
        "label": label,
        "points": region.points.round(2).tolist(),
        "group_id": rank,
        "description": f"score {region.score:.4g}, {region.area} px{zone}",
        "shape_type": "polygon",
        "flags": {"predicted": True},
    }


def _relative(image: Path, file: Path) -> str:
    """The image as seen from the annotation's folder, whatever links lead to either."""
    target = Path(os.path.realpath(image.parent), image.name)
    return Path(os.path.relpath(target, os.path.realpath(file.parent))).as_posix()
