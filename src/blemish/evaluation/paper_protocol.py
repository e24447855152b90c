"""Protocol `paper`: the authors' own protocol, which looks at the test set.

Which one that is each method says (`Detector.author_protocol`). Its numbers carry `oracle` in their
names. They show what the protocol adds to an honest number on the same training run, and stand
beside published numbers; they are never a leaderboard's.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.core.progress import progress
from blemish.evaluation.evaluate import Metrics, evaluate
from blemish.evaluation.image_table import Headline
from blemish.evaluation.map_storage import Map, Maps
from blemish.evaluation.predictions import Predictions, has_mask
from blemish.evaluation.scoring import mask_to_model
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import AnyDetector
from blemish.methods.saved import EPOCHS, load_state
from blemish.metrics.glass_pro import pro_of_glass
from blemish.metrics.table import GLASS_PRO

AUROCS = ("image_auroc", "pixel_auroc")
EPSILON = 1e-8  # added to the range that a component is divided by


def as_published(
    method: AnyDetector,
    protocol: AuthorProtocol,
    model: Path,
    honest: Predictions,
    predict: Callable[[int], list[Predictions]],
    headline: Headline,
    masks: str,
) -> dict[str, Any]:
    """The numbers of the main test set as the method's authors take them, each named `oracle_…`.

    Pixel metrics are at the model's resolution. `last` are the same metrics, by the same masks and
    labels, of the model as trained with its own scores, so that the difference is the protocol's.
    `epoch` and `epochs`, the chosen one and from how many, are None where none is chosen.

    Args:
        model: the folder of the model; its weights are the method's again at the end.
        honest: what the method says about the test set.
        predict: takes a number of components to the predictions of each, with the weights that
            the method has now; of the main test set.
        headline, masks: as `evaluate` takes them.

    Raises:
        UserError: an epoch is to be chosen and the model keeps none.
    """
    shrink = partial(mask_to_model, method.framing, above=protocol.mask_above)
    judge = partial(_judge, protocol=protocol, shrink=shrink, headline=headline, masks=masks)
    chosen, total, metrics, best = Path(), -1.0, Metrics(), honest
    files = _kept_epochs(model) if protocol.chosen_by else [model / "model.safetensors"]
    for file in progress(files, "protocol paper: testing", len(files), "epoch"):
        load_state(method, file)
        scorings = combine(predict(len(protocol.scorings[0])), protocol)
        numbers = judge(scorings)
        summed = sum(numbers.get(name) or 0.0 for name in protocol.chosen_by)
        if summed > total:
            chosen, total, metrics, best = file, summed, numbers, scorings[0]
    load_state(method, model / "model.safetensors")
    last = judge([honest])
    if protocol.glass_pro and masks != "none":  # slow, and it chooses nothing
        metrics = metrics | {GLASS_PRO: _glass_pro(best, shrink, headline)}
        last = last | {GLASS_PRO: _glass_pro(honest, shrink, headline)}
    return {
        "practice": protocol.note,
        "epoch": int(chosen.stem) if protocol.chosen_by else None,
        "epochs": len(files) if protocol.chosen_by else None,
        "last": {name: last[name] for name in metrics},
        "metrics": {f"oracle_{name}": value for name, value in metrics.items()},
    }


def combine(components: list[Predictions], protocol: AuthorProtocol) -> list[Predictions]:
    """The scorings of a protocol: components, min-max normalised over the set, weighed and added.

    A single component is left as it is: its ranks are those of any scaling of it.
    """
    if len(components) == 1 or not len(components[0].rows):
        return components[:1]
    ranges = [_map_range(part.maps) for part in components]
    scores = [_scaled(part.scores, part.scores.min(), part.scores.max()) for part in components]
    return [
        replace(
            components[0],
            scores=sum((w * s for w, s in zip(weights, scores, strict=True)), np.zeros(1)),
            maps=_WeighedMaps([part.maps for part in components], ranges, weights),
        )
        for weights in protocol.scorings
    ]


class _WeighedMaps:
    """The weighed sum of the normalised maps of several components, when asked for."""

    def __init__(
        self, parts: list[Maps], ranges: list[tuple[float, float]], weights: tuple[float, ...]
    ) -> None:
        self._parts = list(zip(parts, ranges, weights, strict=True))

    def __len__(self) -> int:
        return len(self._parts[0][0])

    def __getitem__(self, position: int, /) -> Map:
        terms = [weight * _scaled(part[position], *limits) for part, limits, weight in self._parts]
        return np.asarray(np.sum(terms, axis=0), np.float32)


def _scaled(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    return (np.asarray(values, np.float64) - low) / (high - low + EPSILON)


def _map_range(maps: Maps) -> tuple[float, float]:
    read = (maps[position] for position in range(len(maps)))  # never all in memory
    extremes = [(anomaly_map.min(), anomaly_map.max()) for anomaly_map in read]
    lows, highs = zip(*extremes, strict=True)
    return float(min(lows)), float(max(highs))


def _judge(
    scorings: list[Predictions],
    protocol: AuthorProtocol,
    shrink: Callable[..., NDArray[np.bool_]],
    headline: Headline,
    masks: str,
) -> Metrics:
    """The metrics of one scoring, or the larger AUROCs of several."""
    judged = []
    for tested in scorings:
        shrunk = replace(tested, mask_to_model=shrink)
        if protocol.labels_from_masks and masks != "none":
            shrunk = replace(shrunk, rows=_relabelled(shrunk))
        # The threshold judges decisions, which are not among `metrics`.
        numbers = evaluate(shrunk, headline=headline, masks=masks, threshold=0, resolution="model")
        judged.append(numbers.metrics)
    if len(judged) == 1:
        return judged[0]
    larger: Metrics = {}
    for name in AUROCS:
        values = [numbers[name] for numbers in judged if name in numbers]
        rounded = [round(value, protocol.digits) for value in values if value is not None]
        if values:
            larger[name] = max(rounded, default=None)
    return larger


def _relabelled(tested: Predictions) -> pd.DataFrame:
    """The rows, defective only where a mask is left at the model's resolution."""
    rows = tested.rows
    left = [
        bool(tested.sample(position, "model").mask.any()) if known else label == 1
        for position, (known, label) in enumerate(zip(has_mask(rows), rows["label"], strict=True))
    ]
    return rows.assign(label=np.array(left, np.int64))


def _glass_pro(
    tested: Predictions, shrink: Callable[..., NDArray[np.bool_]], headline: Headline
) -> float | None:
    shrunk = replace(tested, mask_to_model=shrink)
    positions = np.flatnonzero(np.asarray(headline(tested.rows), bool) & ~tested.hidden).tolist()
    samples = [shrunk.sample(position, "model") for position in positions]
    if any(sample.judged is not None for sample in samples):
        return None  # it counts all pixels
    return pro_of_glass(
        [sample.anomaly_map for sample in samples], [sample.mask for sample in samples]
    )


def _kept_epochs(model: Path) -> list[Path]:
    files = sorted((model / EPOCHS).glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{model}: keeps no epochs, which protocol `paper` chooses from: set "
            "`training.keep_every` in params.yaml to 1 and train again"
        )
    return files
