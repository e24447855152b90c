"""`blemish review` in a real browser: keys, undo, two windows, a kill and a restart."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.devtools import CHROMIUM, Browser, Page, running
from tests.review.shift import BY_DOUBT, SCORES, write_shift

PROGRAM = "from blemish.commands.app import main; main()"
FEEDBACK = Path("data/feedback/parts/bolts")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Server:
    """A process of `blemish review`."""

    def __init__(self, root: Path, port: int = 0) -> None:
        words = ["review", "parts/bolts", "--images", "camera", "--no-browser", "--port", str(port)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], cwd=root, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        self.address, self.port = found[0], int(found[1])

    def end(self, number: int = signal.SIGINT) -> str:
        if self.process.poll() is None:
            self.process.send_signal(number)
        text, _ = self.process.communicate(timeout=60)
        return text


@pytest.fixture
def shift(tmp_path: Path) -> Path:
    write_shift(tmp_path)
    return tmp_path


@pytest.fixture
def server(shift: Path) -> Iterator[Server]:
    server = Server(shift)
    yield server
    server.end()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with running(tmp_path / "profile") as browser:
        yield browser


def opened(browser: Browser, server: Server, name: str = f"1. {BY_DOUBT[0]}") -> Page:
    page = browser.page(server.address)
    page.until_text("#name", name)
    return page


def journal(root: Path) -> list[tuple[str, str, str]]:
    with (root / FEEDBACK / "decisions.csv").open(encoding="utf-8", newline="") as stream:
        return [(row["source"], row["decision"], row["defect"]) for row in csv.DictReader(stream)]


def test_images_are_decided_by_keys_the_most_doubtful_first(
    shift: Path, server: Server, browser: Browser
) -> None:
    page = opened(browser, server)
    assert [page.text(f"#{name}") for name in ("score", "threshold", "verdict", "decision")] == [
        "0.52000", "0.50000", "alarm", "–",
    ]  # fmt: skip
    page.until("document.querySelector('#picture').naturalWidth === 32")
    page.press("m")
    page.until("!document.querySelector('#map').hidden")
    page.until("document.querySelector('#map').naturalWidth === 32")
    page.press("m", "g")
    page.until_text("#name", f"2. {BY_DOUBT[1]}")
    page.until_text("#count", "1 of 4 decided")
    page.press("u")
    page.until_text("#name", f"3. {BY_DOUBT[2]}")
    page.until("document.querySelectorAll('#outline polygon').length === 1")  # the draft
    page.press("d")
    page.until("!document.querySelector('#chooser').hidden")
    page.press(*"deep pit", "Enter")
    page.until_text("#decision", "defect: deep pit")
    page.until("!document.querySelector('#labelme').hidden")
    command = page.text("#command")
    page.press("o")
    page.until_text("#name", f"4. {BY_DOUBT[3]}")
    page.press("d")
    page.until("document.querySelector('#kinds').textContent === 'deep pit'")
    page.press("1")
    page.until_text("#count", "4 of 4 decided")
    assert journal(shift) == [
        ("b.png", "good", ""), ("c.png", "unsure", ""), ("a.png", "defect", "deep pit"),
        ("d.png", "defect", "deep pit"),
    ]  # fmt: skip
    kept = shift / command.removeprefix("labelme ")
    assert kept.read_bytes() == (shift / "camera/a.png").read_bytes()
    outline = json.loads(kept.with_suffix(".json").read_text())
    assert outline["imagePath"] == kept.name
    assert browser.complaints == []
    # What LabelMe saves is seen when the window is looked at again.
    outline["shapes"] *= 2
    kept.with_suffix(".json").write_text(json.dumps(outline))
    page.press("p")
    page.until("document.querySelectorAll('#outline polygon').length === 2")


def test_undo_takes_back_one_decision_after_the_other(
    shift: Path, server: Server, browser: Browser
) -> None:
    page = opened(browser, server)
    page.press("g", "u", "p", "p")  # two decisions, and back to the first image
    page.until_text("#name", "1. b.png")
    page.press("u")
    page.until_text("#count", "2 of 4 decided")
    page.until_text("#name", "3. a.png")
    page.press("z")
    page.until_text("#name", "1. b.png")
    page.until_text("#decision", "good")
    page.press("z")
    page.until_text("#name", "2. c.png")
    page.press("z")
    page.until_text("#name", "1. b.png")
    page.until_text("#count", "0 of 4 decided")
    page.press("z")
    page.until_text("#message", "nothing to undo")
    assert [decision for _, decision, _ in journal(shift)] == [
        *("good", "unsure", "unsure"), *("undone", "undone", "undone"),
    ]  # fmt: skip


def test_who_types_fast_loses_nothing(shift: Path, server: Server, browser: Browser) -> None:
    page = browser.page(server.address)
    page.until_text("#count", "0 of 4 decided")  # the image itself is not there yet
    page.press("g", "d", *"pit", "Enter", "o", "u", "d", "1")
    page.until_text("#count", "4 of 4 decided")
    assert journal(shift) == [
        ("b.png", "good", ""), ("c.png", "defect", "pit"), ("a.png", "unsure", ""),
        ("d.png", "defect", "pit"),
    ]  # fmt: skip


def test_two_windows_lose_nothing_of_each_other(
    shift: Path, server: Server, browser: Browser
) -> None:
    first, second = opened(browser, server), opened(browser, server)
    first.press("g")
    first.until_text("#name", "2. c.png")
    second.press("n", "g")  # c, which the first one shows, too
    second.until_text("#name", "3. a.png")
    first.press("u")
    first.until_text("#name", "3. a.png")
    second.press("z")  # its decision on c, which the first has changed
    second.until("document.querySelector('#name').textContent === '2. c.png'")
    assert journal(shift) == [
        ("b.png", "good", ""), ("c.png", "good", ""), ("c.png", "unsure", ""),
    ]  # fmt: skip
    second.until_text("#decision", "unsure")


def test_a_kill_loses_no_decision_and_the_page_goes_on(shift: Path, browser: Browser) -> None:
    server = Server(shift)
    page = opened(browser, server)
    page.press("g", "u")
    page.until_text("#count", "2 of 4 decided")
    server.end(signal.SIGKILL)
    with (shift / FEEDBACK / "decisions.csv").open("a", encoding="utf-8") as stream:
        stream.write("torn,by,the ki")  # as a power cut leaves a row
    page.press("g")
    page.until("document.querySelector('#message').textContent.includes('does not answer')")
    again = Server(shift, server.port)
    try:
        page.press("g")  # the window that was open goes on
        page.until_text("#count", "3 of 4 decided")
        other = opened(browser, again, "4. d.png")
        other.until_text("#count", "3 of 4 decided")
        other.press("z")
        other.until_text("#name", "3. a.png")
        other.until_text("#count", "2 of 4 decided")
        assert journal(shift) == [
            ("b.png", "good", ""), ("c.png", "unsure", ""), ("a.png", "good", ""),
            ("a.png", "undone", ""),
        ]  # fmt: skip
    finally:
        said = again.end()
    assert said == f"{FEEDBACK}: 1 good, 0 defective, 1 unsure\n"


def test_hostile_names_are_text(tmp_path: Path, browser: Browser) -> None:
    name = "<img src=x onerror=document.title='hacked'>.png"
    write_shift(tmp_path, {name: 0.5, **SCORES})
    server = Server(tmp_path)
    try:
        page = opened(browser, server, f"1. {name}")
        kind = "<script>document.title='hacked'</script>"
        page.press("d", *kind, "Enter")
        page.until("document.querySelector('#message').textContent.includes('cannot be called')")
        page.press("g")
        page.until_text("#count", "1 of 5 decided")
        assert page.value("document.title") == "Review of parts/bolts"
        assert page.value("document.querySelectorAll('main img').length") == 2
        (kept,) = (tmp_path / FEEDBACK / "images").iterdir()
        assert re.fullmatch(r"[0-9a-f]{64}\.png", kept.name)
    finally:
        server.end()
