"""Many stages at once on one machine give what a serial `dvc repro` gives."""

import os

import pytest

from blemish.core.errors import UserError
from blemish.run.local import local_slots
from blemish.run.messages import Graph
from tests.run.workspace import make


def test_results_and_dvc_lock_are_those_of_a_serial_run(tmp_path) -> None:
    serial, parallel = make(tmp_path / "serial"), make(tmp_path / "parallel")
    serial.dvc("repro", "--quiet")
    code, text = parallel.run()
    assert code == 0, text
    assert parallel.digest() == serial.digest()
    parallel.assert_done()
    assert "6 of 7 stages, at once 4 on cpu: first, train ×4, report" in text
    assert "[6/6] report done in " in text
    assert "6 ran, 0 restored from the cache, 0 unchanged, 0 failed" in text
    assert "tracked" in text
    # Each stage has its own log, and nothing of them came between the lines.
    assert "makes models/a/x-1" in (parallel.root / "logs/train@a/x-1.log").read_text()
    assert "makes" not in text
    # Again: nothing to do, and the serial runner says so.
    parallel.forget_begun()
    code, text = parallel.run()
    assert (code, parallel.begun()) == (0, [])
    assert "nothing to do: all 7 stages are up to date" in text
    # From the run cache: the lock file is gone, no stage runs.
    (parallel.root / "dvc.lock").unlink()
    code, text = parallel.run()
    assert (code, parallel.begun()) == (0, [])
    assert "0 ran, 6 restored from the cache" in text
    assert parallel.digest() == serial.digest()


def test_only_what_changed_and_what_follows_runs(tmp_path) -> None:
    space = make(tmp_path / "space")
    assert space.run()[0] == 0
    before = space.digest()
    space.forget_begun()
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    code, text = space.run("train@b/y-1")
    assert (code, space.begun()) == (0, ["models/b/y-1"]), text
    space.forget_begun()
    code, text = space.run()
    assert code == 0
    # The same bytes came out: `report` has nothing new to read.
    assert sorted(space.begun()) == ["models/a/x-0", "models/a/x-1", "models/b/y-0"]
    assert "3 ran, 0 restored from the cache, 1 unchanged" in text
    after = space.digest()
    assert after.pop("dvc.lock") != before.pop("dvc.lock")
    assert after == before


def test_each_gpu_gets_its_share(tmp_path) -> None:
    space = make(tmp_path / "space")
    code, text = space.run(jobs=0, gpus="3,5", per_gpu=2)
    assert code == 0
    assert "at once 4 on gpu" in text
    logs = [path.read_text() for path in (space.root / "logs").rglob("train@*/*.log")]
    seen = sorted(log.split("CUDA_VISIBLE_DEVICES=")[1][0] for log in logs)
    assert seen == ["3", "3", "5", "5"]


def test_dvc_errors_are_one_line(tmp_path) -> None:
    space = make(tmp_path / "space")
    (space.root / "dvc.yaml").write_text("stages:\n  first:\n    cmd: [")
    code, text = space.run()
    assert code == 1
    assert "UserError: DVC cannot read the graph: unable to read: 'dvc.yaml'" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0, None, 1), "--jobs is 0: give at least 1"),
        ((None, "0,one", 1), "--gpus is '0,one': give the GPUs' numbers, such as 0,1"),
        ((None, "0,0", 1), "--gpus is '0,0'"),
        ((None, "0,1", 0), "--per-gpu is 0: give at least 1"),
        ((2, "0", 1), "--jobs and --gpus exclude each other"),
    ],
)
def test_impossible_slots_are_named(options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        local_slots(*options)


def test_threads_are_shared_out() -> None:
    cores = len(os.sched_getaffinity(0))
    alone, many = local_slots(1, None, 1), local_slots(2 * cores, None, 1)
    assert [slot.environment["OMP_NUM_THREADS"] for slot in alone] == [str(cores)]
    assert {slot.environment["OMP_NUM_THREADS"] for slot in many} == {"1"}
    assert len(local_slots(None, "0,1", 3)) == 6


def test_what_may_become_out_of_date_is_pending() -> None:
    upstream = {"a": [], "b": ["a"], "c": ["b"], "d": [], "last": ["c"], "after": ["last"]}
    graph = Graph(list(upstream), upstream, ["b", "last"], ["last"], [])
    assert graph.pending() == ["b", "c"]
    assert Graph(list(upstream), upstream, ["last"], ["last"], []).pending() == []


def test_what_looks_for_changes_is_first_and_makes_nothing_pending() -> None:
    """`b` looks: with what of its needs is out of date it runs before all else is judged."""
    upstream = {"a": [], "b": ["a"], "c": ["b"], "last": ["c"]}
    always = ["b", "last"]
    idle = Graph(list(upstream), upstream, always, always, [], ["b"])
    assert (idle.first(), idle.pending(), idle.last()) == (["b"], [], ["last"])
    edited = Graph(list(upstream), upstream, ["a", *always], always, [], ["b"])
    assert (edited.first(), edited.last()) == (["a", "b"], ["last"])
