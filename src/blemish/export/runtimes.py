"""The runtimes that an exported graph is tried with, imported only when they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError

FILES = {"onnx": "model.onnx", "openvino": "model.xml"}


class Answer(NamedTuple):
    """What a graph says of images: see `onnx_model`."""

    score: NDArray[np.float64]
    defective: NDArray[np.bool_]
    map: NDArray[np.float32]


Run = Callable[[NDArray[np.uint8]], Answer]


def check_installed(name: str) -> None:
    """Raise UserError where a package that exporting in a format needs is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401

        if name == "onnx":
            import onnxruntime  # noqa: F401
        else:
            import openvino  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"exporting needs the package {error.name}: pip install 'blemish[export]', or set "
            "`export.formats` to []"
        ) from None


def write_openvino(model: Path, target: Path) -> None:
    """OpenVINO's own form of an ONNX file: `target` and, beside it, its weights (.bin)."""
    import openvino

    openvino.save_model(openvino.Core().read_model(model), target, compress_to_fp16=False)


def open_graph(name: str, folder: Path, threads: int = 1) -> Run:
    """The graph in `folder` in one of the `FILES`, run on the CPU by `threads` threads."""
    openers = {"onnx": _open_onnx, "openvino": _open_openvino}
    return openers[name](folder / FILES[name], threads)


def _open_onnx(file: Path, threads: int) -> Run:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: Answer(*session.run(list(Answer._fields), {"images": images}))


def _open_openvino(file: Path, threads: int) -> Run:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)

    def run(images: NDArray[np.uint8]) -> Answer:
        found = compiled({"images": images})
        return Answer(*(np.array(found[name]) for name in Answer._fields))

    return run
