"""Judge images with an exported model: numpy, Pillow and ONNX Runtime, nothing of Blemish.

    python score.py model.onnx photo.png …

Prints a line an image: the decision, the score, the highest value of the map and where it is.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model: str, files: list[str]) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    print(f"{facts['unit']} by {facts['method']}: defective above {float(facts['threshold']):.6g}")
    for file in files:
        image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        pixels = np.asarray(image)[None]  # uint8 (1, H, W, 3); images of one size may share a run
        score, defective, anomaly_map = session.run(
            ["score", "defective", "map"], {"images": pixels}
        )
        row, column = np.unravel_index(anomaly_map[0].argmax(), anomaly_map[0].shape)
        verdict = "defective" if defective[0] else "good"
        highest = anomaly_map[0, row, column]
        print(f"{verdict:9}  {score[0]:.6g}  {highest:.6g} at {column},{row}  {file}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
