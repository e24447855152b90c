"""The streaming histogram against an exact, sort-based float64 reference."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from blemish.metrics.binning import BINS
from blemish.metrics.histograms import PixelHistogram
from tests.metrics.reference import (
    KINDS,
    TOLERANCE,
    deviation,
    exact,
    histogram,
    measure,
    scene,
    streamed,
)


@pytest.mark.parametrize("size", [(33, 47), (128, 96), (256, 256)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_close_to_the_exact_reference(kind, size):
    rng = np.random.default_rng(len(kind) + size[0])
    maps, masks = scene(rng, 6, size)
    maps = [KINDS[kind](one).astype(np.float32) for one in maps]
    assert deviation(maps, masks) < TOLERANCE


@pytest.mark.parametrize("kind", ["random", "saturated sigmoid", "spiked"])
def test_few_and_small_defects_stay_within_the_tolerance(kind):
    maps, masks = scene(np.random.default_rng(3), 8, (160, 160), strength=4, largest=0.02)
    assert deviation([KINDS[kind](one).astype(np.float32) for one in maps], masks) < TOLERANCE


@pytest.mark.parametrize("limit", [0.01, 0.05, 1.0])
def test_other_limits_of_aupro(limit):
    maps, masks = scene(np.random.default_rng(4), 6, (128, 128), strength=3)
    maps = [one.astype(np.float32) for one in maps]
    assert deviation(maps, masks, limit) < TOLERANCE


def test_the_reference_agrees_with_scikit_learn():
    maps, masks = scene(np.random.default_rng(5), 4, (64, 64))
    label, score = np.concatenate(masks).ravel(), np.round(np.concatenate(maps).ravel(), 1)
    found = exact([np.round(one, 1) for one in maps], masks)
    assert found["auroc"] == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert found["ap"] == pytest.approx(average_precision_score(label, score), abs=1e-12)


def test_one_outlier_pixel_moves_the_common_recipe_but_not_ours():
    """200 thresholds from minimum to maximum lose points to it (`docs/spec/measures.md` §5)."""
    maps, masks = scene(np.random.default_rng(6), 10, (128, 128), strength=2.5)
    maps = [one.astype(np.float32) for one in maps]
    before = exact(maps, masks)["aupro"]
    maps[0][5, 5] = 400
    assert abs(exact(maps, masks)["aupro"] - before) < 1e-4
    assert abs(_two_hundred_steps(maps, masks) - before) > 0.05
    for outlier in (400, 1e9, 3e38, -1e30):
        maps[0][5, 5] = outlier
        assert deviation(maps, masks) < TOLERANCE


def _two_hundred_steps(maps, masks):
    """AUPRO as widely copied: linear thresholds, cut at 0.3 without interpolation, rescaled."""
    normal = np.concatenate([one[~mask] for one, mask in zip(maps, masks, strict=True)])
    regions = []
    for one, mask in zip(maps, masks, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [one[labels == region] for region in range(1, count)]
    thresholds = np.linspace(min(one.min() for one in maps), max(one.max() for one in maps), 200)
    fpr = np.array([(normal > step).mean() for step in thresholds])
    pro = np.array([np.mean([(one > step).mean() for one in regions]) for step in thresholds])
    x, y = fpr[fpr < 0.3][::-1], pro[fpr < 0.3][::-1]
    return np.trapezoid(y, (x - x.min()) / (x.max() - x.min()))


def test_aupro_by_hand():
    """Ten normal pixels score 0 … 9; a region of two scores 20 and 7: PRO is ½, then rises."""
    scores = np.array([[20, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]], np.float32)
    mask = np.zeros((1, 12), bool)
    mask[0, :2] = True
    # The tie at 7 is one slanted step from (0.2, 0.5) to (0.3, 1), cut at 0.25 where PRO is 0.75.
    expected = (0.2 * 0.5 + 0.05 * (0.5 + 0.75) / 2) / 0.25
    assert streamed([scores], [mask], 0.25)["aupro"] == pytest.approx(expected, abs=1e-12)


def test_diagonal_neighbours_are_one_region_and_regions_weigh_the_same():
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], bool)
    scores = np.array([[9, 1, 2, 3], [4, 0, 2, 3], [1, 2, 1, 2], [1, 2, 3, 8]], np.float32)
    counts = histogram([scores], [mask])
    assert counts.regions.regions == 2
    covered = counts.ranking().regions
    assert covered[0] == pytest.approx(0.5 / 2, abs=1e-12)  # one of the two diagonal pixels
    assert covered[1] == pytest.approx(1.5 / 2, abs=1e-12)  # and the single pixel


def test_coverage_is_exact_to_a_billionth():
    """A region of a large prime area, whose 1/area no binary fraction holds."""
    mask = np.zeros((1001, 1001), bool)
    mask.flat[:999_983] = True
    scores = np.zeros((1001, 1001), np.float32)
    scores.flat[:400_000] = 1
    covered = histogram([scores], [mask]).ranking().regions
    assert abs(Fraction(covered[0]) - Fraction(400_000, 999_983)) < Fraction(1, 10**9)
    assert abs(covered[-1] - 1) < 1e-9


def test_counts_do_not_stop_where_float32_sums_would():
    counts = PixelHistogram()
    for _ in range(17):
        counts.update(np.ones((1024, 1024), np.float32), np.zeros((1024, 1024), bool))
    assert counts.ranking().false_positives[-1] == 17 * 2**20 > 2**24


def test_memory_does_not_grow_with_the_images():
    maps, masks = scene(np.random.default_rng(7), 12, (64, 64))
    maps = [one.astype(np.float32) for one in maps]
    binning = histogram(maps, masks).finer_binning()
    assert 65_536 <= binning.size <= BINS + np.count_nonzero(binning.bins)
    few, many = histogram(maps[:2], masks[:2], binning), histogram(maps, masks, binning)
    assert vars(few).keys() == vars(many).keys()
    for name in ("normal", "anomalous"):
        assert getattr(few, name).nbytes == getattr(many, name).nbytes
    assert few.regions.words.nbytes == many.regions.words.nbytes


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(
    SEEDS,
    st.sampled_from(sorted(KINDS)),
    st.tuples(st.integers(8, 150), st.integers(8, 150)),
    st.floats(0.5, 6),
    st.none() | st.floats(-1e30, 1e30),
    st.floats(0.01, 1),
)
def test_close_to_the_exact_reference_whatever_comes(seed, kind, size, strength, outlier, limit):
    maps, masks = scene(np.random.default_rng(seed), 4, size, strength)
    maps = [KINDS[kind](one).astype(np.float32) for one in maps]
    if outlier is not None:
        maps[0][3, 4] = outlier
    assert deviation(maps, masks, limit) < TOLERANCE


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.integers(1, 5), st.sampled_from(sorted(KINDS)))
def test_shards_add_up_to_the_union_to_the_bit(seed, cut, kind):
    maps, masks = scene(np.random.default_rng(seed), 6, (24, 31))
    maps = [KINDS[kind](one).astype(np.float32) for one in maps]
    whole = histogram(maps, masks)
    parts = (maps[:cut], masks[:cut]), (maps[cut:], masks[cut:])
    coarse = histogram(*parts[0]) + histogram(*parts[1])
    assert coarse.finer_binning() == whole.finer_binning()
    binning = whole.finer_binning()
    union = histogram(maps, masks, binning)
    merged = histogram(*parts[1], binning) + histogram(*parts[0], binning)
    for name in ("normal", "anomalous"):
        assert np.array_equal(getattr(merged, name), getattr(union, name))
    assert np.array_equal(merged.regions.words, union.regions.words)
    assert measure(merged) == measure(union)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(seed, random):
    maps, masks = scene(np.random.default_rng(seed), 5, (24, 31))
    pairs = list(zip([one.astype(np.float32) for one in maps], masks, strict=True))
    before = streamed(*zip(*pairs, strict=True))
    random.shuffle(pairs)
    assert streamed(*zip(*pairs, strict=True)) == before


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from([np.exp, np.cbrt, lambda x: -np.exp(-3 * x), lambda x: 7 * x]))
def test_a_monotone_transformation_changes_nothing(seed, transform):
    maps, masks = scene(np.random.default_rng(seed), 6, (48, 40), strength=3)
    before = streamed([one.astype(np.float32) for one in maps], masks)
    after = streamed([transform(one).astype(np.float32) for one in maps], masks)
    assert max(abs(before[name] - after[name]) for name in before) < TOLERANCE


def test_perfect_and_inverted_maps():
    mask = np.zeros((20, 20), bool)
    mask[2:9, 3:9] = True
    perfect = streamed([mask.astype(np.float32)], [mask])
    assert perfect == {"auroc": 1.0, "ap": 1.0, "f1max": 1.0, "fpr95": 0.0, "aupro": 1.0}
    inverted = streamed([-mask.astype(np.float32)], [mask])
    assert inverted["auroc"] == 0.0
    assert inverted["aupro"] == 0.0
    assert inverted["fpr95"] == 1.0
    assert inverted["ap"] == pytest.approx(mask.mean())


@pytest.mark.parametrize("defective", [False, True])
def test_without_both_kinds_of_pixels_nothing_is_defined(defective):
    mask = np.full((8, 8), defective)
    found = streamed([np.arange(64, dtype=np.float32).reshape(8, 8)], [mask])
    assert set(found.values()) == {None}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused(bad):
    one = np.zeros((4, 4), np.float32)
    one[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        PixelHistogram().update(one, np.zeros((4, 4), bool))


def test_misuse_is_refused():
    one, mask = np.ones((4, 4), np.float32), np.zeros((4, 4), bool)
    coarse = histogram([one], [mask])
    fine = PixelHistogram(coarse.finer_binning())
    with pytest.raises(ValueError, match="mask"):
        coarse.update(one, mask[:3])
    with pytest.raises(ValueError, match="did not meet"):
        fine.update(3 * one, mask)
    with pytest.raises(ValueError, match="different bins"):
        _ = coarse + fine
    with pytest.raises(ValueError, match="only a coarse"):
        fine.finer_binning()


def test_what_is_not_judged_is_not_counted():
    anomaly_map = np.array([[9, 1, 2], [9, 3, 4]], np.float32)
    mask = np.array([[0, 0, 0], [0, 1, 0]], bool)
    judged = np.array([[0, 1, 1], [0, 1, 1]], bool)
    found, expected = PixelHistogram(), PixelHistogram()
    bins = found.update(anomaly_map, mask, judged=judged)
    assert (bins == expected.update(anomaly_map[:, 1:], mask[:, 1:])).all()
    assert (found.normal == expected.normal).all()
    assert (found.anomalous == expected.anomalous).all()
    assert (found.normal.sum(), found.anomalous.sum()) == (3, 1)
    with pytest.raises(ValueError, match="the mask holds pixels that are not judged"):
        found.update(anomaly_map, ~mask, judged=judged)
