"""Downloading one file over HTTP: what was interrupted goes on, what changed starts anew."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from blemish.core.errors import UserError
from blemish.core.progress import byte_progress

from .disk import require_free
from .members import MOST_BYTES
from .partial import Partial

BLOCK = 2**20
ENOUGH = 2**20  # bytes that an attempt must bring for the count of attempts to start anew


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, in seconds."""

    connect: float = 15.0
    read: float = 60.0  # without any byte
    waits: tuple[float, ...] = (1.0, 4.0, 10.0)  # between attempts
    window: float = 60.0  # in which at least `least` bytes must come
    least: int = 64_000


PATIENCE = Patience()


class DownloadError(Exception):
    """Why a URL does not give the file, in a few words."""


class _Cut(DownloadError):
    """The transfer broke off; asking again may help."""


def download(url: str, target: Path, size: int = 0) -> None:
    """Bring all of `url` to `target`, going on with what an earlier call left there.

    `size` in bytes is what the file must have, 0 if unknown. Raises DownloadError; what has
    arrived by then stays for the next call if the server can go on from there. Raises UserError
    if the disk is too small.
    """
    attempt, furthest = 0, 0
    while True:
        try:
            return _receive(url, Partial(target), size)
        except _Cut as cut:
            here = target.stat().st_size if target.exists() else 0
            attempt = 0 if here >= furthest + ENOUGH else attempt + 1
            furthest = max(furthest, here)
            if attempt > len(PATIENCE.waits):
                raise DownloadError(f"{cut} (asked {attempt} times)") from None
            time.sleep(PATIENCE.waits[max(0, attempt - 1)] if PATIENCE.waits else 0)


def _receive(url: str, partial: Partial, expected: int) -> None:
    start = partial.size_from(url)
    if start and start == partial.total:
        return
    with _answer(url, partial.resuming(start)) as response:
        start, total = _extent(response, partial, start)
        if expected and total not in (0, expected):
            raise DownloadError(f"offers {total:,} bytes, expected {expected:,}")
        require_free(partial.path.parent, (total or expected) - start, url)
        partial.begin(url, response.headers, start, total)
        title = f"downloading {partial.path.name.removesuffix('.part')}"
        with partial.path.open("ab") as file, byte_progress(title, total, start) as advance:
            for block in _blocks(response):
                _write(file, block)
                advance(len(block))
                if file.tell() > MOST_BYTES:
                    raise DownloadError(f"sends more than {MOST_BYTES:,} bytes")
            received = file.tell()
    if total and received != total:
        raise _Cut(f"sent {received:,} of {total:,} bytes")


def _write(file: BinaryIO, block: bytes) -> None:
    try:
        file.write(block)
        file.flush()  # so that a full disk is noticed here, and a killed process loses little
    except OSError as error:
        raise UserError(f"{file.name}: cannot be written ({error.strerror})") from None


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """The response of a server that has the file. Raises DownloadError saying why there is none."""
    is_resumed = "Range" in headers
    session = requests.Session()
    session.max_redirects = 10
    timeout = (PATIENCE.connect, PATIENCE.read)
    # Without identity, a server may pack the body, and neither size nor checksum would be right.
    headers = {"Accept-Encoding": "identity", "User-Agent": "blemish", **headers}
    try:
        with session, session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _require_file(response)
            yield response
    except requests.TooManyRedirects:
        raise DownloadError("redirects in a circle") from None
    except requests.ReadTimeout:
        raise _Cut(f"sent nothing for {PATIENCE.read:g} s") from None
    except requests.exceptions.SSLError:
        raise DownloadError("its certificate is not accepted") from None
    except requests.ConnectionError as error:
        # A server that was there a moment ago may come back; one that never answered is not there.
        is_cut = is_resumed or _was_reached(error)
        reason = "broke the connection" if is_cut else "cannot be reached"
        raise (_Cut if is_cut else DownloadError)(reason) from None
    except (requests.RequestException, UnicodeError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise DownloadError(f"cannot be asked ({reason})") from None


def _was_reached(error: Exception) -> bool:
    return any(isinstance(cause, ProtocolError) for cause in error.args)


def _require_file(response: requests.Response) -> None:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise _Cut(f"answered {status}")
    if response.status_code not in (200, 206, 416):
        raise DownloadError(f"answered {status}")
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if is_page and response.status_code != 416:
        raise DownloadError("sent a web page, not the archive (a login or licence page?)")


def _extent(response: requests.Response, partial: Partial, start: int) -> tuple[int, int]:
    """The position of the body's first byte in the file, and the file's size (0 if unknown)."""
    stated = response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdigit() else 0
    if response.status_code == 200:
        return 0, length
    if response.status_code == 206 and partial.is_continued_by(response.headers, start):
        return start, partial.total or (start + length if length else 0)
    partial.discard()
    raise _Cut("has another file than before")


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives. Raises _Cut if it breaks off or trickles."""
    began, received = time.monotonic(), 0
    try:
        while block := response.raw.read1(BLOCK, decode_content=False):
            yield block
            received += len(block)
            if time.monotonic() - began > PATIENCE.window:
                if received < PATIENCE.least:
                    raise _Cut(f"sent only {received:,} bytes in {PATIENCE.window:g} s")
                began, received = time.monotonic(), 0
    except ReadTimeoutError:
        raise _Cut(f"sent nothing for {PATIENCE.read:g} s") from None
    except (HTTPError, ConnectionError):
        raise _Cut("broke the connection") from None
