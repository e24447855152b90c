"""How images come to a network: what sizes suggest, what is asked for, and what cannot be."""

from typing import Any

import pytest

from blemish.images.framing import Framing, Size
from blemish.images.windows import windows
from blemish.methods.dmad.params import Params as Dmad
from blemish.methods.dsarad.params import Params as Dsarad
from blemish.methods.esad.params import Params as Esad
from blemish.methods.glass.params import Params as Glass
from blemish.methods.patchcore.params import Params
from blemish.methods.view import choose_view


def chosen(sizes: list[Size], **changes: Any) -> Framing:
    params = Params(**{"image_size": 256, "resize": "auto"} | changes)
    return choose_view(params, sizes).framing


FIT: list[tuple[Size, Size]] = [
    ((256, 256), (256, 256)),
    ((300, 300), (256, 256)),  # as solar cells come
    ((64, 64), (256, 256)),  # small ones are enlarged
    ((301, 300), (256, 256)),  # as good as square
    ((614, 614), (256, 256)),  # 2.4 times
    ((1024, 1024), (256, 256)),  # a window would see too little of what is across
    ((300, 600), (192, 352)),  # of the area of 256², in multiples of 32
    ((600, 300), (352, 192)),
    ((100, 1000), (96, 800)),
    ((10, 1000), (64, 2560)),  # two steps at least
]


@pytest.mark.parametrize(("size", "window"), FIT)
def test_images_up_to_some_times_the_window_are_seen_at_once(size: Size, window: Size) -> None:
    assert chosen([size]) == Framing(*window, "fit")


TILES: list[tuple[Size, float]] = [
    ((500, 1240), 1.0),  # two windows across
    ((1130, 460), 1.0),
    ((256, 4096), 0.8125),  # sixteen windows
    ((1334, 2000), 832 / (1334 * 2000) ** 0.5),  # too much would be lost
    ((1664, 1664), 0.5),
    ((3000, 4000), 832 / (3000 * 4000) ** 0.5),
]


@pytest.mark.parametrize(("size", "scale"), TILES)
def test_larger_images_are_seen_through_windows(size: Size, scale: float) -> None:
    found = chosen([size])
    assert found == Framing(256, 256, "tiles", scale=found.scale, overlap=64, step=32)
    assert found.scale == pytest.approx(scale)
    assert len(list(windows(found, found.place(*size).frame))) <= 16 + 8  # rounded up to the grid


def test_the_median_image_decides() -> None:
    small, large = (300, 300), (256, 4096)
    assert chosen([small, small, large]).resize == "fit"
    assert chosen([small, large, large]).resize == "tiles"


def test_what_is_asked_for_is_done() -> None:
    size = [(300, 600)]
    assert chosen(size, resize="squash") == Framing.square(256, "squash")
    assert chosen(size, resize="crop") == Framing.square(256, "crop")
    assert chosen(size, resize="tiles", overlap=0.5, scale=2.0) == Framing(
        256, 256, "tiles", scale=2.0, overlap=128
    )
    assert chosen([(4096, 4096)], resize="fit") == Framing(256, 256, "fit")
    assert chosen([(4096, 4096)], scale=1.0).scale == 1.0
    glass = choose_view(Glass(resize="crop", enlarge=1.5, image_size=288), size).framing
    assert glass == Framing.square(288, "crop", 1.5)


@pytest.mark.parametrize(
    "params",
    [
        Dsarad(resize="auto", image_size=256, flat_field=True, rotation=0),
        Glass(resize="auto", image_size=256, variant="judge"),
        Glass(resize="auto", image_size=256, variant="hypersphere"),
        Dmad(resize="auto"),
    ],
)
def test_who_cannot_look_through_windows_or_does_so_badly_fits_the_image(params: Any) -> None:
    assert choose_view(params, [(2000, 2000)]).framing == Framing(256, 256, "fit")


def test_a_network_s_input_is_a_multiple_of_what_it_needs() -> None:
    sizes = [(300, 600)]
    esad = choose_view(Esad(resize="auto", image_size=288, cells=[4, 9]), sizes).framing
    assert esad.step == 288
    assert all(side % 288 == 0 for side in esad.window)
    dmad = choose_view(Dmad(resize="auto", strides=[8, 16, 32]), sizes).framing
    assert dmad.step == 64
    assert all(side % 64 == 0 for side in dmad.window)


def test_the_reason_names_the_sizes() -> None:
    params = Params(image_size=256, resize="auto")
    assert choose_view(params, [(1024, 768)]).reason == (
        "chosen: images of 768×1024 are 3.5 times as large as 256×256"
    )
    asked = Params(image_size=256, resize="fit")
    assert choose_view(asked, [(256, 256)]).reason.startswith(
        "asked for: images of 256×256 are 1.0"
    )
