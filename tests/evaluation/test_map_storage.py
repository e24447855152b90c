"""Anomaly maps that wait in memory or in a file."""

import numpy as np
import pytest

from blemish.evaluation.map_storage import MapFile, map_storage


def test_a_map_file_holds_what_was_put_in(tmp_path):
    random = np.random.default_rng(0).standard_normal((4, 5, 7)).astype(np.float32)
    store = MapFile(tmp_path)
    for one in random:
        store.append(one)
    assert len(store) == 4
    for number in (2, 0, 3):
        assert np.array_equal(store[number], random[number])
    assert np.array_equal([one.sum() for one in store], [one.sum() for one in random])
    with pytest.raises(ValueError, match=r"map \(5, 6\) among maps \(5, 7\)"):
        store.append(random[0, :, :6])


def test_few_maps_stay_in_memory_and_many_go_to_a_file(tmp_path):
    assert map_storage(1000, 256, tmp_path) == []
    assert isinstance(map_storage(1000, 1024, tmp_path), MapFile)
