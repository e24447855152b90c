"""Zones at the size of anomaly maps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blemish.core.data_params import Tolerance
from blemish.core.errors import UserError
from blemish.images.framing import Framing
from blemish.images.seen_zones import UnitZones, ZoneReader, has_zones, see, shared_map
from blemish.images.zones import IGNORE, ZoneMap, write_zone_map, zone_map

NAMES = ("rim", "hub")
HALF = Framing.square(8, "squash")


def halves(*, ignore: int = 0) -> ZoneMap:
    """16×16: the upper half is the rim, of the lower one the left quarter is the hub."""
    masks = {name: np.zeros((16, 16), bool) for name in (*NAMES, IGNORE)}
    masks["rim"][:8] = True
    masks["hub"][8:, :8] = True
    masks[IGNORE][:, 16 - ignore :] = True
    return zone_map(NAMES, masks, (16, 16))


def test_the_zones_and_the_rest_divide_what_is_judged() -> None:
    seen = see(halves(ignore=4), HALF)
    judged, rim, hub, rest = seen.seen
    assert judged.shape == (8, 8)
    assert [part.sum() for part in (judged, rim, hub, rest)] == [48, 24, 16, 8]
    assert (rim.astype(int) + hub + rest == judged).all()
    assert seen.present.tolist() == [True, True, True]


@pytest.mark.parametrize("resize", ["squash", "fit", "tiles", "crop"])
@pytest.mark.parametrize("size", [(16, 16), (37, 23), (20, 50)])
def test_each_pixel_of_a_map_has_one_zone(resize, size) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 4, (3, 3)).astype(np.uint8)
    index = np.kron(coarse, np.ones((-(-size[0] // 3), -(-size[1] // 3)), np.uint8))
    index = index[: size[0], : size[1]]
    index = np.where(index == 3, 255, index).astype(np.uint8)
    framing = Framing(16, 16, resize, step=8, overlap=4)
    seen = see(ZoneMap(NAMES, index), framing)
    large = framing.to_model(np.zeros((*size, 3), np.uint8))[0]
    assert seen.seen.shape[1:] == framing.inside(large, size).shape
    assert (seen.seen[1:].sum(axis=0) == seen.seen[0]).all()


def test_a_zone_thinner_than_the_map_s_pixels_stays() -> None:
    index = np.zeros((64, 64), np.uint8)
    index[10:13, 5] = 1
    seen = see(ZoneMap(NAMES, index), HALF)
    assert 1 <= seen.seen[1].sum() <= 4
    assert seen.seen[1, 1, 0]
    assert seen.present.tolist() == [True, False, True]


def test_a_zone_that_a_crop_cuts_off_is_not_there() -> None:
    index = np.zeros((16, 48), np.uint8)
    index[:, :6] = 1
    assert see(ZoneMap(NAMES, index), Framing.square(8, "crop")).present.tolist() == [
        *(False, False, True)
    ]


def rows(*zones: str | None, width: int = 16) -> pd.DataFrame:
    table = pd.DataFrame({"zones": zones, "height": 16, "width": 16, "split": "val", "label": 0})
    table.loc[0, "width"] = width
    return table


def test_a_reader_reads_a_shared_map_once(tmp_path: Path) -> None:
    write_zone_map(halves(), tmp_path / "all.png")
    reader = ZoneReader(tmp_path, NAMES, HALF)
    unit = UnitZones({"rim": Tolerance(), "hub": Tolerance()}, reader, rows("all.png", None))
    first, second = unit.of_normals()
    assert second is None
    assert first is not None
    assert first.seen[1].sum() == 32
    (tmp_path / "all.png").unlink()
    assert next(unit.of_normals()) is first


def test_which_images_share_their_zones(tmp_path: Path) -> None:
    write_zone_map(halves(), tmp_path / "all.png")
    shared = shared_map(tmp_path, rows("all.png", "all.png"), NAMES)
    assert shared is not None
    assert (shared.index == halves().index).all()
    for others in (rows("all.png", None), rows(None, None), rows("all.png", "own.png")):
        assert shared_map(tmp_path, others, NAMES) is None
    assert shared_map(tmp_path, rows("all.png", "all.png", width=20), NAMES) is None
    with pytest.raises(UserError, match="holds zone number 2, but 1 zones are named"):
        shared_map(tmp_path, rows("all.png"), NAMES[:1])


def test_whether_any_image_has_zones() -> None:
    assert has_zones(rows(None, "a.png"))
    assert not has_zones(rows(None, None))
    assert not has_zones(rows(None).drop(columns="zones"))
