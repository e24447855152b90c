"""Files of MVTec LOCO's ground truth: a channel for each defect, and its saturation area.

Bergmann et al., "Beyond Dents and Scratches: Logical Constraints in Unsupervised Anomaly Detection
and Localization", IJCV 2022, section 5; file formats as published with the data set
(`docs/spec/measures.md` §2).
"""

import json
import re
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from blemish.core.errors import UserError
from blemish.images.reading import DAMAGED
from blemish.metrics.histograms import Channel

CONFIG = "defects_config.json"


class Defect(BaseModel):
    """An entry of `defects_config.json`."""

    model_config = ConfigDict(frozen=True)

    defect_name: str
    pixel_value: Annotated[int, Field(ge=1, le=255)]
    saturation_threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    relative_saturation: bool

    def saturation_area(self, area: int) -> int:
        """The pixels of a defect of `area` pixels that count: a share of it, or an absolute number.

        At least one: rounding down must not make a small defect one that needs no finding.
        """
        if self.relative_saturation:
            return min(max(int(self.saturation_threshold * area), 1), area)
        return max(int(min(self.saturation_threshold, area)), 1)


Defects = dict[int, Defect]


def read_defects(path: Path) -> Defects:
    """The defects of `defects_config.json` by pixel value.

    Raises:
        UserError: the file is missing, is not a list of defects, or gives a value twice.
    """
    try:
        listed = TypeAdapter(list[Defect]).validate_python(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: sPRO needs the saturation areas in it") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise UserError(f"{path}: entry {where}: {fault['msg']}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    defects = {defect.pixel_value: defect for defect in listed}
    if len(defects) < len(listed):
        raise UserError(f"{path}: a `pixel_value` occurs twice: each defect needs its own")
    return defects


def read_channels(folder: Path, defects: Defects) -> tuple[NDArray[np.bool_], tuple[Channel, ...]]:
    """The union of an image's channels as a mask (H, W), and the channels.

    A channel is a PNG of 0 and one other value, which names the defect in `defects`; all its
    pixels are one region, connected or not.

    Raises:
        UserError: no PNG, sizes that differ, or a value that `defects` does not know.
    """
    files = sorted(path for path in folder.glob("*.png") if re.fullmatch(r"\d+", path.stem))
    if not files:
        raise UserError(f"{folder}: no channel 000.png, 001.png …: restore them")
    mask: NDArray[np.bool_] | None = None
    channels = []
    for file in files:
        values = _read_values(file)
        mask = np.zeros(values.shape, bool) if mask is None else mask
        if values.shape != mask.shape:
            raise UserError(f"{file}: its size differs from that of {files[0].name}")
        pixels = np.flatnonzero(values)
        if pixels.size == 0:
            continue
        channels.append(
            Channel(pixels, _defect(file, values, defects).saturation_area(pixels.size))
        )
        mask.flat[pixels] = True
    assert mask is not None
    return mask, tuple(channels)


def _read_values(file: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            if image.mode != "L":
                raise UserError(
                    f"{file}: a channel must be an 8-bit grey PNG, this is {image.mode}"
                )
            return np.asarray(image)
    except DAMAGED as error:
        raise UserError(f"{file}: not a whole image ({error}); restore it") from None


def _defect(file: Path, values: NDArray[np.uint8], defects: Defects) -> Defect:
    marked = np.unique(values[values > 0]).tolist()
    if len(marked) > 1:
        raise UserError(f"{file}: holds the values {marked}: a channel has one besides 0")
    if marked[0] not in defects:
        known = ", ".join(map(str, defects))
        raise UserError(f"{file}: value {marked[0]} is not in {CONFIG} (there: {known})")
    return defects[marked[0]]
