"""A web server on this machine that fails in the ways servers fail."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.archives import FILES, zipped

OTHER = zipped({**FILES, "top/other": b"another version" * 40})


@dataclass
class Server:
    """Serves `data` under every path; the path's first word is the fault.

    `asked` holds each request as (path, Range header). `faults` is how many requests of a path
    that heals (`cut`, `503`, …) fail before it does.
    """

    data: bytes
    url: str = ""
    faults: int = 1
    etag: str = '"one"'
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)


@contextmanager
def serving(data: bytes) -> Iterator[Server]:
    """A running server; it stops with the block."""
    server = Server(data)

    class Handler(_Handler):
        state = server

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        server.url = f"http://127.0.0.1:{running.server_port}"
        yield server
        server.over.set()
        running.shutdown()


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        with self.state.lock:
            self.state.asked.append((self.path, wanted))
            is_faulty = self.state.count(self.path) <= self.state.faults
        fault = self.path.split("/")[1]
        getattr(self, f"do_{fault.replace('-', '_')}")(is_faulty, wanted)

    def answer(self, status: int, body: bytes = b"", cut: int = 0, **headers: str) -> None:
        """Headers, then the body less its last `cut` bytes."""
        self.send_response(status)
        headers = {"Content_Length": str(len(body)), "ETag": self.state.etag, **headers}
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.wfile.flush()

    def whole(self, wanted: str, data: bytes | None = None, cut: int = 0, **headers: str) -> None:
        """A server that honours Range and If-Range."""
        data = self.state.data if data is None else data
        tag = headers.get("ETag", self.state.etag)
        if not wanted or self.headers.get("If-Range") != tag:
            self.answer(200, data, cut, **headers)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        extent = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206, data[start:], cut, Content_Range=extent, **headers)

    def do_ok(self, _: bool, wanted: str) -> None:
        self.whole(wanted)

    def do_slow_ok(self, _: bool, wanted: str) -> None:
        time.sleep(0.3)
        self.whole(wanted)

    def do_cut(self, is_faulty: bool, wanted: str) -> None:
        """Breaks off a quarter before the end."""
        rest = len(self.state.data) // 4
        self.whole(wanted, cut=rest if is_faulty else 0)

    def do_cut_without_range(self, is_faulty: bool, _: str) -> None:
        self.answer(200, self.state.data, len(self.state.data) // 4 if is_faulty else 0)

    def do_cut_without_validator(self, is_faulty: bool, wanted: str) -> None:
        self.whole(wanted, cut=len(self.state.data) // 4 if is_faulty else 0, ETag="")

    def do_cut_chunked(self, is_faulty: bool, wanted: str) -> None:
        if not is_faulty:
            self.whole(wanted)
            return
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"100\r\n" + self.state.data[:200])

    def do_changed(self, is_faulty: bool, wanted: str) -> None:
        """Another version comes online while the first is half downloaded."""
        if is_faulty:
            self.whole("", OTHER, cut=200, ETag='"old"')
        else:
            self.whole(wanted)

    def do_changed_careless(self, is_faulty: bool, wanted: str) -> None:
        """As `changed`, but the server overlooks If-Range and sends the new file's rest."""
        if is_faulty:
            self.whole("", OTHER, cut=len(OTHER) - 200, ETag='"old"')
        elif wanted:
            rest = self.state.data[200:]
            extent = f"bytes 200-{len(self.state.data) - 1}/{len(self.state.data)}"
            self.answer(206, rest, Content_Range=extent)
        else:
            self.answer(200, self.state.data)

    def do_wrong_range(self, is_faulty: bool, wanted: str) -> None:
        """Asked to go on, it sends other bytes than it was asked for."""
        if is_faulty or not wanted:
            self.answer(200, self.state.data, 300 if is_faulty else 0)
        else:
            extent = f"bytes 7-{len(self.state.data) - 1}/{len(self.state.data)}"
            self.answer(206, self.state.data[7:], Content_Range=extent)

    def do_no_more_range(self, is_faulty: bool, wanted: str) -> None:
        if is_faulty:
            self.answer(200, self.state.data, 300)
        else:
            self.answer(416 if wanted else 200, b"" if wanted else self.state.data)

    def do_unavailable(self, is_faulty: bool, wanted: str) -> None:
        if is_faulty:
            self.answer(503, b"busy")
        else:
            self.whole(wanted)

    def do_silent(self, is_faulty: bool, wanted: str) -> None:
        if is_faulty:
            self.state.over.wait()
        else:
            self.whole(wanted)

    def do_stalled(self, is_faulty: bool, wanted: str) -> None:
        """Says nothing more in mid-body."""
        if is_faulty:
            self.answer(200, self.state.data, 300)
            self.state.over.wait()
        else:
            self.whole(wanted)

    def do_short(self, _: bool, __: str) -> None:
        """Announces less than the file has."""
        self.answer(200, self.state.data, Content_Length=str(len(self.state.data) - 9))

    def do_long(self, _: bool, __: str) -> None:
        """Announces more than it ever sends."""
        self.answer(200, self.state.data, Content_Length=str(len(self.state.data) + 9), ETag="")

    def do_missing(self, _: bool, __: str) -> None:
        self.answer(404)

    def do_forbidden(self, _: bool, __: str) -> None:
        self.answer(403)

    def do_broken(self, _: bool, __: str) -> None:
        self.answer(500)

    def do_circle(self, _: bool, __: str) -> None:
        self.answer(302, Location=f"{self.path}/on"[:200])

    def do_elsewhere(self, _: bool, __: str) -> None:
        self.answer(302, Location="/ok/tiles.zip")

    def do_to_a_file(self, _: bool, __: str) -> None:
        self.answer(302, Location="file:///etc/passwd")

    def do_login(self, _: bool, __: str) -> None:
        self.answer(200, b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8")

    def do_hidden_login(self, _: bool, __: str) -> None:
        self.answer(200, b"<html>Please log in</html>" * 40, Content_Type="application/zip")

    def do_other(self, _: bool, __: str) -> None:
        self.answer(200, OTHER)

    def do_trickle(self, _: bool, __: str) -> None:
        self.answer(200, self.state.data, len(self.state.data))
        for byte in self.state.data[:100]:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)
