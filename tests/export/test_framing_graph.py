"""The framing as a graph gives the pixels and the maps that `Framing` gives."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto

from blemish.export.framing_graph import framing_graph, map_graph
from blemish.images.framing import Framing

FRAMINGS = [
    Framing(64, 64, "fit"),
    Framing(32, 96, "fit"),
    Framing(64, 64, "squash"),
    Framing(64, 64, "crop", 1.25),
]
SIZES = [(64, 64), (150, 150), (47, 101), (101, 47), (33, 64), (1, 7), (300, 200)]
SHRUNK = {(150, 150), (300, 200)}
# Pillow rounds sums of whole numbers, the graph sums of floats. Few pixels lie that near a half; of
# enlarged pictures many do, and where aspects change Pillow takes the axes in an order of its own.
FEW, MANY = 0.02, 0.5


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def smooth(size: tuple[int, int]) -> np.ndarray:
    """Two pictures (2, H, W, 3) as cameras make them: their pixels differ little from the next."""
    y, x = np.mgrid[: size[0], : size[1]]
    grain = np.random.default_rng(0).normal(0, 4, (2, *size, 3))
    return (120 + 60 * np.sin(x / 9 + y / 17)[None, :, :, None] + grain).astype(np.uint8)


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.said)
def test_pictures_and_what_of_them_is_judged(framing: Framing) -> None:
    run = session(framing_graph(framing))
    for size in SIZES:
        images = smooth(size)
        pictures, judged = run.run(None, {"images": images})
        expected = np.stack([framing.to_model(image) for image in images])
        apart = np.abs(pictures.astype(int) - expected)
        assert apart.max() <= 2
        exact = size in SHRUNK and framing.resize != "squash"
        assert (apart > 0).mean() <= (FEW if exact else MANY)
        filled = framing.filled(size)
        shown = np.ones(framing.window, bool) if filled is None else filled
        np.testing.assert_array_equal(judged, np.stack([shown, shown]))


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.said)
def test_maps_at_the_size_of_the_image(framing: Framing) -> None:
    run = session(map_graph(framing, 0.5))
    maps = np.random.default_rng(1).random((2, *framing.window)).astype(np.float32)
    for size in SIZES:
        given = {"images": smooth(size), "maps": maps, "scores": np.array([0.4, 0.6])}
        score, defective, whole = run.run(None, given)
        np.testing.assert_array_equal(score, [0.4, 0.6])
        np.testing.assert_array_equal(defective, [False, True])
        expected = [framing.to_original(framing.inside(one, size), size) for one in maps]
        np.testing.assert_allclose(whole, expected, atol=1e-4)
