"""Downloads from a server with faults: resumed, begun anew, refused, and never half there."""

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.download import disk, transfer
from blemish.download.archive import Archive
from blemish.download.fetch import fetch, unpacked
from blemish.download.transfer import Patience
from tests.archives import FILES, zipped
from tests.faulty_server import OTHER, Server, serving

DATA = zipped({**FILES, "top/noise": bytes(range(256)) * 40})
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
TARGET = Path("data/downloads/tiles.zip")
# Long enough for a busy machine: only the faults that are waited for shorten it.
PATIENT = Patience(connect=30, read=60, waits=(0.01, 0.01), window=60, least=1000)
SHORTER = {"silent": {"read": 2.0}, "stalled": {"read": 2.0}, "trickle": {"window": 0.3}}
NOWHERE = "http://127.0.0.1:9/tiles.zip"  # nothing listens on the discard port


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(transfer, "PATIENCE", PATIENT)
    with serving(DATA) as running:
        yield running


def tiles(*urls: str, checksum: str = SHA256, size: int = 0, content: str = "") -> Archive:
    return Archive("tiles.zip", checksum, size, urls, content)


def lose_patience(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", replace(PATIENT, **SHORTER.get(fault, {})))


def left() -> list[str]:
    """What is in the downloads, but for locks."""
    return sorted(p.name for p in TARGET.parent.iterdir() if p.suffix != ".lock")


# Fault → (how many requests, how many of them go on from where the last one ended).
HEALING = {
    "ok": (1, 0),
    "elsewhere": (1, 0),
    "cut": (2, 1),
    "cut-chunked": (2, 0),
    "cut-without-range": (2, 1),
    "cut-without-validator": (2, 0),
    "changed": (2, 1),
    "changed-careless": (3, 1),
    "wrong-range": (3, 1),
    "no-more-range": (3, 1),
    "unavailable": (2, 0),
    "silent": (2, 0),
    "stalled": (2, 1),
}


@pytest.mark.parametrize("fault", HEALING)
@pytest.mark.parametrize("size", [0, len(DATA)])
def test_a_fault_that_heals_is_overcome(
    fault: str, size: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_patience(fault, monkeypatch)
    if fault.startswith("changed") and size:
        size = 0  # the old version is refused for its size: see below
    path = fetch([tiles(f"{server.url}/{fault}/tiles.zip", size=size)])
    assert path == TARGET
    assert path.read_bytes() == DATA
    assert left() == ["tiles.zip"]
    requests = [wanted for asked, wanted in server.asked if asked == f"/{fault}/tiles.zip"]
    assert (len(requests), sum(wanted != "" for wanted in requests)) == HEALING[fault]


def test_a_resumed_download_asks_for_the_rest_only(server: Server) -> None:
    fetch([tiles(f"{server.url}/cut/tiles.zip")])
    assert [wanted for _, wanted in server.asked] == ["", f"bytes={len(DATA) - len(DATA) // 4}-"]


def test_a_connection_that_keeps_being_cut_is_given_up_and_goes_on_next_time(
    server: Server,
) -> None:
    server.faults = 3
    with pytest.raises(UserError, match=r"broke the connection \(asked 3 times\)"):
        fetch([tiles(f"{server.url}/cut/tiles.zip")])
    assert left() == ["tiles.zip.part", "tiles.zip.part.json"]
    there = Path(f"{TARGET}.part").stat().st_size
    assert 0 < there < len(DATA)
    assert fetch([tiles(f"{server.url}/cut/tiles.zip")]).read_bytes() == DATA
    assert server.asked[-1][1] == f"bytes={there}-"
    assert left() == ["tiles.zip"]


def test_a_file_that_was_whole_when_the_process_died_is_not_asked_for_again(
    server: Server,
) -> None:
    url = f"{server.url}/cut/tiles.zip"
    server.faults = 3
    with pytest.raises(UserError):
        fetch([tiles(url)])
    Path(f"{TARGET}.part").write_bytes(DATA)
    before = len(server.asked)
    assert fetch([tiles(url)]).read_bytes() == DATA
    assert len(server.asked) == before


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', '{"url":"x","validator":1}'])
def test_a_partial_file_without_a_readable_note_starts_anew(note: str, server: Server) -> None:
    TARGET.parent.mkdir(parents=True)
    Path(f"{TARGET}.part").write_bytes(b"junk")
    Path(f"{TARGET}.part.json").write_text(note)
    assert fetch([tiles(f"{server.url}/ok/tiles.zip")]).read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == [""]


FINAL = {
    "missing": "answered 404 Not Found",
    "forbidden": "answered 403 Forbidden",
    "broken": "answered 500 Internal Server Error (asked 3 times)",
    "circle": "redirects in a circle",
    "to-a-file": "cannot be asked",
    "login": "sent a web page, not the archive",
    "hidden-login": "wrong checksum",
    "other": "wrong checksum",
    "short": "wrong checksum",
    "long": "broke the connection (asked 3 times)",
    "trickle": "bytes in 0.3 s (asked 3 times)",
}


@pytest.mark.parametrize("fault", FINAL)
def test_what_does_not_heal_is_named_and_the_next_url_is_tried(
    fault: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_patience(fault, monkeypatch)
    faulty = f"{server.url}/{fault}/tiles.zip"
    with pytest.raises(UserError) as caught:
        fetch([tiles(faulty)])
    message = str(caught.value)
    assert f"{faulty}: " in message
    assert FINAL[fault] in message
    assert message.startswith("tiles.zip could not be had (asked: data/downloads: not there; ")
    assert not TARGET.exists()
    assert fetch([tiles(faulty, f"{server.url}/ok/tiles.zip")]).read_bytes() == DATA
    assert left() == ["tiles.zip"]


@pytest.mark.parametrize("fault", ["other", "hidden-login", "ok"])
def test_a_wrong_size_is_refused_before_the_body_arrives(fault: str, server: Server) -> None:
    with pytest.raises(UserError, match=f"offers [0-9,]+ bytes, expected {len(DATA) + 1:,}"):
        fetch([tiles(f"{server.url}/{fault}/tiles.zip", size=len(DATA) + 1)])
    assert left() == []


@pytest.mark.parametrize("fault", ["short", "hidden-login"])
def test_without_a_checksum_the_file_must_be_a_whole_archive(fault: str, server: Server) -> None:
    archive = tiles(f"{server.url}/{fault}/tiles.zip", checksum="")
    with pytest.raises(UserError, match=r"cannot be unpacked|no archive that can be read"):
        unpacked([archive])


def test_urls_that_are_none_and_hosts_that_are_not_there(server: Server) -> None:
    urls = (NOWHERE, "http://no-such-host.invalid/x", "ftp://x/y", "http://[x/y", "nothing", "")
    with pytest.raises(UserError) as caught:
        fetch([tiles(*urls)])
    for url in urls:
        assert f"{url}: cannot be " in str(caught.value)
    assert str(caught.value).count("cannot be reached") == 2
    assert fetch([tiles(*urls, f"{server.url}/ok/tiles.zip")]).read_bytes() == DATA


def test_a_mirror_url_comes_first_and_is_asked_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_MIRROR", f"{server.url}/ok/our sets/")
    for _ in range(3):
        assert fetch([tiles(f"{server.url}/other/tiles.zip")]).read_bytes() == DATA
    assert [path for path, _ in server.asked] == ["/ok/our%20sets/tiles.zip"]


def test_without_a_checksum_a_download_must_stay_what_it_was(server: Server) -> None:
    archive = tiles(f"{server.url}/ok/tiles.zip", checksum="")
    for _ in range(2):
        assert fetch([archive]).read_bytes() == DATA
    assert len(server.asked) == 1
    TARGET.write_bytes(OTHER)
    with pytest.raises(UserError, match=r"is not what was downloaded \(delete .*\.sha256 too\)"):
        fetch([archive])
    TARGET.unlink()
    assert fetch([archive]).read_bytes() == DATA


@pytest.mark.parametrize("size", [0, len(DATA)])
def test_a_full_disk_is_noticed_first(
    size: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = disk.SPARE + len(DATA) - 1
    usage = shutil.disk_usage(".")._replace(free=free)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="GB are free: make room"):
        fetch([tiles(f"{server.url}/ok/tiles.zip", size=size)])
    assert left() == []


def fetch_and_unpack(folder: str, url: str) -> None:
    os.chdir(folder)
    assert fetch([tiles(url)]).read_bytes() == DATA
    assert (unpacked([tiles(url)]) / "top" / "empty").exists()


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    arguments = (str(tmp_path), f"{server.url}/slow-ok/tiles.zip")
    both = [context.Process(target=fetch_and_unpack, args=arguments) for _ in range(3)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0, 0]
    assert len(server.asked) == 1
    assert left() == ["tiles.zip", "unpacked"]
    assert len(list((TARGET.parent / "unpacked").iterdir())) == 1


def test_progress_tells_bytes_speed_and_time_left(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("blemish.core.progress.LINE_EVERY", 0.0)
    fetch([tiles(f"{server.url}/ok/tiles.zip")])
    assert "downloading tiles.zip: 0 MB of 0 MB, " in capsys.readouterr().err
