"""`blemish.load`: what a program may give to a detector, and what it gets."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import blemish
from blemish.core.errors import UserError
from blemish.methods.saved import load
from blemish.methods.scoring import score_picture
from tests.methods.test_scoring_imports import modules_after
from tests.methods.tiny import every_method, trained
from tests.predict.bright import predict, write_image, write_model
from tests.units import tiny_unit

SCORE = """
import json, sys, blemish
detector = blemish.load(sys.argv[1], device="cpu", threads=1)
detector.score(sys.argv[2])
print(json.dumps(sorted(sys.modules)))
"""


def pictures() -> list[Path]:
    return sorted((tiny_unit().prepared / "test").rglob("*.png"))


@every_method
def test_a_program_that_scores_loads_nothing_else(method: str) -> None:
    loaded = modules_after(SCORE, str(trained(method)), str(pictures()[0]))
    assert f"blemish.methods.{method}.detector" in loaded
    tops = {module.partition(".")[0] for module in loaded}
    assert not tops & {"pandas", "mlflow", "dvc", "pyarrow", "onnx"}
    training = {"trainer", "loop", "training_data", "checkpoint", "training"}
    of_methods = [module for module in loaded if module.startswith("blemish.methods.")]
    assert not training & {module.rpartition(".")[2] for module in of_methods}


@every_method
def test_company_batch_and_threads_change_no_bit(method: str) -> None:
    paths = pictures()
    network, _ = load(trained(method), torch.device("cpu"))
    torch.set_num_threads(1)
    detector = blemish.load(trained(method), device="cpu", threads=3)
    together = detector.score(paths, batch=5)
    backwards = detector.score(paths[::-1], batch=2)[::-1]
    with ThreadPoolExecutor(4) as pool:  # threads of the program's own
        own = list(pool.map(detector.score, paths))
    for path, *verdicts in zip(paths, together, backwards, own, strict=True):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        picture = torch.from_numpy(network.framing.to_model(pixels))
        _, scores = score_picture(network, picture, pixels.shape[:2])
        for verdict in verdicts:
            assert verdict.score == scores[0]
            assert verdict.map.dtype == np.float32
            assert verdict.map.shape == pixels.shape[:2]
            np.testing.assert_array_equal(verdict.map, verdicts[0].map)


@pytest.mark.usefixtures("bright")
class TestBright:
    """With a detector whose scores can be told in advance."""

    def test_all_that_an_image_may_be(self, model: Path, tmp_path: Path) -> None:
        file = write_image(tmp_path / "bad.png", (96, 128), (30, 40, 36, 60, 255))
        colours = np.asarray(Image.open(file))
        detector = blemish.load(model, device="cpu")
        expected = detector.score(file)
        deep = colours[:, :, 0].astype(np.uint16) * 257
        Image.fromarray(deep).save(tmp_path / "deep.png")
        opaque = np.dstack([colours, np.full(colours.shape[:2], 7, np.uint8)])
        kinds: list[Any] = [
            str(file), Image.open(file), Image.open(file).convert("L"), colours, opaque,
            colours[:, :, 0], colours[:, :, :1], colours[::-1][::-1], deep,
            Image.open(tmp_path / "deep.png"), tmp_path / "deep.png",
        ]  # fmt: skip
        for verdict in [*map(detector.score, kinds), *detector.score(kinds)]:
            assert verdict.score == expected.score == pytest.approx(10)
            np.testing.assert_array_equal(verdict.map, expected.map)
        assert detector.score([]) == []

    def test_a_verdict_says_what_predict_says(self, model: Path, images: Path) -> None:
        done = predict(model, images, "--json")
        *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
        detector = blemish.load(model, device="cpu")
        for row, verdict in zip(rows, detector.score(row["image"] for row in rows), strict=True):
            assert verdict.score == row["score"]
            assert verdict.defective == bool(row["decision"])
            assert len(verdict.regions) == row["regions"]
            assert verdict.map.shape == (row["height"], row["width"])
            assert verdict.threshold == last["summary"]["threshold"]
            for region in verdict.regions:
                left, top, right, bottom = region.box
                assert 0 <= left < right <= row["width"]
                assert 0 <= top < bottom <= row["height"]
                assert region.score > last["summary"]["map_threshold"]

    def test_thresholds_and_their_expected_rate(self, model: Path, images: Path) -> None:
        # Of 20 normals with scores 3.1 … 5.0.
        bad = images / "line 2" / "bad.png"
        known = [(0.05, 4.9, 2 / 21), (0.5, 4.0, 11 / 21), (0.0, 5.0, 1 / 21)]
        for rate, threshold, expected in known:
            verdict = blemish.load(model, "cpu", false_alarm_rate=rate).score(bad)
            assert verdict.threshold == pytest.approx(threshold)
            assert verdict.expected_false_alarm_rate == pytest.approx(expected)
        verdict = blemish.load(model, "cpu", threshold=9.9, map_threshold=0.2).score(bad)
        assert not verdict.defective
        assert verdict.regions
        assert verdict.expected_false_alarm_rate == pytest.approx(1 / 21)

    @pytest.mark.parametrize(
        ("image", "reason"),
        [
            (None, "NoneType: give one, or a list"),
            (3, "int: give one, or a list"),
            (b"not pixels", "image 0 of the list is int: give a path"),
            (np.zeros((4, 4)), "the image is an array of float64: give uint8 or uint16"),
            (np.zeros((2, 4, 4, 3), np.uint8), r"\(2, 4, 4, 3\): give \(H, W\)"),
            (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\): give \(H, W\)"),
            (np.zeros((0, 4), np.uint8), "4×0: give 1 to 180 million pixels"),
            (Image.new("F", (4, 4)), "32 bits a pixel"),
            ("nowhere.png", "nowhere.png: the image is missing"),
            (["nowhere.png"], "nowhere.png: the image is missing"),
        ],
    )
    def test_what_is_no_image(self, model: Path, image: Any, reason: str) -> None:
        with pytest.raises(UserError, match=reason):
            blemish.load(model, device="cpu").score(image)

    def test_an_open_file_that_is_cut_off(self, model: Path, tmp_path: Path) -> None:
        file = write_image(tmp_path / "cut.png")
        file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(UserError, match="image 1 of the list: not a whole image"):
            blemish.load(model, device="cpu").score([np.zeros((4, 4), np.uint8), Image.open(file)])

    def test_images_are_taken_no_faster_than_used(self, model: Path) -> None:
        taken = []

        def endless() -> Any:
            while True:
                taken.append(np.full((8, 8), len(taken) % 200, np.uint8))
                yield taken[-1]

        each = blemish.load(model, "cpu", threads=2).score_each(endless(), batch=3)
        scores = [next(each).score for _ in range(10)]
        assert scores == sorted(scores)
        assert len(taken) <= 10 + 3
        each.close()  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"device": "gpu"}, "`device` is 'gpu': use auto"),
            ({"threads": -1}, "`threads`"),
            ({"false_alarm_rate": 1.0}, "`false_alarm_rate` is 1.0: use a share"),
            ({"threshold": float("nan")}, "`threshold` is nan: give a number"),
            ({"simplify": -1.0}, "`simplify`"),
        ],
    )
    def test_options_that_cannot_be(
        self, model: Path, options: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(UserError, match=reason):
            blemish.load(model, **options)

    def test_a_batch_that_cannot_be(self, model: Path) -> None:
        with pytest.raises(UserError, match="`batch` is 0"):
            blemish.load(model, device="cpu").score([], batch=0)

    def test_no_model_and_a_model_that_gives_nan(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is missing: run the train stage"):
            blemish.load(tmp_path)
        model = write_model(tmp_path / "nan", gain=float("nan"))
        with pytest.raises(UserError, match="the image: the model gives NaN or infinity"):
            blemish.load(model, device="cpu").score(np.zeros((9, 9), np.uint8))
