"""sPRO of MVTec LOCO against its definition, threshold by threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.metrics import curves
from blemish.metrics.histograms import Channel, PixelHistogram

LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)


def defined(maps, masks, channels, limit):
    """min(found / saturation area, 1), averaged over the channels, at every threshold there is."""
    normal = np.concatenate([one[~mask] for one, mask in zip(maps, masks, strict=True)])
    thresholds = np.unique(np.concatenate([one.ravel() for one in maps]))[::-1]
    fpr, spro = [0.0], [0.0]
    for threshold in thresholds:
        shares = [
            min(np.count_nonzero(one.flat[channel.pixels] >= threshold) / channel.saturation, 1)
            for one, own in zip(maps, channels, strict=True)
            for channel in own
        ]
        fpr.append(np.mean(normal >= threshold))
        spro.append(np.mean(shares))
    x, y = np.array(fpr), np.array(spro)
    inside = x <= limit
    x, y = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
    return np.trapezoid(y, x) / limit


def images(rng, count, size=(24, 30), digits=1):
    """Noise that rises over defects; a third of the images is good; channels may overlap."""
    maps, masks, channels = [], [], []
    for number in range(count):
        mask, own = np.zeros(size, bool), []
        for _ in range((number % 3) * 2):
            one = np.zeros(size, bool)
            top, left = rng.integers(0, size[0] - 8), rng.integers(0, size[1] - 8)
            one[top : top + rng.integers(1, 8), left : left + rng.integers(1, 8)] = True
            one[0, 0] = True  # not connected, yet the same region
            pixels = np.flatnonzero(one)
            own.append(Channel(pixels, int(rng.integers(1, pixels.size + 1))))
            mask |= one
        maps.append(np.round(rng.standard_normal(size) + mask, digits).astype(np.float32))
        masks.append(mask)
        channels.append(tuple(own))
    return maps, masks, channels


def histogram(maps, masks, channels, binning=None):
    counts = PixelHistogram(binning)
    for one in zip(maps, masks, channels, strict=True):
        counts.update(*one)
    return counts


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 6]), st.integers(1, 5))
def test_equal_to_the_definition_and_mergeable(seed, digits, cut):
    found = images(np.random.default_rng(seed), 6, digits=digits)
    binning = histogram(*found).finer_binning()
    whole = histogram(*found, binning)
    for limit in LIMITS:
        expected = defined(*found, limit)
        assert curves.auspro(whole.ranking(), limit) == pytest.approx(expected, abs=1e-4)
    parts = [histogram(*(one[:cut] for one in found), binning)]
    parts.append(histogram(*(one[cut:] for one in found), binning))
    merged = parts[0] + parts[1]
    assert np.array_equal(merged.channels.words, whole.channels.words)
    assert curves.auspro(merged.ranking()) == curves.auspro(whole.ranking())


def test_a_saturated_defect_is_whole():
    """Four normal pixels; of a defect of 4 pixels 2 suffice, which score above all normal ones."""
    scores = np.array([[9, 8, 0, 0, 5, 4, 3, 2]], np.float32)
    mask = np.array([[1, 1, 1, 1, 0, 0, 0, 0]], bool)
    counts = PixelHistogram()
    counts.update(scores, mask, [Channel(np.arange(4), 2)])
    assert curves.auspro(counts.ranking()) == 1.0
    assert curves.aupro(counts.ranking(), 0.05) == pytest.approx(0.5)
