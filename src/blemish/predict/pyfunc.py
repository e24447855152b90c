"""A trained model in MLflow: `mlflow.pyfunc.load_model` and `mlflow models serve` import this.

An image comes as the bytes of its file in base64, as JSON can hold them, and never as a path: who
may ask a server must not read its disk.
"""

import base64
import binascii
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from blemish.core.errors import UserError
from blemish.predict.trained import TrainedDetector, open_detector
from blemish.predict.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

IMAGE = "image"  # the column of the images
MOST_BYTES = 64 << 20  # of an image's file


class BadImage(MlflowException):
    """What is wrong with a request: the whole answer of the server is this line.

    To the messages of other exceptions it adds the request.
    """

    def __init__(self, line: str) -> None:
        super().__init__(line, error_code=INVALID_PARAMETER_VALUE)
        self.line = line

    def serialize_as_json(self) -> str:
        """The body of the answer."""
        return json.dumps({"error_code": self.error_code, "message": self.line})


class Judge:
    """What MLflow asks for predictions."""

    def __init__(self, detector: TrainedDetector) -> None:
        self.detector = detector

    def predict(
        self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Score, decision and regions of each image in the column `image`.

        Points are x and y in pixels of the image. Raises BadImage for what is no image.
        """
        del params  # MLflow's interface has them
        texts = model_input[IMAGE]
        return [self._judged(text, f"image {number}") for number, text in enumerate(texts, 1)]

    def _judged(self, text: str, name: str) -> dict[str, Any]:
        content = _decoded(text, name)
        with TemporaryDirectory(prefix="blemish-") as folder:
            file = Path(folder, "image")  # as a file it is read as `blemish predict` reads it
            file.write_bytes(content)
            try:
                return _answer(self.detector.score(file))
            except UserError as error:
                raise BadImage(str(error).replace(str(file), name)) from None
            except Exception as error:  # decoders of damaged files raise anything
                raise BadImage(f"{name}: not a whole image ({type(error).__name__})") from None


def _load_pyfunc(folder: str) -> Judge:
    """MLflow's entry; folder: of the model's own files."""
    return Judge(open_detector(Path(folder), threads=1))


def _decoded(text: Any, name: str) -> bytes:
    """The bytes of a file in base64, with or without `data:image/png;base64,` before them."""
    if not isinstance(text, str):
        raise BadImage(f"{name}: {type(text).__name__}: send the bytes of its file in base64")
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    if len(encoded) > MOST_BYTES * 4 // 3 + 4:
        raise BadImage(
            f"{name}: {len(encoded) * 3 // 4 / 1e6:.0f} MB: send at most {MOST_BYTES / 1e6:.0f} MB"
        )
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise BadImage(f"{name}: not base64: send the bytes of its file in base64") from None


def _answer(verdict: Verdict) -> dict[str, Any]:
    """What JSON can hold of a verdict."""
    height, width = verdict.map.shape
    regions = [
        {"score": region.score, "area": region.area, "zone": region.zone,
         "points": region.points.round(2).tolist()}
        for region in verdict.regions
    ]  # fmt: skip
    return {
        "score": verdict.score,
        "decision": verdict.defective,
        "threshold": verdict.threshold,
        "width": width,
        "height": height,
        "regions": regions,
    }
