"""Outputs are whole or absent."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from blemish.core.errors import UserError, run_stage
from blemish.core.files import finished_file, finished_folder, link, sha256, write_json


def listing(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(files)}


def test_a_finished_folder_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "models" / "elpv" / "mono"
    with finished_folder(target) as folder:
        (folder / "old").write_text("1")
        assert not target.exists()
    for path in target.iterdir():
        path.chmod(0o444)  # as DVC leaves its outputs
    with finished_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "new").write_text("2")
        assert listing(target) == {"old": "1"}
    assert listing(tmp_path) == {"models/elpv/mono/sub/new": "2"}


@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt, SystemExit])
def test_a_failure_changes_nothing(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "out"
    with finished_folder(target) as folder:
        (folder / "old").write_text("1")

    def broken_folder() -> None:
        with finished_folder(target) as folder:
            (folder / "new").write_text("2")
            raise error("stop")

    def broken_file() -> None:
        with finished_file(tmp_path / "file") as file:
            file.write_text("3")
            raise error("stop")

    for broken in (broken_folder, broken_file):
        with pytest.raises(error):
            broken()
    assert listing(tmp_path) == {"out/old": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _begin_a_folder(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Another process that is in the middle of writing the folder `out`."""
    code = (
        "import time; from pathlib import Path; from blemish.core.files import finished_folder\n"
        "with finished_folder(Path('out')) as folder:\n"
        "    (folder / 'half').write_text('half'); Path('started').touch(); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    limit = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    return process


def test_a_killed_process_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    process = _begin_a_folder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    with finished_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("whole")
    assert listing(tmp_path) == {"out/whole": "whole", "started": ""}


def test_a_stage_that_outlived_its_run_keeps_to_its_own_files(tmp_path: Path) -> None:
    process = _begin_a_folder(tmp_path)
    try:
        with finished_folder(tmp_path / "out") as folder:
            (folder / "whole").write_text("whole")
        assert listing(tmp_path / "out") == {"whole": "whole"}
        left = tmp_path / f".out.{process.pid}.unfinished"
        assert listing(left) == {"half": "half"}
    finally:
        process.kill()
        process.wait()


def test_a_finished_file_is_renamed_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.json"
    with finished_file(target) as temporary:
        temporary.write_text("1")
        assert not target.exists()
    with finished_file(target) as temporary:
        temporary.write_text("2")
        assert target.read_text() == "1"
    assert listing(tmp_path) == {"new/file.json": "2"}


def test_equal_values_are_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1.5, "a": ["ü", None]})
    write_json(tmp_path / "b.json", {"a": ["ü", None], "b": 1.5})
    text = '{\n  "a": [\n    "ü",\n    null\n  ],\n  "b": 1.5\n}\n'
    assert listing(tmp_path) == {"a.json": text, "b.json": text}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c.json", float("nan"))


def test_a_link_shares_bytes_and_falls_back_to_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("pixels")
    link(source, tmp_path / "deep" / "linked")
    assert os.path.samefile(source, tmp_path / "deep" / "linked")
    (tmp_path / "symbolic").symlink_to(source)
    link(tmp_path / "symbolic", tmp_path / "real")
    assert not (tmp_path / "real").is_symlink()
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        link(source, Path(elsewhere) / "copy")
        assert (Path(elsewhere) / "copy").read_text() == "pixels"
        assert not os.path.samefile(source, Path(elsewhere) / "copy")


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_a_stage_reports_its_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main(unit: str) -> None:
        raise UserError(f"{unit}: two\n  lines of\treason")

    with pytest.raises(SystemExit) as caught:
        run_stage(main, ["elpv/mono"])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: elpv/mono: two lines of reason\n"
