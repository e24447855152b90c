"""Anomaly maps that wait in memory or in a file."""

import numpy as np
import pytest

from blemish.evaluation.map_storage import MapFile, map_storage


def test_a_map_file_holds_what_was_put_in(tmp_path):
    random = np.random.default_rng(0)
    sizes = [(5, 7), (5, 7), (3, 11), (1, 2)]  # maps of images of any size
    maps = [random.standard_normal(size).astype(np.float32) for size in sizes]
    store = MapFile(tmp_path)
    for one in maps:
        store.append(one)
    assert len(store) == 4
    for number in (2, 0, 3):
        assert np.array_equal(store[number], maps[number])
    store.append(maps[0].T)  # after reading, and not contiguous
    assert np.array_equal(store[4], maps[0].T)
    assert [one.sum() for one in store] == [one.sum() for one in [*maps, maps[0].T]]
    with pytest.raises(IndexError):
        store[5]


def test_few_maps_stay_in_memory_and_many_go_to_a_file(tmp_path):
    assert map_storage(1000 * 256**2, tmp_path) == []
    assert isinstance(map_storage(1000 * 1024**2, tmp_path), MapFile)
