"""Bins of scores keep the order of all numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.metrics.binning import Binning


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2))
def test_bins_keep_the_order_of_all_numbers(values):
    scores = np.array(values, np.float32)
    exact = Binning(
        np.where(np.isin(np.arange(1 << 20), _buckets(scores)), 4096, 0).astype(np.int32)
    )
    for binning in (Binning.coarse(), Binning(np.full(1 << 20, 100, np.int32)), exact):
        bins = binning.index(scores)
        order = np.argsort(scores, kind="stable")
        assert (np.diff(bins[order]) >= 0).all()
        assert (binning.lowest_score(bins) <= scores).all()
        assert (binning.index(binning.lowest_score(bins)) == bins).all()
    assert (exact.lowest_score(exact.index(scores)) == scores).all()


def _buckets(scores):
    return Binning.coarse().index(scores)


def test_negative_zero_ties_with_zero():
    bins = Binning(np.full(1 << 20, 100, np.int32)).index(np.array([-0.0, 0.0, -1e-45], np.float32))
    assert bins[0] == bins[1] > bins[2]
