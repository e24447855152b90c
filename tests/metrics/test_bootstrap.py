"""Bootstrap: right metrics of each draw, paired draws, groups as a whole, honest intervals."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from blemish.metrics import curves
from blemish.metrics.bootstrap import (
    DRAWS,
    PixelCounts,
    draw_weights,
    image_draws,
    interval,
    pixel_draws,
)

RANDOM = np.random.default_rng(0)


def names(count: int) -> list[str]:
    return [f"{number:04d}.png" for number in range(count)]


def test_each_draw_has_as_many_of_each_label() -> None:
    labels = np.array([0] * 30 + [1] * 12)
    weights = draw_weights(names(42), labels)
    assert weights.shape == (DRAWS, 42)
    assert (weights[:, labels == 0].sum(axis=1) == 30).all()
    assert (weights[:, labels == 1].sum(axis=1) == 12).all()
    assert 0.6 < (weights > 0).mean() < 0.66  # 1 − 1/e of the images are in a draw


def test_draws_follow_from_the_images_alone() -> None:
    labels = RANDOM.integers(0, 2, 40)
    order = RANDOM.permutation(40)
    first = draw_weights(names(40), labels)
    again = draw_weights([names(40)[i] for i in order], labels[order])
    np.testing.assert_array_equal(first[:, order], again)
    other = draw_weights([f"other {name}" for name in names(40)], labels)
    assert (first != other).any()


def test_images_of_one_object_are_drawn_together() -> None:
    groups = [f"tile-{number // 6}" for number in range(60)]
    labels = np.array([0] * 30 + [1] * 3 + [0] * 3 + [1] * 24)  # one tile has both
    weights = draw_weights(groups, labels).reshape(DRAWS, 10, 6)
    assert (weights == weights[:, :, :1]).all()
    assert (weights[:, :5, 0].sum(axis=1) == 5).all()
    assert (weights[:, 5, 0] == 1).all()  # alone of its kind


@pytest.mark.parametrize("ties", [False, True])
def test_image_metrics_of_a_draw_are_those_of_the_drawn_images(ties: bool) -> None:
    labels = RANDOM.integers(0, 2, 60)
    scores = RANDOM.normal(labels, 1.0)
    if ties:
        scores = np.round(scores, 0)
    weights = draw_weights(names(60), labels)
    found = image_draws(labels, scores, weights)
    for draw in (0, 7, DRAWS - 1):
        own, repeated = np.repeat(labels, weights[draw]), np.repeat(scores, weights[draw])
        ranking = curves.rank(own, repeated)
        assert found["image_auroc"][draw] == pytest.approx(roc_auc_score(own, repeated))
        ap = average_precision_score(own, repeated)
        assert found["image_ap"][draw] == pytest.approx(ap)
        assert found["image_f1max"][draw] == pytest.approx(curves.f1max(ranking))
        assert found["image_fpr95"][draw] == pytest.approx(curves.fpr_at_tpr(ranking))


def test_pixel_metrics_of_a_draw_are_those_of_the_summed_counts() -> None:
    normal = RANDOM.integers(0, 50, (20, 64)).astype(float)
    anomalous = np.zeros((20, 64))
    anomalous[12:, :30] = RANDOM.integers(0, 9, (8, 30))
    regions = np.where(np.arange(20) >= 12, 2.0, 0.0)
    coverage = 2 * anomalous / np.maximum(anomalous.sum(axis=1, keepdims=True), 1)
    labels = (regions > 0).astype(int)
    weights = draw_weights(names(20), labels)
    counts = PixelCounts(normal, anomalous, coverage, regions)
    found = pixel_draws(counts, weights)
    for draw in (0, 500):
        row = weights[draw].astype(float)
        ranking = curves.Ranking(
            np.cumsum(row @ normal).astype(np.int64),
            np.cumsum(row @ anomalous).astype(np.int64),
            regions=np.cumsum(row @ coverage) / (row @ regions),
        )
        assert found["pixel_auroc"][draw] == pytest.approx(curves.auroc(ranking))
        assert found["pixel_ap"][draw] == pytest.approx(curves.average_precision(ranking))
        assert found["pixel_f1max"][draw] == pytest.approx(curves.f1max(ranking))
        assert found["pixel_aupro"][draw] == pytest.approx(curves.aupro(ranking, 0.3))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """200 test sets from a known population: about 95 % of the intervals hold its AUROC."""
    truth, held = 0.7602, 0  # Φ(1/√2), two normal distributions one deviation apart
    for number in range(200):
        random = np.random.default_rng(number)
        labels = np.repeat([0, 1], 60)
        scores = random.normal(labels, 1.0)
        keys = [f"{number}-{name}" for name in names(120)]
        low, high = interval(image_draws(labels, scores, draw_weights(keys, labels))["image_auroc"])
        held += low <= truth <= high
    assert 180 <= held <= 198


def test_paired_draws_see_what_apart_they_would_not() -> None:
    """A method that is a little better on each image: the difference is clear, the values not."""
    labels = np.repeat([0, 1], 100)
    base = np.random.default_rng(3).normal(labels, 1.0)
    better = base + 0.15 * labels
    weights = draw_weights(names(200), labels)
    one, other = (image_draws(labels, s, weights)["image_auroc"] for s in (base, better))
    assert interval(other - one)[0] > 0
    assert interval(one)[1] > interval(other)[0]


def test_one_label_alone_has_no_draws() -> None:
    labels = np.zeros(5, int)
    assert image_draws(labels, np.arange(5.0), draw_weights(names(5), labels)) == {}


def test_what_a_draw_leaves_undefined_has_no_draws() -> None:
    """One of two defective images has no defective pixel: a draw may hold that one alone."""
    normal, anomalous = np.ones((4, 8)), np.zeros((4, 8))
    anomalous[3, 2] = 1
    counts = PixelCounts(normal, anomalous, anomalous, anomalous.sum(axis=1))
    weights = draw_weights(names(4), [0, 0, 1, 1])
    assert (weights[:, 3] == 0).any()
    assert pixel_draws(counts, weights) == {}
