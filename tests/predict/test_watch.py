"""`blemish watch`: whole files only, each once, and nothing half-written."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.predict.arrivals import Arrivals, Version, plain_name
from blemish.predict.judged_table import COLUMNS, JudgedTable
from tests.predict.bright import files, predict, write_image

SPOTS = (30, 40, 36, 60, 240), (120, 180, 40, 30, 200)


def watch(*words: Any) -> Result:
    """Run the command until all that is there is done."""
    return CliRunner().invoke(app, ["watch", *map(str, words), "--rest", "0.05", "--once"])


def rows(table: Path) -> pd.DataFrame:
    found = pd.read_csv(table, keep_default_na=False).set_index("image")
    assert found.index.is_unique
    return found


@pytest.mark.usefixtures("bright")
class TestFolder:
    """The command on a folder of images."""

    def test_it_says_what_predict_says(self, model: Path, images: Path, tmp_path: Path) -> None:
        table, look = tmp_path / "found.csv", images / "look"
        predict(model, images, "--scores", tmp_path / "p.csv", "--overlays", tmp_path / "p")
        done = watch(model, images, "--scores", table, "--overlays", look)
        assert done.exit_code == 0
        expected = pd.read_csv(tmp_path / "p.csv").set_index("image")
        expected.index = [Path(name).relative_to(images).as_posix() for name in expected.index]
        found = rows(table)
        assert tuple(pd.read_csv(table).columns) == COLUMNS
        pd.testing.assert_frame_equal(
            found[expected.columns].sort_index().astype(expected.dtypes),
            expected.sort_index(), check_names=False,
        )  # fmt: skip
        assert list(found["threshold"]) == pytest.approx([4.9] * 3)
        assert files(look) == {"good.png.png", "line 2/bad.png.png", "line 2/tall.jpg.png"}
        overlay = (tmp_path / "p/line 2/bad.png").read_bytes()
        assert (look / "line 2/bad.png.png").read_bytes() == overlay
        lines = sorted(line.split()[0] for line in done.stdout.splitlines())
        assert lines == ["-", "-", "alarm"]

    def test_each_image_is_judged_once(self, model: Path, images: Path, tmp_path: Path) -> None:
        table = tmp_path / "found.csv"
        watch(model, images, "--scores", table)
        before = table.read_bytes()
        done = watch(model, images, "--scores", table)
        assert (done.exit_code, done.stdout) == (0, "")
        assert table.read_bytes() == before
        write_image(images / "good.png", (96, 128), *SPOTS)  # another image under an old name
        write_image(images / "new.png")
        assert len(watch(model, images, "--scores", table).stdout.splitlines()) == 2
        assert table.read_bytes().startswith(before)
        assert len(pd.read_csv(table)) == 5

    def test_what_cannot_be_read_is_named_and_set_aside(
        self, model: Path, images: Path, tmp_path: Path
    ) -> None:
        table, whole = tmp_path / "found.csv", (images / "good.png").read_bytes()
        (images / "line 2/cut.png").write_bytes(whole[: len(whole) // 2])
        taken = images / "unreadable/line 2/cut.png"
        taken.parent.mkdir(parents=True)
        taken.write_text("of an earlier day")
        done = watch(model, images, "--scores", table)
        assert done.exit_code == 0
        assert f"set aside: {images}/line 2/cut.png: not a whole image" in done.stderr
        assert not (images / "line 2/cut.png").exists()
        assert (taken.parent / "cut-2.png").read_bytes() == whole[: len(whole) // 2]
        assert taken.read_text() == "of an earlier day"
        found = rows(table)
        assert len(found) == 4
        assert "not a whole image" in found.loc["line 2/cut.png", "error"]
        assert found.loc["line 2/cut.png", "decision"] == ""
        assert watch(model, images, "--scores", table).stderr == ""

    def test_a_file_that_cannot_be_moved_is_not_tried_for_ever(
        self, model: Path, images: Path, tmp_path: Path
    ) -> None:
        (images / "bad.png").write_bytes(b"")
        (tmp_path / "aside").write_text("a file")
        words = (model, images, "--scores", tmp_path / "found.csv", "--aside", tmp_path / "aside")
        assert f"cannot be moved to {tmp_path}/aside/bad.png" in watch(*words).stderr
        assert watch(*words).stderr == ""
        assert (images / "bad.png").exists()

    def test_names_of_any_kind(self, model: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        odd = [folder / "a,b \"c\".png", folder / "line\nbreak.png", folder / "a.jpg",
               Path(os.fsdecode(bytes(folder / "a") + b"\xff.png"))]  # fmt: skip
        for file in odd:
            write_image(file)
        table = tmp_path / "found.csv"
        words = (model, folder, "--scores", table, "--overlays", tmp_path / "look")
        assert watch(*words).exit_code == 0
        assert set(rows(table).index) == {
            'a,b "c".png', "line\\x0abreak.png", "a.jpg", "a\\udcff.png",
        }  # fmt: skip
        assert watch(*words).stdout == ""
        assert len(files(tmp_path / "look")) == 4

    def test_a_slow_writers_file_is_judged_when_it_is_whole(
        self, model: Path, images: Path, tmp_path: Path
    ) -> None:
        """A writer that pauses longer than files rest: the half file is tried, not set aside."""
        table, target = tmp_path / "found.csv", images / "slow.png"
        content = write_image(tmp_path / "slow.png", (96, 128), *SPOTS).read_bytes()

        def write() -> None:
            with target.open("wb", buffering=0) as stream:
                for at in range(0, len(content), len(content) // 8):
                    stream.write(content[at : at + len(content) // 8])
                    time.sleep(0.1)

        writer = threading.Thread(target=write)
        writer.start()
        while not target.exists():
            time.sleep(0.001)
        done = watch(model, images, "--scores", table)
        writer.join()
        assert done.stderr == ""
        assert rows(table).loc["slow.png", "decision"] == 1
        assert rows(table).loc["slow.png", "bytes"] == len(content)
        assert not (images / "unreadable").exists()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it(
        self, model: Path, images: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        table, before = tmp_path / "found.csv", signal.getsignal(number)

        def send() -> None:
            while not (table.exists() and len(table.read_bytes().splitlines()) == 4):
                time.sleep(0.01)
            os.kill(os.getpid(), number)

        threading.Thread(target=send).start()
        words = ["watch", model, images, "--scores", table, "--rest", "0"]
        assert CliRunner().invoke(app, list(map(str, words))).exit_code == 0
        assert len(rows(table)) == 3
        assert signal.getsignal(number) == before

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nowhere", "--scores", "t.csv"], "nowhere: no such folder"),
            (["images", "--scores", "images/good.png"], "good.png: its first line is not of"),
            (["images", "--scores", "images"], "images: cannot be written"),
            (["images", "--scores", "t.csv", "--device", "tpu"], "`device` is 'tpu'"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(
        self, model: Path, images: Path, tmp_path: Path, monkeypatch, words: list[str], message: str
    ) -> None:  # fmt: skip
        monkeypatch.chdir(tmp_path)
        before = (images / "good.png").read_bytes()
        done = watch(model, *words)
        assert isinstance(done.exception, UserError)
        assert message in str(done.exception)
        assert (images / "good.png").read_bytes() == before


def names(arrivals: Arrivals, now: float, done: set[Version]) -> list[str]:
    return [one.version.name for one in arrivals.look(now, done)]


def test_a_file_rests_before_it_is_whole(tmp_path: Path) -> None:
    arrivals, done = Arrivals(tmp_path, [], rest=2), set[Version]()
    growing = tmp_path / "a.png"
    growing.write_bytes(b"1")
    (tmp_path / ".b.png").write_bytes(b"1")
    (tmp_path / "c.png.part").write_bytes(b"1")
    assert names(arrivals, 0, done) == []
    assert names(arrivals, 1.9, done) == []
    growing.write_bytes(b"12")
    assert names(arrivals, 2, done) == []
    assert not arrivals.is_quiet()
    (tmp_path / "c.png.part").rename(tmp_path / "c.png")
    assert names(arrivals, 3.9, done) == []
    assert names(arrivals, 4, done) == ["a.png"]
    (found,) = arrivals.look(5, done)
    found.tried = True  # it could not be read: perhaps its writer only pauses
    assert names(arrivals, 6, done) == ["c.png"]
    assert names(arrivals, 21.9, done) == ["c.png"]
    assert sorted(names(arrivals, 22, done)) == ["a.png", "c.png"]
    done |= {one.version for one in arrivals.look(22, done)}
    assert names(arrivals, 30, done) == []
    assert arrivals.is_quiet()
    shutil.copystat(growing, tmp_path / "c.png")
    growing.unlink()
    assert names(arrivals, 40, done) == []
    assert names(arrivals, 42, done) == ["c.png"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_row_is_taken_away(tmp_path: Path, cut: int) -> None:
    file, first, second = tmp_path / "t.csv", Version("a.png", 1, 2), Version("b,c.png", 3, 4)
    with JudgedTable(file) as table:
        table.add(first, {"score": 0.5})
        whole = file.read_bytes()
        table.add(second, {"score": 0.7, "error": 'a "quoted" word'})
    file.write_bytes(file.read_bytes()[:-cut])
    with JudgedTable(file) as table:
        assert table.done == {first}
        assert file.read_bytes() == whole
        table.add(second, {})
    with JudgedTable(file) as table:
        assert table.done == {first, second}


def test_a_table_killed_at_its_first_line_is_begun_again(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(",".join(COLUMNS)[:10])
    with JudgedTable(file) as table:
        assert table.done == set()
    assert file.read_text() == ",".join(COLUMNS) + "\n"


def test_a_table_has_one_writer_and_is_ours(tmp_path: Path) -> None:
    with JudgedTable(tmp_path / "t.csv"), pytest.raises(UserError, match="another `blemish watch`"):
        JudgedTable(tmp_path / "t.csv")
    other = tmp_path / "other.csv"
    for text in ("a,b\n1,2\n", "words", ",".join(COLUMNS) + "\nwhat\n"):
        other.write_text(text)
        with pytest.raises(UserError, match="is not of `blemish watch`"):
            JudgedTable(other)
        assert other.read_text() == text


def test_names_are_one_line() -> None:
    assert plain_name(Path("a/ä b.png")) == "a/ä b.png"
    assert plain_name(Path("a\tb\n.png")) == "a\\x09b\\x0a.png"
