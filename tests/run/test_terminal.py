"""What a run looks like on a terminal: a table that stays below the lines, and goes at the end."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios

from tests.run.workspace import DRIVER, Workspace, make

WIDTH = 70
TRAINS = (
    "import time\nfor epoch in range(1, 4):\n"
    "    print(f'x: epoch {epoch} of 3, {90 - 30 * epoch} s left', flush=True); time.sleep(0.7)"
)


def on_terminal(space: Workspace) -> tuple[int, str]:
    """Exit status and all bytes of a run on a terminal of 24 × WIDTH characters."""
    driver = DRIVER.replace("Console(width=200)", "Console()")
    process, terminal = pty.fork()
    if not process:
        os.chdir(space.root)
        command = [sys.executable, "-c", driver, "2", "", "1", "1"]
        os.execve(sys.executable, command, space.environment() | {"TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    found = b""
    while True:
        try:
            read = os.read(terminal, 1 << 16)
        except OSError:  # Linux's way to say that the other side is closed
            break
        found += read
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), found.decode()


def screen_at_the_end(text: str) -> list[str]:
    """The lines that a terminal shows after this: it knows what Rich uses, no more."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d+A", part):
            row -= int(part[2:-1])
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


def test_a_table_shows_what_runs_and_lines_stay(tmp_path) -> None:
    space = make(tmp_path / "space")
    space.trouble("models/a/x-0", TRAINS)
    space.trouble("models/a/x-1", "raise SystemExit('error: x.png is broken: fetch it again')")
    status, text = on_terminal(space)
    assert status == 1
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text)
    assert re.search(r"train@a/x-0 +cpu [01] +0:\d\d +epoch 2 of 3, 30 s left", plain)
    assert re.search(
        r"\n[1-4] of 6 stages, 0:\d\d elapsed, (about|at least) \d+ (s|min) left", plain
    )
    shown = screen_at_the_end(text)
    assert not [line for line in shown if "running" in line or "epoch" in line]
    numbered = [line for line in shown if re.match(r"\[\d/6\]", line)]
    assert [line[:5] for line in numbered] == [f"[{n}/6]" for n in range(1, 6)]
    end = shown.index("failed: train@a/x-1")
    assert shown[end + 1] == "not begun, as they need those: report"
    assert shown[end + 2].startswith("what has run is kept")
