"""The runtimes that an exported graph is tried with, imported only when they are asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blemish.core.errors import UserError
from blemish.export.judge import judge

JUDGE, FACTS, ZONES = "judge.py", "export.json", "zones.npz"  # beside the graph
FILES = {"onnx": "model.onnx", "openvino": "model.xml"}


class Answer(NamedTuple):
    """What a graph says of images: see `onnx_model`."""

    score: NDArray[np.float64]
    defective: NDArray[np.bool_]
    map: NDArray[np.float32]


Run = Callable[[NDArray[np.uint8]], Answer]
Session = Callable[[list[str], dict[str, Any]], list[Any]]  # outputs' names, inputs -> outputs


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
    """The graph in `folder` in one of the `FILES`, run on the CPU by `threads` threads.

    Where `JUDGE` lies beside it the graph is that of a window, and the rest is done there.
    """
    openers = {"onnx": _open_onnx, "openvino": _open_openvino}
    session = openers[name](folder / FILES[name], threads)
    if not (folder / JUDGE).is_file():
        return lambda images: Answer(*session(list(Answer._fields), {"images": images}))
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    zones = dict(np.load(folder / ZONES)) if (folder / ZONES).is_file() else None

    def network(pictures: Any, judged: Any) -> tuple[Any, Any]:
        maps, scores = session(["maps", "scores"], {"pictures": pictures, "judged": judged})
        return maps, scores

    def run(images: NDArray[np.uint8]) -> Answer:
        found = [judge(network, facts, zones, image) for image in images]
        score, defective, maps, _ = zip(*found, strict=True)
        return Answer(np.array(score), np.array(defective), np.stack(maps))

    return run


def _open_onnx(file: Path, threads: int) -> Session:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda outputs, inputs: list(session.run(outputs, inputs))


def _open_openvino(file: Path, threads: int) -> Session:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)

    def run(outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        found = compiled(inputs)
        return [np.array(found[name]) for name in outputs]

    return run
