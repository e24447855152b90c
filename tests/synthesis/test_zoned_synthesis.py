"""Synthetic defects keep out of ignored zones, and rendered images have the zones of theirs."""

import numpy as np
import pytest

from blemish.core.params import DataParams
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.images.reading import read_image
from blemish.images.zones import IGNORE, read_zone_map
from tests.datasets.annotation_files import labelme, shape
from tests.units import NAME, Unit, write_unit

ZONES = {NAME: {"rim": {"false_alarm_rate": 0.2, "min_area": 9}}}


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """All but a square in the middle is ignored; a rim lies within that square."""
    folder = tmp_path_factory.mktemp("zoned")
    shapes = [
        shape(corners, "rectangle", "ignore")
        for corners in ([[0, 0], [100, 10]], [[0, 50], [100, 80]], [[0, 0], [12, 80]])
    ]
    shapes.append(shape([[12, 10], [60, 20]], "rectangle", "rim"))
    labelme(folder / "zones/zones.json", shapes, (0, 0))  # no size is stated: it fits any
    params = DataParams.model_validate({"zones": ZONES})
    return write_unit(folder / "unit", params=params, zones=folder / "zones")


def rendered(unit: Unit) -> tuple[Manifest, Manifest]:
    return read_manifest(unit.synthetic), read_manifest(unit.prepared)


def test_rendered_images_have_the_zones_of_the_images_they_are_drawn_on(zoned: Unit) -> None:
    made, prepared = rendered(zoned)
    assert (made.facts.zones, made.tolerances()) == (("rim",), prepared.tolerances())
    assert made.facts.masks == "pixel"
    assert made.facts.notes == ()
    sources = prepared.rows.set_index("image")["zones"]
    assert set(made.rows["split"]) == {"validation", "weak"}
    for row in made.rows.itertuples():
        zones = read_zone_map(zoned.synthetic / row.zones, ("rim",), (row.height, row.width))
        own = zoned.prepared / sources[row.group]
        assert (zones.index == read_zone_map(own, ("rim",), (row.height, row.width)).index).all()
        assert zones.of("rim").any()
        assert zones.of(IGNORE).any()


def test_no_defect_lies_in_an_ignored_zone(zoned: Unit) -> None:
    made, _ = rendered(zoned)
    for row in made.rows.itertuples():
        judged = read_zone_map(made.root / row.zones, ("rim",), (row.height, row.width)).judged()
        mask = read_mask(made.root / row.mask)
        assert mask.any()
        assert not (mask & ~judged).any()
        before, after = read_image(zoned.prepared / row.group), read_image(made.root / row.image)
        assert (before[~judged] == after[~judged]).all()
        assert np.any(before != after)
