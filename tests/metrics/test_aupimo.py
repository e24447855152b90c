"""AUPIMO against its definition on sorted scores."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blemish.metrics.aupimo import LOWER, UPPER, FalsePositives, NormalImages
from blemish.metrics.histograms import PixelHistogram


def defined(normals, found):
    """Mean recall over log FPR from 10⁻⁵ to 10⁻⁴; FPR is the mean over the normal images."""
    scores = np.concatenate([one.ravel() for one in normals])
    weights = np.concatenate([np.full(one.size, 1 / one.size / len(normals)) for one in normals])
    thresholds = np.unique(scores)[::-1]
    total, previous = 0.0, 0.0
    low, high = np.log(LOWER), np.log(UPPER)
    for threshold in thresholds:
        rate = weights[scores >= threshold].sum()
        ends = np.mean(found > threshold), np.mean(found >= threshold)
        left = np.log(previous) if previous else -np.inf
        a, b = np.clip([left, np.log(rate)], low, high)
        if b > a:
            slope = (ends[1] - ends[0]) / (np.log(rate) - left) if previous else 0.0
            start = ends[0] + slope * (a - left) if previous else ends[0]
            total += (b - a) * (start + slope * (b - a) / 2)
        previous = rate
        if rate > UPPER:
            break
    return total / (high - low)


def passes(normals, images):
    """The rates of the normal images, and the bins of each image's defective pixels."""
    coarse = PixelHistogram()
    for one in normals:
        coarse.count(one, np.zeros(one.shape, bool))
    for one, mask in images:
        coarse.count(one, mask)
    binning = coarse.finer_binning()
    rates, pixels = NormalImages(binning), PixelHistogram(binning)
    for one in normals:
        rates.update(one)
    return rates.false_positives(), [pixels.update(*image) for image in images]


def streamed(normals, images):
    """AUPIMO of images (map, mask), through the two passes."""
    rates, defective = passes(normals, images)
    return [rates.aupimo(bins) for bins in defective]


def scene(rng, sizes, lift=7.0, digits=7):
    def noise(size):
        return cv2.GaussianBlur(rng.standard_normal(size), (0, 0), 1) * 3

    normals = [np.round(noise(size), digits).astype(np.float32) for size in sizes]
    images = []
    for _ in range(3):
        mask = np.zeros(sizes[0], bool)
        mask[20:40, 10:50] = True
        one = noise(sizes[0]) + rng.uniform(0.3, 1) * lift * mask
        images.append((np.round(one, digits).astype(np.float32), mask))
    return normals, images


SIZES = [(200, 150), (90, 120), (200, 150)]
FIXED_POINT = 1e-7  # a pixel's weight is rounded down to 40 bits: 3·10⁻⁸ of one in 30,000


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7]))
@example(4938, 7)  # off by 1.9e-4: a defect's pixels share a bin with a high normal one
def test_as_defined_but_for_pixels_that_share_a_bin(seed, digits):
    """Between the values with those pixels above and below all normal ones of their bin."""
    normals, images = scene(np.random.default_rng(seed), SIZES, digits=digits)
    rates, defective = passes(normals, images)
    apart = FalsePositives(2 * rates.bins, rates.rate)
    for bins, (one, mask) in zip(defective, images, strict=True):
        low, high = (apart.aupimo(2 * bins + side) for side in (-1, 1))
        for value in (rates.aupimo(bins), defined(normals, one[mask])):
            assert low - FIXED_POINT <= value <= high + FIXED_POINT


@pytest.mark.parametrize("digits", [1, 7])
@pytest.mark.parametrize("seed", range(6))
def test_close_to_the_definition(seed, digits):
    normals, images = scene(np.random.default_rng(seed), SIZES, digits=digits)
    found = streamed(normals, images)
    expected = [defined(normals, one[mask]) for one, mask in images]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.5e-4)
    assert max(found) > 0.05


def test_normal_images_weigh_the_same_whatever_their_size():
    """One false positive of 10,000 pixels, none in a much larger image: the rate is half of it."""
    normals = [np.zeros((100, 100), np.float32), np.zeros((1000, 500), np.float32)]
    normals[0][0, 0] = 1
    rates = NormalImages(PixelHistogram().binning)
    for one in normals:
        rates.update(one)
    assert rates.false_positives().rate == pytest.approx([0.5e-4, 1])


@pytest.mark.parametrize(("score", "expected"), [(5, 1.0), (0.5, 0.0)])
def test_perfect_and_blind(score, expected):
    normals = [np.linspace(0, 1, 250_000, dtype=np.float32).reshape(500, 500)]
    mask = np.zeros((500, 500), bool)
    mask[:50, :50] = True
    found = streamed(normals, [(np.where(mask, score, 0).astype(np.float32), mask)])
    assert found == [pytest.approx(expected)]


def test_half_found():
    """Half of the pixels lie above all normal ones, the others below all."""
    normals = [np.linspace(0, 1, 250_000, dtype=np.float32).reshape(500, 500)]
    mask = np.zeros((500, 500), bool)
    mask[:2, :50] = True
    one = np.where(mask, -1, 0).astype(np.float32)
    one[0, :50] = 2
    assert streamed(normals, [(one, mask)]) == [pytest.approx(0.5)]


def test_undefined():
    binning = PixelHistogram().binning
    assert NormalImages(binning).false_positives().aupimo(np.array([3])) is None
    normals = NormalImages(binning)
    normals.update(np.zeros((4, 4), np.float32))
    assert normals.false_positives().aupimo(np.array([], np.int64)) is None
