"""Image metrics, curve tables and thinning against scikit-learn and hand calculation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from blemish.metrics import curves
from blemish.metrics.image_metrics import image_metrics

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.6, 0.3, 0.5, 0.7, 0.9]


def test_image_metrics_by_hand():
    found = image_metrics(LABELS, SCORES)
    assert found["image_auroc"] == (16 - 2 - 0.5) / 16  # 0.6 beats two defects, 0.3 ties with one
    assert found["image_ap"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 6) / 4)
    assert found["image_f1max"] == 0.8  # all four at the cost of two false alarms
    assert found["image_fpr95"] == 0.5  # all four need the threshold 0.3, which 0.3 and 0.6 reach


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=1, max_size=40))
def test_ties_are_grouped_as_scikit_learn_does(pairs):
    labels, scores = (np.array(one) for one in zip(*pairs, strict=True))
    found = image_metrics(labels, scores)
    if len(set(labels)) < 2:
        assert set(found.values()) == {None}
        return
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert found["image_f1max"] == pytest.approx(f1.max())
    assert found["image_fpr95"] == fpr[tpr >= 0.95].min()
    ranking = replace(curves.rank(labels, scores), images=None)  # from the counts alone
    assert curves.auroc(ranking) == pytest.approx(found["image_auroc"], abs=1e-12)
    assert curves.average_precision(ranking) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_a_true_positive_rate_of_exactly_95_percent_counts():
    labels = [1] * 20 + [0] * 10
    scores = [*range(119, 99, -1), *range(100, 90, -1)]
    scores[19] = 0  # the twentieth defect lies below all good images
    assert image_metrics(labels, scores)["image_fpr95"] == 0.0


@pytest.mark.parametrize(
    ("scores", "auroc", "ap", "f1max", "fpr95"),
    [
        ([0, 0, 1, 1], 1.0, 1.0, 1.0, 0.0),
        ([1, 1, 0, 0], 0.0, 0.5, 2 / 3, 1.0),
        ([5, 5, 5, 5], 0.5, 0.5, 2 / 3, 1.0),
    ],
    ids=["perfect", "inverted", "constant"],
)
def test_extremes(scores, auroc, ap, f1max, fpr95):
    found = image_metrics([0, 0, 1, 1], scores)
    assert found["image_auroc"] == auroc
    assert found["image_f1max"] == pytest.approx(f1max)
    assert found["image_fpr95"] == fpr95
    assert found["image_ap"] == pytest.approx(ap)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []], ids=["no defects", "no good", "nothing"])
def test_undefined_metrics_are_none(labels):
    assert set(image_metrics(labels, [0.5] * len(labels)).values()) == {None}


def test_roc_table():
    table = curves.roc_curve(curves.rank(np.array(LABELS), np.array(SCORES)))
    assert table["fpr"].tolist() == [0, 0, 0, 0.25, 0.25, 0.5, 0.75, 1]
    assert table["tpr"].tolist() == [0, 0.25, 0.5, 0.5, 0.75, 1, 1, 1]
    assert np.isnan(table["threshold"][0])
    assert table["threshold"][1:].tolist() == [0.9, 0.7, 0.6, 0.5, 0.3, 0.2, 0.1]


def test_pr_table():
    table = curves.pr_curve(curves.rank(np.array(LABELS), np.array(SCORES)))
    assert table["recall"].tolist() == [0.25, 0.5, 0.5, 0.75, 1, 1, 1]
    assert table["precision"].tolist() == [1, 1, 2 / 3, 3 / 4, 4 / 6, 4 / 7, 4 / 8]


def test_pro_needs_regions():
    ranking = curves.rank(np.array(LABELS), np.array(SCORES))
    assert curves.aupro(ranking) is None
    assert curves.auspro(ranking) is None
    with pytest.raises(ValueError, match="no regions"):
        curves.pro_curve(ranking)


def test_thinning_keeps_the_ends_and_the_shape():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50_000)
    table = curves.roc_curve(curves.rank(labels, rng.standard_normal(50_000) + 1.5 * labels))
    thin = curves.thin(table, points=1000)
    assert 500 < len(thin) <= 1000
    assert thin.iloc[0, :2].tolist() == [0, 0]
    assert thin.iloc[-1, :2].tolist() == [1, 1]
    # Along the diagonal direction fpr + tpr, in which the curve strictly advances.
    way, thin_way = table["fpr"] + table["tpr"], thin["fpr"] + thin["tpr"]
    redrawn = np.interp(way, thin_way, thin["tpr"])
    assert np.abs(redrawn - table["tpr"]).max() < 0.002
    assert np.trapezoid(thin["tpr"], thin["fpr"]) == pytest.approx(
        np.trapezoid(table["tpr"], table["fpr"]), abs=1e-5
    )


def test_a_short_curve_is_not_thinned():
    table = curves.roc_curve(curves.rank(np.array(LABELS), np.array(SCORES)))
    assert curves.thin(table).equals(table)
