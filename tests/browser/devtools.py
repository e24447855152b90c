"""Chromium as a person uses it: pages, keys, what stands there. By the DevTools protocol over two
pipes, which needs no driver and no library: each message is JSON and ends with a zero byte."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-pipe", "--window-size=1280,900"),
]
PATIENCE = 120  # s
CODES = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}


class Browser:
    """A running Chromium; `page` opens a tab."""

    def __init__(self, writes: int, reads: int) -> None:
        self._writes, self._reads = writes, reads
        self._number, self._left = 0, b""
        self.complaints: list[str] = []

    def page(self, address: str) -> "Page":
        """A new tab at an address."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Runtime", "Page", "Log"):
            page.send(f"{domain}.enable")
        page.open(address)
        return page

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a command."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            more = os.read(self._reads, 1 << 16)
            assert more, "Chromium has ended"
            self._left += more
        text, _, self._left = self._left.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what a page's console complains of."""
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]))
        entry = event.get("params", {}).get("entry", {})
        if entry.get("level") == "error":
            self.complaints.append(str(entry.get("text")))


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self._session = browser, session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command for this tab."""
        return self.browser.send(method, self._session, **params)

    def open(self, address: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; promises are awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of an element, "" where there is none."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, (expression, self.value("document.body.innerText"))
            time.sleep(0.05)

    def until_text(self, selector: str, text: str) -> None:
        """Wait until an element has this text."""
        self.until(f"document.querySelector({json.dumps(selector)})?.textContent === "
                   f"{json.dumps(text)}")  # fmt: skip

    def press(self, *keys: str) -> None:
        """Press keys, one after the other: letters or names such as Enter."""
        for key in keys:
            self.send("Page.bringToFront")
            code = CODES.get(key, ord(key[0].upper()))
            typed = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            both = {"key": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown", **both, **typed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **both)


@contextmanager
def running(profile: Path) -> Iterator[Browser]:
    """A Chromium of its own, ended with the block."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    options = [*OPTIONS, f"--user-data-dir={profile}"]
    # Chromium reads commands from file 3 and writes answers to file 4.
    script = 'exec "$0" "$@" 3<&$COMMANDS 4>&$ANSWERS'
    process = subprocess.Popen(
        ["bash", "-c", script, str(CHROMIUM), *options],
        env=os.environ | {"COMMANDS": str(theirs_in), "ANSWERS": str(theirs_out)},
        pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        os.close(ours_out)  # which ends it
        os.close(ours_in)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
