"""Two Ray nodes, each with processes of its own, give what a serial `dvc repro` gives."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from blemish.core.errors import UserError
from blemish.methods import checkpoint
from blemish.run import clone, node
from blemish.run.remote import mark_cache
from blemish.run.ship import ship
from tests.run.workspace import PROJECT, Workspace, is_alive, make, wait_for

pytest.importorskip("ray", reason="Ray is not installed: pip install 'blemish[ray]'")
from ray.cluster_utils import Cluster

SLEEP = "import time; time.sleep(60)"
ONCE = f"once {SLEEP}"
# Of the processes above that run its module the last is the nursery, DVC's are the zygote's forks.
KILL_ZYGOTE = (
    "import psutil, time; above = psutil.Process().parents(); "
    "[one for one in above if 'blemish.run.zygote' in one.cmdline()][-2].kill(); time.sleep(60)"
)


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


@pytest.fixture
def s3(tmp_path) -> Iterator[str]:
    """The address of a server that speaks S3 and has the bucket `results`."""
    pytest.importorskip("dvc_s3", reason="DVC's S3 is not installed: pip install 'blemish[s3]'")
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("moto_server")
    with (tmp_path / "moto.log").open("wb") as log:
        server = subprocess.Popen([program, "-p", str(port)], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, "moto never answered")
    secrets = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **secrets).create_bucket(Bucket="results")
    yield address
    server.kill()
    server.wait()


def kill_node_of(cluster: Cluster, process: int) -> None:
    """Kill the node in which a stage's process runs, as a power cut would: nothing says goodbye."""
    # The worker that asked for the stage: its zygote may come from another node of this machine.
    worker = int(Path(f"/proc/{process}/cwd").resolve().name.rpartition("-")[2])
    above = {one.pid for one in psutil.Process(worker).parents()}
    for found in cluster.worker_nodes:
        (raylet,) = found.all_processes["raylet"]
        if raylet.process.pid in above:
            cluster.remove_node(found, allow_graceful=False)
            return
    raise AssertionError(f"process {process} runs in no node")


def test_a_node_lost_in_mid_training_costs_nothing_but_its_time(cluster, space, serial) -> None:
    """Caches shared by one folder; results and dvc.lock are those of a serial run."""
    cluster.add_node(num_cpus=2)
    space.trouble("models/a/x-1", ONCE)
    process = space.start_on(cluster.address)
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
    host = os.uname().nodename
    assert space.log("train@a/x-1").startswith(f"on node {host}\n")
    assert len(space.begun()) == 7
    assert space.log("restore").count("is cached - skipping run, checking out outputs") == 6
    assert "tracked" in text


def test_results_travel_by_s3(cluster, space, serial, s3) -> None:
    """Head and nodes have caches of their own; overrides and uncommitted files travel along."""
    space.dvc("remote", "add", "--default", "results", "s3://results/dvc")
    space.dvc("remote", "modify", "results", "endpointurl", s3)
    space.dvc("remote", "modify", "--local", "results", "access_key_id", "x")
    space.dvc("remote", "modify", "--local", "results", "secret_access_key", "x")
    with (space.root / "stage.py").open("a") as file:
        file.write("# changed\n")
    status, text = space.run_on(cluster.address)
    assert status == 1
    assert "UserError: not committed: .dvc/config, stage.py: workers run the commit" in text
    assert space.begun() == []
    options = ("remote='results'", "include_uncommitted=True", "overridden=True")
    (space.root / "params.yaml").write_text("train: {epochs: 2}\n")
    status, text = space.run_on(cluster.address, *options)
    assert status == 0, text
    assert sorted(set(space.begun())) == sorted(space.begun())
    made, expected = space.digest(), serial.digest()
    assert made.pop("dvc.lock") != expected.pop("dvc.lock")
    assert made == expected
    space.assert_done()
    assert "epochs: 2" in (space.root / "dvc.lock").read_text()


def test_a_remote_that_is_gone_for_a_while_is_waited_for(cluster, space, serial, tmp_path) -> None:
    remote = tmp_path / "remote"
    space.dvc("remote", "add", "--default", "--local", "folder", str(remote))
    for stage in ("models/a/x-0", "models/a/x-1"):  # both have pulled what they need
        space.trouble(stage, "once import time; time.sleep(8)")
    process = space.start_on(cluster.address, "remote='folder'")
    space.process_of("models/a/x-0")
    space.process_of("models/a/x-1")
    # An unmounted folder is an empty one.
    remote.rename(tmp_path / "away")
    remote.mkdir()
    log = space.root / "logs/train@a/x-1.log"
    wait_for(
        lambda: log.exists() and "the remote folder is out of reach" in log.read_text(),
        "nobody missed the remote", 120,
    )  # fmt: skip
    shutil.rmtree(remote)  # with what another stage's push may have put there meanwhile
    (tmp_path / "away").rename(remote)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    assert len(space.begun()) == 6
    assert space.digest() == serial.digest()


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
    space.commit()
    options = ["--cluster", cluster.address, "-S", "glass.epochs=77", "report"]
    status, text = space.blemish("run", *options)
    assert status == 0, text
    assert "params.yaml: glass.epochs" in text
    assert (space.root / "dvc.lock").read_text().count("glass.epochs: 77\n") == 4
    assert sorted(set(space.begun())) == sorted(space.begun())
    assert space.dvc("status").split()[0] == "track:"


def test_a_worker_whose_zygote_was_killed_gets_another(space, monkeypatch) -> None:
    monkeypatch.chdir(space.root)
    cache = space.root.parent / "cache"
    mark_cache(cache)
    config = f"[cache]\ndir = {cache}\n".encode()
    job = node.Job("killed", ship(False, False), config, str(cache), None)
    environment = {"BLEMISH_TEST_SPACE": str(space.root), "OMP_NUM_THREADS": "1"}
    space.trouble("first", f"once {KILL_ZYGOTE}")
    with pytest.raises(UserError, match="the process that starts the stages was killed"):
        list(node.run_stage(job, "first", environment))
    *_, last = node.run_stage(job, "first", environment)
    assert last.code == 0, last.log


def test_an_interrupted_head_leaves_no_stage_behind(cluster, space) -> None:
    space.trouble("models/a/x-0", SLEEP)
    process = space.start_on(cluster.address)
    sleeping = space.process_of("models/a/x-0")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "interrupted: " in text
    wait_for(lambda: not is_alive(sleeping), "the stage outlived its run", 50)
    wait_for(lambda: bool(clone.abandoned()), "its clone's process lives on")
    assert set(clone.abandoned()) <= set(clone.CLONES.iterdir())


def test_a_cache_that_a_node_does_not_see_is_named(space) -> None:
    job = node.Job("none", b"", b"", str(space.root / "elsewhere"), None)
    (result,) = node.run_stage(job, "first", {})
    assert result.code == 1
    assert f"the cache {space.root}/elsewhere is not the head's: share that folder" in result.log


def test_no_cluster_is_one_line(space) -> None:
    status, text = space.run_on("127.0.0.1:9")
    assert status == 1
    assert "UserError: no Ray cluster at 127.0.0.1:9: " in text


def test_no_ray_is_one_line(space) -> None:
    status, text = space.run_on("auto", before="sys.modules['ray'] = None")
    assert status == 1
    assert "UserError: --cluster needs Ray: pip install 'blemish[ray]'\n" in text


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("absent", "--remote absent: "),
        ("other", "`dvc repro --pull` reads the default remote, which is broken: dvc remote "),
        ("broken", "--remote broken: "),
    ],
)
def test_a_remote_that_cannot_serve_is_named(cluster, space, remote: str, message: str) -> None:
    file = space.root.parent / "a file"
    file.touch()
    space.dvc("remote", "add", "--default", "--local", "broken", str(file))
    space.dvc("remote", "add", "--local", "other", str(space.root.parent / "other"))
    status, text = space.run_on(cluster.address, f"remote='{remote}'")
    assert status == 1
    assert message in text.splitlines()[-1]


def test_checkpoints_lie_where_training_looks_for_them() -> None:
    assert Path(clone.CHECKPOINTS) == checkpoint.CHECKPOINTS
