"""Judge images with an exported model: numpy, Pillow and ONNX Runtime, nothing of Blemish.

    python score.py model.onnx photo.png …

Prints a line an image: the decision, the score, the highest value of the map and where it is.
Where `judge.py` lies beside the model it has zones, or sees images through windows: its graph is
that of a window, and `judge.py`, which needs numpy and Pillow, does the rest.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model: str, files: list[str]) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    with_judge = Path(model).with_name("judge.py").exists()
    score = through_windows(Path(model)) if with_judge else whole
    print(f"{facts['unit']} by {facts['method']}: defective above {float(facts['threshold']):.6g}")
    for file in files:
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))
        value, defective, anomaly_map = score(session, pixels)
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        verdict = "defective" if defective else "good"
        highest = anomaly_map[row, column]
        print(f"{verdict:9}  {value:.6g}  {highest:.6g} at {column},{row}  {file}")


def whole(session, pixels):
    """The graph does everything; images (N, H, W, 3) of one size may share a run."""
    outputs = ["score", "defective", "map"]
    score, defective, anomaly_map = session.run(outputs, {"images": pixels[None]})
    return score[0], defective[0], anomaly_map[0]


def through_windows(model):
    """What judges as the file beside the model does, with which the export was proved."""
    sys.path.insert(0, str(model.parent))
    from judge import judge

    facts = json.loads(model.with_name("export.json").read_text(encoding="utf-8"))
    file = model.with_name("zones.npz")
    zones = dict(np.load(file)) if file.exists() else None

    def score(session, pixels):
        def network(pictures, judged):
            return session.run(["maps", "scores"], {"pictures": pictures, "judged": judged})

        found = judge(network, facts, zones, pixels)
        return found.score, found.defective, found.map

    return score


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
