"""A few lines around onnx.helper, so that a graph reads like the arithmetic that it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 20
IR_VERSION = 10  # of the file format; ONNX Runtime reads it since 1.18

Value = str  # the name of a tensor in a graph


class Builder:
    """Operators and constants in the order in which they are added."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix  # of names, so that graphs can be joined
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def __call__(self, kind: str, *inputs: Value, name: str | None = None, **how: Any) -> Value:
        """Add an operator of ONNX; returns its one output, called `name`."""
        output = name or f"{self.prefix}{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **how))
        return output

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.int64) -> Value:
        """A tensor that is part of the graph."""
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def model(
        self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> ModelProto:
        """The checked model of all that was added."""
        graph = helper.make_graph(self.nodes, self.prefix, inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model: ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        return model


def tensor(name: str, kind: int, *shape: int | str) -> ValueInfoProto:
    """An input or output; a name in its shape is a length that is known when it runs."""
    return helper.make_tensor_value_info(name, kind, shape)
