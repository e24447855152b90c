"""Maps with known defects, and the metrics of them: exact, and streamed."""

import cv2
import numpy as np

from blemish.metrics import curves
from blemish.metrics.histograms import PixelHistogram

TOLERANCE = 1e-4


def exact(maps, masks, limit=0.3):
    """Every metric by one sort of all pixels in float64; equal scores are one threshold."""
    weights = []
    for mask in masks:
        labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
        weights.append(np.where(mask, 1 / np.bincount(labels.ravel())[labels], 0).ravel())
    score = np.concatenate([one.ravel() for one in maps]).astype(np.float64)
    order = np.argsort(-score, kind="stable")
    score, weight = score[order], np.concatenate(weights)[order]
    last = np.append(score[1:] != score[:-1], True)
    tp, fp = np.cumsum(weight > 0)[last], np.cumsum(weight == 0)[last]
    tpr, fpr, pro = tp / tp[-1], fp / fp[-1], np.cumsum(weight)[last] / weight.sum()
    x, y = np.append(0, fpr), np.append(0, pro)
    inside = x <= limit
    x, y = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
    return {
        "auroc": np.trapezoid(np.append(0, tpr), np.append(0, fpr)),
        "ap": np.sum(np.diff(tpr, prepend=0) * tp / (tp + fp)),
        "f1max": np.max(2 * tp / (tp[-1] + tp + fp)),
        "fpr95": fpr[np.argmax(tpr >= 0.95)],
        "aupro": np.trapezoid(y, x) / limit,
    }


def histogram(maps, masks, binning=None):
    counts = PixelHistogram(binning)
    for one, mask in zip(maps, masks, strict=True):
        counts.update(one, mask)
    return counts


def measure(counts, limit=0.3):
    ranking = counts.ranking()
    return {
        "auroc": curves.auroc(ranking),
        "ap": curves.average_precision(ranking),
        "f1max": curves.f1max(ranking),
        "fpr95": curves.fpr_at_tpr(ranking),
        "aupro": curves.aupro(ranking, limit),
    }


def streamed(maps, masks, limit=0.3):
    binning = histogram(maps, masks).finer_binning()
    return measure(histogram(maps, masks, binning), limit)


def deviation(maps, masks, limit=0.3):
    expected, found = exact(maps, masks, limit), streamed(maps, masks, limit)
    return max(abs(expected[name] - found[name]) for name in expected)


def scene(rng, count, size, strength=1.5, largest=0.2):
    """Smooth noise maps that rise over rectangular defects; every other image is good."""
    maps, masks = [], []
    for number in range(count):
        mask = np.zeros(size, bool)
        for _ in range(rng.integers(1, 5) * (number % 2)):
            height, width = (int(rng.integers(1, max(2, largest * side))) for side in size)
            top, left = rng.integers(0, size[0] - height), rng.integers(0, size[1] - width)
            mask[top : top + height, left : left + width] = True
        noise = cv2.GaussianBlur(rng.standard_normal(size), (0, 0), 2) * 4
        maps.append(noise + strength * cv2.GaussianBlur(mask.astype(float), (0, 0), 2))
        masks.append(mask)
    return maps, masks


def spiked(one):
    """A tenth of the pixels within 10⁻⁵ of 1, the rest spread out."""
    tenth = np.arange(one.size).reshape(one.shape) % 10 == 0
    return np.where(tenth, 1 + 1e-5 * one, one)


KINDS = {
    "random": lambda one: one,
    "tied": lambda one: np.round(one, 1),
    "constant": lambda one: np.full_like(one, 0.25),
    "clipped": lambda one: np.clip(one, -0.5, 0.5),
    "saturated sigmoid": lambda one: 1 / (1 + np.exp(-12 * one)),
    "last digits below one": lambda one: 1 - np.exp(-14 - 3 * one),
    "heavy-tailed": lambda one: np.exp(5 * one),
    "Cauchy": lambda one: np.tan(np.pi * (1 / (1 + np.exp(-one)) - 0.5)),
    "tiny": lambda one: 1e-30 * one,
    "large offset": lambda one: 100 + 1e-3 * one,
    "spiked": spiked,
}
