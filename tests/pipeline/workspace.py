"""A copy of the project with a grid of seconds, in which the real DVC runs the real stages."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parents[2]
# What the pipeline reads of a clone.
NEEDED = (
    "src", "stages", "profiles", "dvc.yaml", "params.yaml", "requirements.lock",
    "data/folders/.gitkeep", "data/crops/.gitkeep", "data/foreground/.gitkeep",
    "data/zones/.gitkeep", "data/feedback/.gitkeep",
    ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore",
)  # fmt: skip
NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.egg-info")

OWN, RENDERED = "parts/bolts", "lcdsim/grey"
UNITS = [OWN, RENDERED]
# An own folder beside the project, as a user has it. `parts/nuts` is there but not in the grid.
FOLDERS = {"parts": "../photos"}
TINY: dict[str, Any] = {
    "units": UNITS,
    "methods": ["glass"],
    "seeds": [0],
    "data.folders": FOLDERS,
    "data.lcdsim": {
        "train": 6, "test_good": 3, "test_defective": 5, "size": 96, "seed": 0, "contrast": 1.0,
    },
    "synthesis.draws": 4,
    "synthesis.size": 64,
    "synthesis.validation_images": 3,
    "synthesis.weak": [0.5],
    "synthesis.weak_visibility": [],
    "synthesis.weak_images": 2,
    "training.device": "cpu",
    "evaluation.heatmaps": 1,
    "glass.weights": "random",
    "glass.image_size": 64,
    "glass.pretrain_dim": 16,
    "glass.target_dim": 16,
    "glass.hidden": 16,
    "glass.epochs": 2,
    "glass.batch_size": 4,
    "glass.images_per_epoch": 8,
}  # fmt: skip


# Lies in the copy's src/, where Python looks for it at its start.
IMPORT_LOG = """
import atexit, json, os, sys
from pathlib import Path

def write() -> None:
    ours = [module for name, module in sys.modules.items() if name.startswith("blemish")]
    files = {getattr(module, "__file__", None) for module in ours}
    path = Path(os.environ["IMPORT_LOG"], os.environ["DVC_STAGE"] + ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted(filter(None, files))))

if "DVC_STAGE" in os.environ:
    atexit.register(write)
"""


@dataclass(frozen=True)
class Repro:
    """What a `dvc repro` or `dvc exp run` did, read from its lines."""

    text: str

    def _named(self, pattern: str) -> list[str]:
        return re.findall(rf"^{pattern}", self.text, re.MULTILINE)

    @property
    def ran(self) -> set[str]:
        return set(self._named(r"Running stage '(.+)':"))

    @property
    def cached(self) -> set[str]:
        return set(self._named(r"Stage '(.+)' is cached - skipping run"))

    @property
    def unchanged(self) -> set[str]:
        return set(self._named(r"Stage '(.+)' didn't change, skipping"))

    @property
    def name(self) -> str:
        """What DVC called the experiment."""
        (name,) = self._named(r"Ran experiment\(s\): (\S+)$")
        return name

    @property
    def errors(self) -> list[str]:
        """The lines that stages and DVC mark as errors."""
        return self._named(r"((?:error|ERROR): .+)$")


@dataclass(frozen=True)
class Workspace:
    """A git and DVC repository at `base`/project, with the user's photographs at `base`/photos."""

    base: Path

    @property
    def root(self) -> Path:
        return self.base / "project"

    @property
    def photos(self) -> Path:
        return self.base / "photos"

    @property
    def imports(self) -> Path:
        """<stage>.json for each stage that ran: the files of Blemish that it imported."""
        return self.base / "imports"

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def environment(self) -> dict[str, str]:
        """`python` is this Python, `blemish` is the copy's source, nothing of the user's counts."""
        ours = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self / "src"),
            "IMPORT_LOG": str(self.imports),
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.base / "dvc-site"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        users = ("MLFLOW_", "DVC_", "BLEMISH_", "GIT_")
        return {k: v for k, v in os.environ.items() if not k.startswith(users)} | ours

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the project; its standard error comes with its output."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            process_group=0,
        )

    def run(self, *command: str, fails: bool = False) -> str:
        """The output of a command, which must end well, or badly if it `fails`."""
        process = self.start(*command)
        text, _ = process.communicate()
        assert (process.returncode != 0) == fails, f"{command}: {process.returncode}\n{text}"
        return text

    def dvc(self, *words: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "dvc", *words, fails=fails)

    def repro(self, *words: str, fails: bool = False) -> Repro:
        return Repro(self.dvc("repro", *words, fails=fails))

    def experiment(self, *words: str) -> Repro:
        return Repro(self.dvc("exp", "run", *words))

    def git(self, *words: str) -> str:
        return self.run("git", *words).strip()

    def commit(self, message: str) -> str:
        """Commit everything git does not ignore; the commit's hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def set(self, values: dict[str, Any]) -> None:
        """Write dotted keys of params.yaml."""
        yaml = YAML()
        path = self / "params.yaml"
        content = yaml.load(path)
        for key, value in values.items():
            *sections, last = key.split(".")
            section = content
            for name in sections:
                section = section[name]
            section[last] = value
        yaml.dump(content, path)

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Rewrite a text file of the project."""
        file = self / path
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"the edit of {path} changes nothing"
        file.write_text(after, encoding="utf-8")

    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        stages: dict[str, Any] = YAML(typ="safe").load(self / "dvc.lock")["stages"]
        return stages

    def json(self, path: str) -> Any:
        return json.loads((self / path).read_text(encoding="utf-8"))

    def branch(self, base: Path) -> "Workspace":
        """A copy of everything, cache included, to go on from here on another path."""
        shutil.copytree(self.base, base, symlinks=True)
        return Workspace(base)


def make_workspace(base: Path) -> Workspace:
    """What a clone holds, the tiny grid and photographs; committed, nothing run."""
    workspace = Workspace(base)
    for name in NEEDED:
        source, target = PROJECT / name, workspace / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_SOURCE)
        else:
            shutil.copyfile(source, target)
    (workspace / "src/sitecustomize.py").write_text(IMPORT_LOG, encoding="utf-8")
    workspace.set(TINY)
    for number, category in enumerate(("bolts", "nuts")):
        draw_photographs(workspace.photos / category, seed=number)
    workspace.git("init", "--quiet", "--initial-branch", "main")
    workspace.git("config", "user.name", "Tester")
    workspace.git("config", "user.email", "tester@example.org")
    workspace.commit("A clone with a tiny grid")
    return workspace


def draw_photographs(folder: Path, seed: int, good: int = 8, defective: int = 3) -> None:
    """Grey noisy discs of 64 pixels in `good`, scratched ones in `scratch`, and their masks."""
    random = np.random.default_rng(seed)
    for kind, count in (("good", good), ("scratch", defective)):
        for number in range(count):
            image = random.normal(90, 6, (64, 64, 3))
            disc = np.zeros((64, 64), np.uint8)
            cv2.circle(disc, (32, 32), 20, 255, -1)
            image[disc > 0] += 80
            mask = np.zeros((64, 64), np.uint8)
            if kind == "scratch":
                start, end = (20 + 3 * number, 24), (44, 40 - 2 * number)
                cv2.line(mask, start, end, 255, 3)
                image[mask > 0] -= 90
                _write(folder / "ground_truth" / kind / f"{number:03d}_mask.png", mask)
            _write(folder / kind / f"{number:03d}.png", image.clip(0, 255).astype(np.uint8))


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
