"""Two Ray nodes, each with processes of its own, give what a serial `dvc repro` gives."""

import os
import shutil
import signal
from collections.abc import Iterator

import psutil
import pytest

from blemish.methods import checkpoint
from blemish.run import node
from tests.run.workspace import PROJECT, Workspace, is_alive, make, wait_for

pytest.importorskip("ray", reason="Ray is not installed: pip install 'blemish[ray]'")
from ray.cluster_utils import Cluster

SLEEP = "import time; time.sleep(60)"
ONCE = f"once {SLEEP}"
NOT_SHARED = "share_cache=False"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without cores and a node of two; tests add the node that they kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        found.add_node(num_cpus=2)
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Workspace:
    """What a serial run makes."""
    space = make(tmp_path_factory.mktemp("serial") / "space")
    space.dvc("repro", "--quiet")
    return space


@pytest.fixture
def space(tmp_path) -> Iterator[Workspace]:
    found = make(tmp_path / "space")
    found.commit()
    yield found
    found.stop()


def kill_node_of(cluster: Cluster, process: int) -> None:
    """Kill the node in which a stage's process runs, as a power cut would: nothing says goodbye."""
    above = {parent.pid for parent in psutil.Process(process).parents()}
    for found in cluster.worker_nodes:
        (raylet,) = found.all_processes["raylet"]
        if raylet.process.pid in above:
            cluster.remove_node(found, allow_graceful=False)
            return
    raise AssertionError(f"process {process} runs in no node")


@pytest.mark.parametrize("options", [(), (NOT_SHARED,)], ids=["by the cache", "by Ray"])
def test_a_node_lost_in_mid_training_costs_nothing_but_its_time(
    cluster, space, serial, options: tuple[str, ...]
) -> None:
    """However inputs travel, results and dvc.lock are those of a serial run."""
    cluster.add_node(num_cpus=2)
    space.trouble("models/a/x-1", ONCE)
    process = space.start_on(cluster.address, *options)
    sleeping = space.process_of("models/a/x-1")
    kill_node_of(cluster, sleeping)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    assert "train@a/x-1 was killed: it begins again" in text
    wait_for(lambda: not is_alive(sleeping), "the stage outlived its node")
    assert space.begun().count("models/a/x-1") == 2
    assert space.digest() == serial.digest()
    space.assert_done()
    # Each log says where it was written; the head ran nothing but what always runs.
    assert space.log("train@a/x-1").startswith(f"on node {os.uname().nodename}\n")
    assert len(set(space.begun())) == 6
    assert "tracked" in text


def test_a_node_fetches_each_input_once(cluster, space) -> None:
    """Four trainings read `first`, two at a time; what they need comes from Ray once."""
    shutil.rmtree(node.HERE, ignore_errors=True)
    assert space.run_on(cluster.address, NOT_SHARED)[0] == 0
    kept = [path for path in (node.HERE / "inputs").iterdir() if path.is_dir()]
    contents = [sorted(p.name for p in path.rglob("*") if p.is_file()) for path in kept]
    assert len(kept) == 5  # first, and for the report four models
    assert contents == [["made"]] * 5


def test_a_node_without_the_cache_gets_its_inputs_from_ray(cluster, space, serial) -> None:
    """As where the folder is not mounted: the mark that the head leaves in it is not there."""
    hide = "from blemish.run import node; node.mark = lambda cache: None"
    status, text = space.run_on(cluster.address, before=hide)
    assert status == 0, text
    assert space.digest() == serial.digest()


def test_uncommitted_files_and_new_parameters_travel_along(cluster, space) -> None:
    with (space.root / "stage.py").open("a") as file:
        file.write("print('as it lies here')\n")
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    status, text = space.run_on(cluster.address)
    assert status == 0, text
    assert "as it lies here" in space.log("train@a/x-1")
    assert "epochs: 2" in (space.root / "dvc.lock").read_text()
    space.assert_done()


def test_what_must_run_on_the_head_runs_there(cluster, space) -> None:
    pipeline = (space.root / "dvc.yaml").read_text()
    marked = pipeline.replace("  report:\n", "  report:\n    meta: {cluster: head}\n")
    assert marked != pipeline
    (space.root / "dvc.yaml").write_text(marked)
    status, text = space.run_on(cluster.address)
    assert status == 0, text
    assert space.log("first").startswith("on node ")
    assert space.log("report").startswith("makes report ")


def test_a_failed_stage_is_named_and_the_others_go_on(cluster, space) -> None:
    space.trouble("models/a/x-1", "raise SystemExit('error: x.png is broken: fetch it again')")
    status, text = space.run_on(cluster.address)
    assert status == 1
    assert "train@a/x-1 FAILED after" in text
    assert "    error: x.png is broken: fetch it again\n" in text
    assert "failed: train@a/x-1\nnot begun, as they need those: report\n" in text
    # What the others made is here already.
    assert set(space.digest()) == {
        "dvc.lock", "first/made", "models/a/x-0/made", "models/b/y-0/made", "models/b/y-1/made",
    }  # fmt: skip
    space.no_trouble()
    space.forget_begun()
    assert space.run_on(cluster.address)[0] == 0
    assert space.begun() == ["models/a/x-1", "report"]


def test_the_command_line_sends_its_overrides_along(cluster, space) -> None:
    shutil.copy(PROJECT / "params.yaml", space.root)
    pipeline = (space.root / "dvc.yaml").read_text()
    (space.root / "dvc.yaml").write_text(pipeline.replace("[train]", "[glass.epochs]"))
    with (space.root / "stage.py").open("a") as file:
        file.write("text = Path('params.yaml').read_text()\n")
        file.write(
            "print('epochs:', text.partition('\\nglass:')[2].partition('epochs: ')[2][:2])\n"
        )
    space.commit()
    options = ["--cluster", cluster.address, "-S", "glass.epochs=77", "report"]
    status, text = space.blemish("run", *options)
    assert status == 0, text
    assert "params.yaml: glass.epochs" in text
    assert (space.root / "dvc.lock").read_text().count("glass.epochs: 77\n") == 4
    assert "epochs: 77\n" in space.log("train@a/x-0")  # what the node read
    assert sorted(set(space.begun())) == sorted(space.begun())
    assert space.dvc("status").split()[0] == "track:"


def test_an_interrupted_head_leaves_no_stage_behind(cluster, space) -> None:
    space.trouble("models/a/x-0", SLEEP)
    process = space.start_on(cluster.address)
    sleeping = space.process_of("models/a/x-0")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "interrupted: " in text
    wait_for(lambda: not is_alive(sleeping), "the stage outlived its run", 50)


def test_a_killed_head_leaves_no_stage_behind(cluster, space) -> None:
    space.trouble("models/a/x-0", SLEEP)
    process = space.start_on(cluster.address)
    sleeping = space.process_of("models/a/x-0")
    process.kill()
    process.wait()
    wait_for(lambda: not is_alive(sleeping), "the stage outlived its runner", 50)
    space.no_trouble()
    assert space.run_on(cluster.address)[0] == 0
    space.assert_done()


def test_a_full_disk_on_a_node_is_named(cluster, space) -> None:
    space.trouble("models/a/x-1", "open('/dev/full', 'w').write('x' * 100000)")
    status, text = space.run_on(cluster.address)
    assert status == 1
    assert "No space left on device" in text
    assert "failed: train@a/x-1\n" in text


def test_no_cluster_is_one_line(space) -> None:
    status, text = space.run_on("127.0.0.1:9")
    assert status == 1
    assert "UserError: no Ray cluster at 127.0.0.1:9: " in text


def test_no_ray_is_one_line(space) -> None:
    status, text = space.run_on("auto", before="sys.modules['ray'] = None")
    assert status == 1
    assert "UserError: --cluster needs Ray: pip install 'blemish[ray]'\n" in text


def test_checkpoints_lie_where_training_looks_for_them() -> None:
    assert str(checkpoint.CHECKPOINTS) == "checkpoints"
