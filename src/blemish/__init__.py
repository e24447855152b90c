"""Blemish: a DVC pipeline for industrial visual anomaly detection."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blemish.predict.trained import TrainedDetector

__version__ = "0.1.0"


def load(
    folder: str | Path,
    device: str = "auto",
    threads: int = 0,
    *,
    false_alarm_rate: float = 0.05,
    threshold: float | None = None,
    map_threshold: float | None = None,
    min_area: int = 16,
    simplify: float = 1.0,
) -> "TrainedDetector":
    """A trained detector from its folder, such as models/elpv/mono/glass-0, ready to `score`.

    device: auto, cpu, cuda, cuda:1 … threads: how many images are scored side by side; 0 is one a
    core. The rest is as in `blemish predict`: false_alarm_rate is the share of good images that may
    be called defective, and likewise have regions; both thresholds follow from the validation
    normals unless they are given. min_area: pixels of the smallest region. simplify: pixels by
    which its outline may be simplified.

    Raises UserError where the folder holds no model of this version, or the device is not there.
    """
    # By name, so that what imports Blemish for something else loads no PyTorch.
    module = importlib.import_module("blemish.predict.trained")
    detector: TrainedDetector = module.open_detector(
        Path(folder),
        device,
        threads,
        false_alarm_rate,
        threshold,
        map_threshold,
        min_area,
        simplify,
    )
    return detector
