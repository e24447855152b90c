"""Evaluating predictions on files: main test set, defect types, slices, resolutions, errors."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from blemish.core.errors import UserError
from blemish.evaluation.evaluate import BOXES, NO_MASKS, evaluate
from blemish.evaluation.predictions import Predictions
from tests.metrics.reference import exact

# defect and slice of every image of the test set; label 0 is "good"
IMAGES = [("good", "")] * 6 + [("spot", "")] * 4 + [("line", "")] * 3 + [("spot", "doubtful")] * 2
SIZES = [(60, 80), (50, 50), (96, 64)]


def enlarge(one, size):
    return cv2.resize(one, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def main_rows(rows):
    return rows["slice"] == ""


def predictions(root, images=IMAGES, seed=0, lift=1.5):
    """Images of several sizes with rectangular defects, and noisy 32×32 maps that rise there."""
    rng = np.random.default_rng(seed)
    rows, maps = [], []
    for number, (defect, slice_) in enumerate(images):
        height, width = SIZES[number % len(SIZES)]
        mask = np.zeros((height, width), np.uint8)
        row = {"image": f"test/{defect}/{number:03d}.png", "mask": None, "label": 0}
        if defect != "good":
            for _ in range(2):
                top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
                mask[top : top + 10, left : left + 12] = 255
            row |= {"mask": f"masks/{slice_}{number:03d}.png", "label": 1}
            (root / "masks").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / row["mask"]), mask)
        noise = cv2.GaussianBlur(rng.standard_normal((32, 32)), (0, 0), 1) * 3
        maps.append(noise + lift * cv2.resize(mask, (32, 32)) / 255)
        rows.append(row | {"defect": defect, "slice": slice_, "height": height, "width": width})
    stack = np.array(maps, np.float32)
    return Predictions(pd.DataFrame(rows), stack.max((1, 2)).astype(float), stack, enlarge, root)


def run(*given, **settings):
    defaults = {"headline": main_rows, "masks": "pixel", "threshold": 2.0}
    return evaluate(*given, **(defaults | settings))


def reference(one, chosen):
    """The exact metrics of the chosen rows at their original resolution."""
    samples = [one.sample(int(number), "original") for number in np.flatnonzero(chosen)]
    return exact([one.anomaly_map for one in samples], [one.mask for one in samples])


def chosen_rows(one, **wanted):
    rows = one.rows
    own = np.logical_and.reduce([rows[name] == value for name, value in wanted.items()])
    return (own & (rows["label"] == 1)) | (rows["label"] == 0)


def test_pixel_metrics_equal_the_exact_reference(tmp_path):
    test = predictions(tmp_path)
    found = run(test)
    expected = reference(test, chosen_rows(test, slice=""))
    for name, value in expected.items():
        assert found.metrics[f"pixel_{name}"] == pytest.approx(value, abs=1e-4)
    for defect in ("spot", "line"):
        expected = reference(test, chosen_rows(test, slice="", defect=defect))
        assert found.by_defect[defect]["pixel_auroc"] == pytest.approx(expected["auroc"], abs=1e-4)
        assert found.by_defect[defect]["pixel_aupro"] == pytest.approx(expected["aupro"], abs=1e-4)
    expected = reference(test, chosen_rows(test, slice="doubtful"))
    assert found.slices["doubtful"]["pixel_aupro"] == pytest.approx(expected["aupro"], abs=1e-4)


def test_the_keys_are_those_of_the_contract(tmp_path):
    found = run(predictions(tmp_path))
    image = {"image_auroc", "image_ap", "image_f1max", "image_fpr95"}
    pixel = {"pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_fpr95", "pixel_aupro", "pixel_aupimo"}
    short = {"count", "image_auroc", "pixel_auroc", "pixel_aupro", "pixel_aupimo"}
    assert found.metrics.keys() == image | pixel
    assert {name: one.keys() for name, one in found.by_defect.items()} == {
        "line": short | {"recall"},
        "spot": short | {"recall"},
    }
    assert {name: one.keys() for name, one in found.slices.items()} == {"doubtful": short}
    assert {name: list(table) for name, table in found.curves.items()} == {
        "roc": ["fpr", "tpr", "threshold"],
        "pr": ["recall", "precision", "threshold"],
        "pro": ["fpr", "pro"],
    }
    assert found.notes == []
    json.dumps([found.metrics, found.by_defect, found.slices], allow_nan=False)


def test_extra_slices_stay_out_of_the_headline(tmp_path):
    whole = predictions(tmp_path)
    keep = np.flatnonzero(main_rows(whole.rows))
    alone = replace(
        whole, rows=whole.rows.iloc[keep], scores=whole.scores[keep], maps=whole.maps[keep]
    )
    found, without = run(whole), run(alone)
    # Other slices only refine the bins differently.
    assert found.metrics == pytest.approx(without.metrics, abs=1e-5)
    assert found.operating_point == without.operating_point
    assert found.by_defect["spot"]["count"] == 4
    assert found.slices["doubtful"]["count"] == 2
    assert without.slices == {}


def test_image_numbers_of_types_and_slices(tmp_path):
    test = predictions(tmp_path)
    rows = test.rows
    scores = np.where(rows["label"] == 0, 1.0, np.where(rows["defect"] == "line", 0.0, 3.0))
    found = run(replace(test, scores=scores))
    assert found.by_defect["spot"] | {"image_auroc": 1.0, "recall": 1.0} == found.by_defect["spot"]
    assert found.by_defect["line"] | {"image_auroc": 0.0, "recall": 0.0} == found.by_defect["line"]
    assert found.slices["doubtful"]["image_auroc"] == 1.0
    assert found.operating_point["recall"] == pytest.approx(4 / 7)


def test_area_quarters_by_hand(tmp_path):
    test = predictions(tmp_path)
    found = run(test).by_area
    rows = np.flatnonzero((test.rows["slice"] == "") & (test.rows["label"] == 1))
    area = pd.Series({row: test.sample(row, "original").mask.mean() for row in rows}).sort_values()
    edges = np.quantile(area, [0, 0.25, 0.5, 0.75, 1])
    assert sum(one["count"] for one in found.values()) == len(area) == 7
    for name, one in found.items():
        number = ("q1", "q2", "q3", "q4").index(name)
        own = area[(area > edges[number]) | (number == 0)]
        own = own[own <= edges[number + 1]]
        assert (one["count"], one["area_from"]) == (len(own), own.min())
        assert one["area_to"] == own.max()
        chosen = test.rows.index.isin(own.index) | (test.rows["label"] == 0)
        assert one["pixel_aupro"] == pytest.approx(reference(test, chosen)["aupro"], abs=1e-4)
        assert one["recall"] == np.mean(test.scores[own.index] > 2.0)


def test_too_few_images_have_no_area_quarters(tmp_path):
    assert run(predictions(tmp_path, [("good", "")] * 2 + [("spot", "")] * 3)).by_area == {}


def test_aupimo_of_each_image_and_their_mean(tmp_path):
    test = predictions(tmp_path, lift=8.0)
    weak = predictions(tmp_path / "weak", [("synthetic", "weak-0.5")] * 2, lift=8.0)
    found = run(test, weak)
    own, others = found.aupimo
    assert np.isnan(own).tolist() == (test.rows["label"] == 0).tolist()
    assert ((others >= 0) & (others <= 1)).all()
    main = own[(test.rows["slice"] == "") & (test.rows["label"] == 1)]
    assert 0 < main.min() < main.max() <= 1
    assert found.metrics["pixel_aupimo"] == pytest.approx(main.mean())
    assert found.slices["weak-0.5"]["pixel_aupimo"] == pytest.approx(others.mean())
    assert run(predictions(tmp_path, IMAGES[6:])).metrics["pixel_aupimo"] is None


def test_weak_slices_come_with_their_own_maps_and_folder(tmp_path):
    test = predictions(tmp_path / "prepared")
    weak = [
        predictions(tmp_path / "synthetic", [("synthetic", f"weak-{beta}")] * 5, lift=lift)
        for beta, lift in ((0.1, 0.2), (0.9, 6.0))
    ]
    found = run(test, *weak)
    assert found.metrics == pytest.approx(run(test).metrics, abs=1e-5)
    assert set(found.slices) == {"doubtful", "weak-0.1", "weak-0.9"}
    assert found.slices["weak-0.1"]["count"] == 5
    assert found.slices["weak-0.1"]["pixel_aupro"] < found.slices["weak-0.9"]["pixel_aupro"]
    assert set(found.by_defect) == {"line", "spot"}


def test_without_masks_only_images_count(tmp_path):
    test = predictions(tmp_path)
    test = replace(test, rows=test.rows.assign(mask=None))
    found = run(test, masks="none")
    assert not [name for name in found.metrics if name.startswith("pixel")]
    assert set(found.by_defect["spot"]) == {"count", "image_auroc", "recall"}
    assert found.notes == [NO_MASKS]
    assert "pro" not in found.curves


def test_synthetic_slices_keep_their_masks_in_a_unit_without(tmp_path):
    test = predictions(tmp_path / "prepared")
    test = replace(test, rows=test.rows.assign(mask=None))
    weak = predictions(tmp_path / "synthetic", [("synthetic", "weak-0.5")] * 3)
    found = run(test, weak, masks="none")
    assert "pixel_auroc" not in found.metrics
    assert "pixel_auroc" not in found.slices["doubtful"]
    assert 0.5 < found.slices["weak-0.5"]["pixel_auroc"] < 1


def test_boxes_are_said_plainly(tmp_path):
    assert run(predictions(tmp_path), masks="boxes").notes == [BOXES]


@pytest.mark.parametrize(("label", "missing"), [(0, "good"), (1, "defective")])
def test_a_test_set_of_one_kind_gives_null_and_a_note(tmp_path, label, missing):
    test = predictions(tmp_path, [IMAGES[0]] * 3 if label else [IMAGES[8]] * 3)
    found = run(test)
    assert {found.metrics[name] for name in found.metrics if name.startswith("image")} == {None}
    assert f"no {missing} images" in found.notes[0]
    # Defective images have defect-free pixels too; good images have no defective ones.
    assert (found.metrics["pixel_auroc"] is None) == (missing == "defective")
    assert len(found.notes) == (2 if missing == "defective" else 1)


def test_another_limit_has_another_name(tmp_path):
    found = run(predictions(tmp_path), aupro_limit=0.05)
    assert "pixel_aupro_0.05" in found.metrics
    assert "pixel_aupro" not in found.metrics


def test_model_resolution_takes_the_mask_to_the_map(tmp_path):
    test = predictions(tmp_path)
    one, original = test.sample(7, "model"), test.sample(7, "original")
    assert one.anomaly_map.shape == one.mask.shape == (32, 32)
    assert one.mask.mean() == pytest.approx(original.mask.mean(), abs=0.02)
    found = run(test, resolution="model").metrics["pixel_auroc"]
    assert found == pytest.approx(run(test).metrics["pixel_auroc"], abs=0.05)
    cropped = replace(test, mask_to_model=lambda mask, size: mask[: size[0], : size[1]])
    assert (cropped.sample(7, "model").mask == original.mask[:32, :32]).all()


def test_maps_may_be_a_memory_map(tmp_path):
    test = predictions(tmp_path)
    np.save(tmp_path / "maps.npy", test.maps)
    mapped = replace(test, maps=np.load(tmp_path / "maps.npy", mmap_mode="r"))
    assert run(mapped).metrics == run(test).metrics


def test_the_order_of_rows_does_not_matter(tmp_path):
    test = predictions(tmp_path)
    order = np.random.default_rng(1).permutation(len(IMAGES))
    mixed = replace(
        test, rows=test.rows.iloc[order], scores=test.scores[order], maps=test.maps[order]
    )
    before, after = run(test), run(mixed)
    assert after.metrics == before.metrics
    assert after.by_defect == before.by_defect
    assert after.slices == before.slices


def test_wrong_masks_are_named(tmp_path):
    test = predictions(tmp_path)
    path = tmp_path / test.rows["mask"][6]
    whole = path.read_bytes()
    cv2.imwrite(str(path), np.zeros((30, 40), np.uint8))
    with pytest.raises(UserError, match=r"006\.png: the mask is 40×30 but its image is 80×60"):
        run(test)
    path.write_bytes(whole[:40])
    with pytest.raises(UserError, match=r"masks/006\.png"):
        run(test)
    path.unlink()
    with pytest.raises(UserError, match=r"masks/006\.png"):
        run(test)
    rows = test.rows.copy()
    rows.loc[6, "mask"] = None
    with pytest.raises(UserError, match=r"spot/006\.png: labelled defective \(spot\) but has no"):
        run(replace(test, rows=rows))


def test_scores_and_maps_that_are_not_finite_are_named(tmp_path):
    test = predictions(tmp_path)
    scores, maps = test.scores.copy(), test.maps.copy()
    scores[3], maps[4, 0, 0] = np.nan, np.inf
    with pytest.raises(UserError, match=r"good/003\.png: its score"):
        run(replace(test, scores=scores))
    with pytest.raises(UserError, match=r"good/004\.png: its anomaly map"):
        run(replace(test, maps=maps))


def test_rows_scores_and_maps_must_correspond(tmp_path):
    test = predictions(tmp_path)
    with pytest.raises(ValueError, match="15 rows, 15 scores, 14 maps"):
        replace(test, maps=test.maps[1:])
