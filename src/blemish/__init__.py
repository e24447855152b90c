"""Blemish: a DVC pipeline for industrial visual anomaly detection."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blemish.methods.detector import AnyDetector

__version__ = "0.1.0"


def load(folder: str | Path, device: str = "auto") -> "AnyDetector":
    """A trained detector from its folder, such as models/elpv/mono/glass-0, ready to score.

    `detector.score` takes uint8 images (B, 3, h, w) framed by `detector.framing.to_model`.
    Raises UserError where the folder holds no model of this version, or the device is not there.
    """
    # By name, so that what imports Blemish for something else loads no PyTorch.
    saved = importlib.import_module("blemish.methods.saved")
    choose = importlib.import_module("blemish.core.device").choose_device
    detector: AnyDetector = saved.load(Path(folder), choose(device, where="`device`"))[0]
    return detector
