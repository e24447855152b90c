"""A git and DVC repository of tiny stages, and `blemish run` on it as a process of its own."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

PIPELINE = """
stages:
  first:
    cmd: python stage.py first
    deps: [stage.py]
    outs: [first]
  train:
    matrix: {{unit: [a/x, b/y], seed: {seeds}}}
    cmd: python stage.py models/${{item.unit}}-${{item.seed}}
    deps: [stage.py, first]
    params: [train]
    outs: ["models/${{item.unit}}-${{item.seed}}"]
  report:
    cmd: python stage.py report
    deps: [models, stage.py]
    outs: [report]
  track:
    always_changed: true
    cmd: python -c "print('tracked')"
    deps: [report]
"""

# What a stage does beyond its output is read from files, so that stage.py stays the same; they lie
# in the workspace, whichever clone the stage runs in.
STAGE = """
import os, sys, time
from pathlib import Path

out = Path(sys.argv[1])
print(f"makes {out} with CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}"
      f" and {os.environ['OMP_NUM_THREADS']} thread(s)", flush=True)
space = Path(os.environ["BLEMISH_TEST_SPACE"])
with open(space / "begun.txt", "a") as file:
    file.write(f"{out} {os.getpid()}\\n")
trouble = Path(space, "trouble", str(out).replace("/", "_"))
if trouble.exists():
    what = trouble.read_text()
    if what.startswith("once "):
        trouble.unlink()
    exec(what.removeprefix("once "))
out.mkdir(parents=True)
(out / "made").write_text(f"{out}")
"""

DRIVER = """
import sys
from rich.console import Console
from blemish.core.errors import UserError
from blemish.run.run import run
from blemish.run.local import local_slots

jobs, gpus, per_gpu, retries, targets = sys.argv[1:5] + [sys.argv[5:]]
slots = local_slots(int(jobs) or None, gpus or None, int(per_gpu))
raise SystemExit(run(targets, slots, Console(width=200), int(retries)))
"""

ON_CLUSTER = """
import sys
{before}
from rich.console import Console
from blemish.run.run import ClusterOptions, run_on_cluster

options = ClusterOptions({options})
raise SystemExit(run_on_cluster([], options, Console(width=200), 1))
"""


def make(folder: Path, seeds: int = 2) -> "Workspace":
    """A repository in which nothing has run: 2 × `seeds` trainings between two other stages."""
    folder.mkdir(parents=True)
    found = Workspace(folder)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    found.dvc("init", "--quiet")
    found.dvc("config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(PIPELINE.format(seeds=list(range(seeds))))
    (folder / "params.yaml").write_text("train: {epochs: 1}\n")
    (folder / "stage.py").write_text(STAGE)
    (folder / ".gitignore").write_text(
        "/models/\n/first/\n/report/\n/logs/\n/trouble/\n/begun.txt\n"
    )
    (folder / "trouble").mkdir()
    return found


class Workspace:
    """The repository at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._started: list[subprocess.Popen[str]] = []

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        ours = {"PATH": path, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
        ours["BLEMISH_TEST_SPACE"] = str(self.root)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
        return kept | ours | {"DVC_NO_ANALYTICS": "1"}

    def dvc(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=self.root, env=self.environment(), check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def start(
        self, *targets: str, jobs: int = 4, gpus: str = "", per_gpu: int = 1, retries: int = 1
    ) -> subprocess.Popen[str]:
        """`blemish run` in the background."""
        options = [str(jobs), gpus, str(per_gpu), str(retries)]
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *options, *targets],
            cwd=self.root, env=self.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *targets: str, **options: object) -> tuple[int, str]:
        """`blemish run` to its end: exit status and what it printed."""
        process = self.start(*targets, **options)  # type: ignore[arg-type]
        text, _ = process.communicate(timeout=400)
        return process.returncode, text

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        named = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
        for words in (["add", "--all"], [*named, "commit", "--quiet", "--message", "as it is"]):
            subprocess.run(["git", *words], cwd=self.root, check=True)

    def start_on(self, address: str, *options: str, before: str = "") -> subprocess.Popen[str]:
        """`blemish run --cluster` in the background; options of ClusterOptions, as Python."""
        code = ON_CLUSTER.format(before=before, options=", ".join([repr(address), *options]))
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.root, env=self.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._started.append(process)
        return process

    def stop(self) -> None:
        """Kill what a failed test left running on a cluster that others use."""
        for process in self._started:
            process.kill()
            process.communicate()

    def run_on(self, address: str, *options: str, before: str = "") -> tuple[int, str]:
        """`blemish run --cluster` to its end: exit status and what it printed."""
        process = self.start_on(address, *options, before=before)
        text, _ = process.communicate(timeout=400)
        return process.returncode, text

    def blemish(self, *words: str) -> tuple[int, str]:
        """The `blemish` command as a user types it: exit status and what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", "from blemish.commands.app import main; main()", *words],
            cwd=self.root, env=self.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=400,
        )  # fmt: skip
        return done.returncode, done.stdout

    def log(self, stage: str) -> str:
        """What a stage printed."""
        return (self.root / f"logs/{stage}.log").read_text()

    def trouble(self, out: str, code: str) -> None:
        """Python code that the stage of this output runs before it writes; "once " for once."""
        (self.root / "trouble" / out.replace("/", "_")).write_text(code)

    def no_trouble(self) -> None:
        for file in (self.root / "trouble").iterdir():
            file.unlink()

    def begun(self) -> list[str]:
        """The outputs whose stages began, in order; a stage that began twice is there twice."""
        return [line.split()[0] for line in self._lines()]

    def process_of(self, out: str) -> int:
        """The process of the stage that makes this output, once it runs."""
        wait_for(lambda: out in self.begun(), f"{out} never began")
        return next(int(line.split()[1]) for line in self._lines() if line.split()[0] == out)

    def forget_begun(self) -> None:
        (self.root / "begun.txt").unlink(missing_ok=True)

    def digest(self) -> dict[str, str]:
        """All that counts: the outputs and dvc.lock, by the digest of their bytes."""
        files = [self.root / "dvc.lock"]
        for folder in ("first", "models", "report"):
            files += sorted(path for path in (self.root / folder).rglob("*") if path.is_file())
        return {
            path.relative_to(self.root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
            for path in files
        }

    def assert_done(self) -> None:
        """DVC finds nothing to do but the stage that always runs."""
        assert self.dvc("status").split() == ["track:", "always", "changed"]

    def _lines(self) -> list[str]:
        try:
            whole = (self.root / "begun.txt").read_text()
        except FileNotFoundError:
            return []
        return whole.splitlines() if whole.endswith("\n") else whole.splitlines()[:-1]


def wait_for(condition: Callable[[], bool], failure: str, seconds: float = 60.0) -> None:
    """Look until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, failure
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    """Whether a process runs, zombies not counted."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
