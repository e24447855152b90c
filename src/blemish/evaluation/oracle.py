"""Protocol `paper`: the authors' own practice, which looks at the test set (`glass.md` §14).

Its numbers carry `oracle` in their names. They show what the practice adds to an honest number on
the same training run, and stand beside published ones; they are never a leaderboard's.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from blemish.errors import UserError
from blemish.evaluation.evaluate import Metrics, evaluate
from blemish.evaluation.predictions import Predictions
from blemish.methods.base import Method, load_state
from blemish.progress import progress
from blemish.training import EPOCHS

STEPS = 200  # thresholds of GLASS's own PRO
DILATION = np.ones((5, 5), np.uint8)
FPR_LIMIT = 0.3


def best_epoch(
    method: Method,
    model: Path,
    predict: Callable[[Method], Predictions],
    headline: Callable[[pd.DataFrame], pd.Series],
    masks: str,
    threshold: float,
) -> dict[str, Any]:
    """The kept epoch with the largest image AUROC + pixel AUROC on the test set, the first of
    equal ones: its number and its metrics, each named `oracle_…`.

    Pixel metrics are taken at the model's resolution, as the authors do; without masks only the
    image AUROC decides. `pixel_pro_glass` is the PRO of GLASS's code, not comparable with AUPRO.
    `last` are the same metrics of the model as trained, so that the difference is the choice's.
    Raises UserError if the model keeps no epochs.
    """
    files = sorted((model / EPOCHS).glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{model}: keeps no epochs, which protocol `paper` chooses from: set "
            "`training.keep_every` in params.yaml to 1 and train again"
        )

    def test(tested: Predictions) -> Metrics:
        return evaluate(
            tested, headline=headline, masks=masks, threshold=threshold, resolution="model"
        ).metrics

    def with_pro(found: Metrics, tested: Predictions) -> Metrics:
        # Slow, and it chooses nothing: only for what may be shown.
        if masks == "none":
            return found
        flags = np.asarray(headline(tested.rows), bool)
        return found | {"pixel_pro_glass": pro_of_glass(tested, np.flatnonzero(flags).tolist())}

    tested = predict(method)
    last = with_pro(test(tested), tested)
    best: tuple[float, int, Metrics] = (-1.0, 0, {})
    for file in progress(files, "protocol paper: testing every epoch", len(files), "epoch"):
        load_state(method, file)
        tested = predict(method)
        found = test(tested)
        total = sum(found.get(name) or 0.0 for name in ("image_auroc", "pixel_auroc"))
        if total > best[0]:
            best = total, int(file.stem), with_pro(found, tested)
    return {
        "epoch": best[1],
        "epochs": len(files),
        "last": last,
        "metrics": {f"oracle_{name}": value for name, value in best[2].items()},
    }


def pro_of_glass(tested: Predictions, positions: Iterable[int]) -> float | None:
    """PRO as GLASS's code computes it (§13): 200 evenly spaced thresholds; the prediction is
    dilated by 5×5 for the overlap but not for the false-positive rate; rates below 0.3 are
    stretched to [0, 1] by their own extremes. None without defect-free pixels or regions.
    """
    samples = [tested.sample(position, "model") for position in positions]
    maps = [sample.anomaly_map for sample in samples]
    regions = [
        cv2.connectedComponents(sample.mask.astype(np.uint8), connectivity=8)[1]
        for sample in samples
    ]
    low, high = min(map(np.min, maps)), max(map(np.max, maps))
    normal = sum(int((~sample.mask).sum()) for sample in samples)
    if not (high > low and normal and any(labels.any() for labels in regions)):
        return None
    rates, overlaps = [], []
    for threshold in np.arange(low, high, (high - low) / STEPS):
        false, shares = 0, []
        for anomaly_map, sample, labels in zip(maps, samples, regions, strict=True):
            above = anomaly_map > threshold
            false += int((above & ~sample.mask).sum())
            if labels.any():
                wider = cv2.dilate(above.astype(np.uint8), DILATION).ravel()
                areas = np.bincount(labels.ravel())[1:]
                found = np.bincount(labels.ravel(), weights=wider)[1:]
                shares += (found / areas).tolist()
        rates.append(false / normal)
        overlaps.append(float(np.mean(shares)))
    return _stretched_area(np.array(rates), np.array(overlaps))


def _stretched_area(rates: np.ndarray, overlaps: np.ndarray) -> float | None:
    kept = rates < FPR_LIMIT
    rates, overlaps = rates[kept], overlaps[kept]
    if len(rates) < 2 or rates.max() == rates.min():
        return None
    order = np.argsort(rates, kind="stable")
    stretched = (rates[order] - rates.min()) / (rates.max() - rates.min())
    return float(np.trapezoid(overlaps[order], stretched))
