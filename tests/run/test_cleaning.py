"""`blemish clean` and `blemish run -S`."""

import os
import subprocess
import sys

import pytest

from blemish.core.errors import UserError
from blemish.core.profiles import set_params
from blemish.methods.checkpoint import CHECKPOINTS
from blemish.run import node
from blemish.run.cleaning import clean
from tests.units import params_folder


def test_what_killed_runs_left_goes_and_results_stay(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(node, "HERE", tmp_path / "node")
    monkeypatch.chdir(tmp_path)
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True
    )
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    dead, alive = int(gone.stdout), os.getppid()
    left = [
        tmp_path / CHECKPOINTS / "elpv/mono/glass-0/key/state.safetensors",
        tmp_path / "logs/train@elpv/mono-glass-0.log",
        tmp_path / f"models/elpv/mono/.glass-0.{dead}.unfinished/model.json",
        tmp_path / "node/inputs/1f2e.dir/content/made",
        tmp_path / f".dvc/cache/{node.SHARED_CHECKPOINTS}/elpv/mono/glass-1/key/state.safetensors",
    ]
    kept = [
        tmp_path / "models/elpv/mono/glass-0/model.json",
        tmp_path / f"models/elpv/mono/.glass-1.{alive}.unfinished/model.json",
        tmp_path / ".dvc/cache/files/md5/00/1f2e",
    ]
    for file in [*left, *kept]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    assert len(list(clean(tmp_path))) == 5
    assert [file.exists() for file in [*left, *kept]] == [False] * 5 + [True] * 3
    assert list(clean(tmp_path)) == ["nothing to remove"]


def test_overrides_are_written_with_the_values_of_yaml() -> None:
    with params_folder({"glass": {"epochs": 3}}) as folder:
        changed = set_params(["glass.epochs=20", "seeds=[0, 1]", "training.device=auto"])
        assert changed == [
            "glass.epochs: 3 → 20",
            "seeds: [0] → [0, 1]",
            "training.device: cpu → auto",
        ]
        text = (folder / "params.yaml").read_text()
        assert set_params(["glass.epochs=20"]) == []
        for bad, message in {
            "glass.epochs": "expected KEY=VALUE",
            "glass.epochs=many": "`glass.epochs` is 'many'",
            "glass.epoch=3": r"unknown key `glass.epoch` \(did you mean 'epochs'",
            "seeds=[0": "is no YAML value",
        }.items():
            with pytest.raises(UserError, match=message):
                set_params([bad])
            assert (folder / "params.yaml").read_text() == text
