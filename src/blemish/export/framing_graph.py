"""What happens to an image before and after the network, as ONNX graphs: `Framing`, in operators.

All images of a batch have one size (H, W). What follows from it is computed in the graph, in whole
numbers where that can be, so that every runtime comes to the same pixels.
"""

from typing import NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto

from blemish.export.builder import Builder, Value, tensor
from blemish.images.framing import Framing

UNIT = 2.0**22  # of which Pillow's weights are whole numbers
MIDDLE = 128.0  # grey; sums of floats around 0 are finer than those around it
FLOAT = TensorProto.FLOAT


class Placed(NamedTuple):
    """`framing.Place` along one axis, each a whole number: of the image's pixels, of them when it
    is resized, of the frame, and where in the frame the image begins."""

    pixels: Value
    resized: Value
    frame: Value
    start: Value


def framing_graph(framing: Framing) -> ModelProto:
    """uint8 `images` (N, H, W, 3) → uint8 `pictures` (N, 3, h, w) as the network takes them, and
    bool `judged` (N, h, w), where they show the image."""
    g = Builder("before/")
    height, width = framing.window
    rows, columns = _place(g, framing)
    middle = g.constant(MIDDLE, np.float32)
    pictures = g("Cast", g("Transpose", "images", perm=[0, 3, 1, 2]), to=FLOAT)
    across, down = (_weights(g, axis) for axis in (columns, rows))
    sideways = g("Transpose", across, perm=[1, 0])
    narrow = g("MatMul", g("Sub", pictures, middle), sideways)
    small = g("MatMul", down, _rounded(g, narrow, _excess(g, across, [0])))
    small = _rounded(g, small, _excess(g, down, [1]))
    laid = g(
        "Gather", g("Gather", small, _mirrored(g, rows), axis=2), _mirrored(g, columns), axis=3
    )
    g("Cast", g("Add", laid, middle), to=TensorProto.UINT8, name="pictures")
    inside = g("And", g("Unsqueeze", _within(g, rows), g.constant([1])), _within(g, columns))
    count = g("Shape", "images", start=0, end=1)
    shape = g("Concat", count, g.constant([height, width]), axis=0)
    g("Expand", inside, shape, name="judged")
    return g.model(
        [tensor("images", TensorProto.UINT8, "N", "H", "W", 3)],
        [
            tensor("pictures", TensorProto.UINT8, "N", 3, height, width),
            tensor("judged", TensorProto.BOOL, "N", height, width),
        ],
    )


def map_graph(framing: Framing, threshold: float) -> ModelProto:
    """`maps` (N, h, w) and `scores` (N,) of the network → `map` (N, H, W) at the size of the
    `images`, `score` (N,) and bool `defective` (N,): whether it is above the threshold."""
    g = Builder("after/")
    height, width = framing.window
    rows, columns = _place(g, framing)
    inside = [_taken(g, axis) for axis in (rows, columns)]
    part = g("Gather", g("Gather", "maps", inside[0], axis=1), inside[1], axis=2)
    if framing.resize == "crop":
        part = _surrounded(g, part, rows, columns)
    sizes = g("Concat", g("Shape", "maps", end=1), g.constant([1]), _one(g, rows.pixels),
              _one(g, columns.pixels), axis=0)  # fmt: skip
    four = g("Unsqueeze", part, g.constant([1]))
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    whole = g("Resize", four, "", "", sizes, **how)
    g("Squeeze", whole, g.constant([1]), name="map")
    g("Identity", "scores", name="score")
    g("Greater", "scores", g.constant(threshold, np.float64), name="defective")
    return g.model(
        [
            tensor("images", TensorProto.UINT8, "N", "H", "W", 3),
            tensor("maps", FLOAT, "N", height, width),
            tensor("scores", TensorProto.DOUBLE, "N"),
        ],
        [
            tensor("score", TensorProto.DOUBLE, "N"),
            tensor("defective", TensorProto.BOOL, "N"),
            tensor("map", FLOAT, "N", "H", "W"),
        ],
    )


def _place(g: Builder, framing: Framing) -> tuple[Placed, Placed]:
    """`Framing.place` of the images."""
    pixels = [g("Gather", g("Shape", "images"), g.constant(axis)) for axis in (1, 2)]
    frames = [g.constant(side) for side in framing.window]
    if framing.resize == "squash":
        resized = frames
    else:
        exact = [g("Cast", side, to=TensorProto.DOUBLE) for side in pixels]
        if framing.resize == "crop":
            target = g.constant(round(framing.height * framing.enlarge), np.float64)
            shorter = g("Min", *exact)
            scaled = [g("Div", g("Mul", side, target), shorter) for side in exact]
        else:
            sides = [g.constant(side, np.float64) for side in framing.window]
            factor = g("Min", g("Div", sides[0], exact[0]), g("Div", sides[1], exact[1]))
            scaled = [g("Mul", side, factor) for side in exact]
        whole = [g("Cast", g("Round", side), to=TensorProto.INT64) for side in scaled]
        resized = [g("Max", side, g.constant(1)) for side in whole]
    # Whole numbers are divided towards zero, as `int` does there.
    starts = [
        g("Div", g("Sub", frame, length), g.constant(2))
        for frame, length in zip(frames, resized, strict=True)
    ]
    rows, columns = (Placed(*of) for of in zip(pixels, resized, frames, starts, strict=True))
    return rows, columns


def _weights(g: Builder, axis: Placed) -> Value:
    """Pillow's bilinear weights with anti-aliasing, (resized, pixels), rounded as it does.

    A pixel counts by how near its centre is, in pixels of the coarser of the two sides: in units of
    1 / (2 · pixels · resized) of the axis all distances are whole numbers.
    """
    one, two = g.constant(1), g.constant(2)
    centres = []
    for length, other in ((axis.resized, axis.pixels), (axis.pixels, axis.resized)):
        doubled = g("Mul", _numbers(g, length), two)
        centres.append(g("Mul", g("Add", doubled, one), other))
    apart = g("Abs", g("Sub", g("Unsqueeze", centres[0], g.constant([1])), centres[1]))
    reach = g("Mul", two, g("Max", axis.pixels, axis.resized))
    near = g("Cast", g("Max", g("Sub", reach, apart), g.constant(0)), to=TensorProto.DOUBLE)
    share = g("Div", near, g("ReduceSum", near, g.constant([1])))
    unit, half = g.constant(UNIT, np.float64), g.constant(0.5, np.float64)
    rounded = g("Floor", g("Add", g("Mul", share, unit), half))
    return g("Cast", g("Div", rounded, unit), to=FLOAT)


def _excess(g: Builder, weights: Value, axes: list[int]) -> Value:
    """By how much `MIDDLE` grows, as rounded weights do not quite add up to 1."""
    share = g("Div", weights, g("ReduceSum", weights, g.constant([1])))
    total = g("ReduceSum", g("Sub", weights, share), g.constant([1]), keepdims=0)
    return g("Unsqueeze", g("Mul", total, g.constant(MIDDLE, np.float32)), g.constant(axes))


def _rounded(g: Builder, values: Value, excess: Value) -> Value:
    """Rounded as Pillow does after each pass, halves upwards."""
    return g("Floor", g("Add", values, g("Add", excess, g.constant(0.5, np.float32))))


def _numbers(g: Builder, length: Value) -> Value:
    return g("Range", g.constant(0), length, g.constant(1))


def _mirrored(g: Builder, axis: Placed) -> Value:
    """Which pixel of the resized image each of the frame shows, beyond its borders mirrored."""
    twice = g("Mul", g.constant(2), axis.resized)
    there = g("Mod", g("Sub", _numbers(g, axis.frame), axis.start), twice)
    back = g("Sub", g("Sub", twice, g.constant(1)), there)
    return g("Min", there, back)


def _within(g: Builder, axis: Placed) -> Value:
    """Which pixels of the frame show the image, bool (frame,)."""
    there = g("Sub", _numbers(g, axis.frame), axis.start)
    return g("And", g("GreaterOrEqual", there, g.constant(0)), g("Less", there, axis.resized))


def _taken(g: Builder, axis: Placed) -> Value:
    """The pixel of the frame that each of the resized image is in, or else the nearest."""
    there = g("Add", _numbers(g, axis.resized), axis.start)
    last = g("Sub", axis.frame, g.constant(1))
    return g("Max", g("Min", there, last), g.constant(0))


def _surrounded(g: Builder, part: Value, rows: Placed, columns: Placed) -> Value:
    """A map (N, resized, resized) whose pixels that were cut off have its lowest value."""
    seen = []
    for axis in (rows, columns):
        there = g("Add", _numbers(g, axis.resized), axis.start)
        seen.append(g("And", g("GreaterOrEqual", there, g.constant(0)),
                      g("Less", there, axis.frame)))  # fmt: skip
    both = g("And", g("Unsqueeze", seen[0], g.constant([1])), seen[1])
    lowest = g("ReduceMin", part, g.constant([1, 2]), keepdims=1)
    return g("Where", both, part, lowest)


def _one(g: Builder, number: Value) -> Value:
    """A number as a tensor (1,)."""
    return g("Unsqueeze", number, g.constant([0]))
