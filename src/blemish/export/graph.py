"""A detector as one ONNX model: images of any size in; maps, scores and decisions out."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import onnx
import torch
from onnx import ModelProto

from blemish.export.builder import IR_VERSION, OPSET
from blemish.export.forms import Scores, WindowScores
from blemish.export.framing_graph import framing_graph, map_graph
from blemish.export.operators import DECOMPOSITIONS
from blemish.methods.detector import AnyDetector

MOST_IMAGES = 1024  # of a batch


def onnx_model(detector: AnyDetector, threshold: float, facts: Mapping[str, str]) -> ModelProto:
    """uint8 `images` (N, H, W, 3) → `score` (N,) float64, bool `defective` (N,): whether it is
    above `threshold`; `map` (N, H, W) float32. Not for images that are seen through windows.

    facts: travel in the file.
    """
    framing = detector.framing
    before = framing_graph(framing)
    network = network_graph(detector)
    after = map_graph(framing, threshold)
    joined = onnx.compose.merge_models(
        before, network, [("pictures", "pictures"), ("judged", "judged")]
    )
    joined = _with_map(joined, after)
    return _finished(joined, facts)


def window_model(detector: AnyDetector, zones: int, facts: Mapping[str, str]) -> ModelProto:
    """The network alone, for a program around it: see `WindowScores`."""
    return _finished(network_graph(detector, zones), facts)


def network_graph(detector: AnyDetector, zones: int = 0) -> ModelProto:
    """`pictures` and `judged` → `maps` and `scores`; see `Scores`, or with zones `WindowScores`."""
    height, width = detector.framing.window
    pictures = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    lengths = (zones, 2) if zones else (2,)
    judged = torch.ones(*lengths, height, width, dtype=torch.bool)
    module = (WindowScores(detector, zones) if zones else Scores(detector)).eval()
    batch = torch.export.Dim("N", min=1, max=MOST_IMAGES)
    dynamic = ({0: batch}, {1 if zones else 0: batch})
    with torch.no_grad(), _quiet():
        module(pictures, judged)  # fills caches, which tracing could not
        program = torch.export.export(module, (pictures, judged), dynamic_shapes=dynamic)
        made = torch.onnx.export(
            program.run_decompositions(DECOMPOSITIONS),
            (),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pictures", "judged"],
            output_names=["maps", "scores"],
            verbose=False,
        )
    assert made is not None
    model: ModelProto = made.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # where in whose source it came from
        del node.metadata_props[:]
        node.doc_string = ""
    model.ir_version = IR_VERSION
    return onnx.compose.add_prefix(
        model, "network/", rename_inputs=False, rename_outputs=False, rename_nodes=True
    )


def _with_map(joined: ModelProto, after: ModelProto) -> ModelProto:
    """What `map_graph` adds; both read the size of `images`."""
    graph = joined.graph
    graph.node.extend(after.graph.node)
    graph.initializer.extend(after.graph.initializer)
    del graph.output[:]
    graph.output.extend(after.graph.output)
    graph.name = "blemish"
    return joined


def _finished(model: ModelProto, facts: Mapping[str, str]) -> ModelProto:
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own progress and of operators that it keeps."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
