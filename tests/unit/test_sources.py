"""Archives: where they are looked for, what is verified, and what is refused."""

import gzip
import hashlib
import io
import lzma
import random
import shutil
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest

from blemish.data.sets import magnetic_tile
from blemish.data.sources import Archive, content_digest, obtain, unpack
from blemish.errors import UserError
from blemish.files import finished_folder, sha256

FILES = {"top/a/one.txt": b"one" * 999, "top/b/two.txt": bytes(range(256)), "top/empty": b""}
CONTENT = {f"{name.removeprefix('top/')}": data for name, data in FILES.items()}
NOWHERE = "http://127.0.0.1:9/tiles.zip"  # nothing listens on the discard port


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def everything(name: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(*name.parts[1:]) if len(name.parts) > 1 else name


def unpacked(data: bytes, folder: Path) -> dict[str, bytes]:
    """What `unpack` makes of an archive's bytes, as the stages use it; nothing else may appear."""
    (folder / "archive").write_bytes(data)
    target = folder / "work" / "out"
    with finished_folder(target) as inside:
        count = unpack(folder / "archive", inside, everything)
    found = {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }
    assert count == len(found)
    return found


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without a mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


WHOLE: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "stored zip": partial(zipped, compression=zipfile.ZIP_STORED),
    "bzip2 zip": partial(zipped, compression=zipfile.ZIP_BZIP2),
    "tar": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files), mtime=0),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_archive_is_unpacked(kind: str, tmp_path: Path) -> None:
    assert unpacked(WHOLE[kind](FILES), tmp_path) == CONTENT


def test_only_wanted_members_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tarred(FILES))
    count = unpack(tmp_path / "x.tar", tmp_path / "out", lambda name: name if name.suffix else None)
    assert count == 2
    assert not (tmp_path / "out" / "top" / "empty").exists()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_archive_is_named_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    """Cut anywhere, or with any bytes changed: the right files or one line, never a traceback."""
    whole = WHOLE[kind](FILES)
    chance = random.Random(0)
    damaged = [whole[: chance.randrange(len(whole))] for _ in range(40)]
    for _ in range(160):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(whole))] = chance.randrange(256)
        damaged.append(bytes(changed))
    complaints = []
    for data in damaged:
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        try:
            unpacked(data, tmp_path)
        except UserError as error:
            complaints.append((str(error), list((tmp_path / "work").iterdir())))
    assert len(complaints) >= 20
    assert {left == [] for _, left in complaints} == {True}
    assert {str(tmp_path / "archive") in message for message, _ in complaints} == {True}


def link_member(archive: tarfile.TarFile, kind: bytes, target: str) -> None:
    member = tarfile.TarInfo("top/link")
    member.type, member.linkname = kind, target
    archive.addfile(member)


def tar_with(kind: bytes, target: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link_member(archive, kind, target)
    return buffer.getvalue()


def zip_with_mode(mode: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("top/link")
        member.external_attr = mode << 16
        archive.writestr(member, "/etc/passwd")
    return buffer.getvalue()


def twice(maker: Callable[[dict[str, bytes]], bytes]) -> bytes:
    """Two members of one name: renamed in the bytes, since the writers would warn."""
    return maker({"top/one": b"1", "top/two": b"2"}).replace(b"top/two", b"top/one")


def tar_twice() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("top/one"))
    return buffer.getvalue()


def huge() -> bytes:
    member = tarfile.TarInfo("top/bomb.png")
    member.size = 2**31 + 1
    return member.tobuf()


def encrypted() -> bytes:
    """A zip whose only member says that it is encrypted (bit 0 of its flags, in both headers)."""
    data = bytearray(zipped({"top/one": b"1"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "zip ../": (zipped({"top/../../evil": b"x"}), "leads outside"),
    "zip absolute": (zipped({"/tmp/blemish-evil": b"x"}), "leads outside"),
    "zip backslash": (zipped({"top\\..\\..\\evil": b"x"}), "leads outside"),
    "zip symlink": (zip_with_mode(stat.S_IFLNK | 0o777), "link or a device"),
    "zip device": (zip_with_mode(stat.S_IFCHR | 0o666), "link or a device"),
    "zip duplicate": (twice(zipped), "'top/one' is there twice"),
    "zip file as folder": (zipped({"top/a": b"x", "top/a/b": b"y"}), "cannot be unpacked"),
    "zip encrypted": (encrypted(), "encrypted"),
    "tar ../": (tarred({"top/../../evil": b"x"}), "leads outside"),
    "tar absolute": (tarred({"/tmp/blemish-evil": b"x"}), "leads outside"),
    "tar symlink": (tar_with(tarfile.SYMTYPE, "/etc"), "link or a device"),
    "tar hard link": (tar_with(tarfile.LNKTYPE, "../evil"), "link or a device"),
    "tar device": (tar_with(tarfile.CHRTYPE), "link or a device"),
    "tar pipe": (tar_with(tarfile.FIFOTYPE), "link or a device"),
    "tar duplicate": (tar_twice(), "'top/one' is there twice"),
    "tar bomb": (huge(), "claims 2,147,483,649 bytes"),
    "not an archive": (b"<html>404</html>" * 99, "cannot be unpacked"),
    "empty file": (b"", "cannot be unpacked"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    data, reason = HOSTILE[case]
    with pytest.raises(UserError) as caught:
        unpacked(data, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'archive'}: ")
    assert reason in message
    assert len(message) < 250 + len(str(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "work"]
    assert not list(Path("/tmp").glob("blemish-evil"))


def test_a_repacked_archive_has_the_same_content_digest(tmp_path: Path) -> None:
    digests = set()
    renamed = {name.replace("top/", "other-top/"): data for name, data in reversed(FILES.items())}
    for number, (maker, files) in enumerate(
        (maker, files) for maker in WHOLE.values() for files in (FILES, renamed)
    ):
        (tmp_path / str(number)).write_bytes(maker(files))
        digests.add(content_digest(tmp_path / str(number)))
    assert len(digests) == 1
    (tmp_path / "changed").write_bytes(zipped({**FILES, "top/empty": b"x"}))
    assert content_digest(tmp_path / "changed") not in digests


def archive_of(data: bytes, **facts: str) -> Archive:
    return Archive("tiles.zip", f"sha256:{hashlib.sha256(data).hexdigest()}", **facts)  # type: ignore[arg-type]


def put(folder: Path, data: bytes, name: str = "tiles.zip") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def test_the_mirror_is_asked_before_the_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zipped(FILES)
    by_hand = put(tmp_path / "data" / "downloads", data)
    assert obtain([archive_of(data)]).resolve() == by_hand
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path / "mirror"))
    assert obtain([archive_of(data)]).resolve() == by_hand
    mirrored = put(tmp_path / "mirror", data)
    assert obtain([archive_of(data)]) == mirrored


def test_the_first_archive_that_can_be_had_is_taken(tmp_path: Path) -> None:
    small = put(tmp_path / "data" / "downloads", tarred(FILES), "some.tar")
    archives = [Archive("all.tar.gz", "md5:0"), Archive("some.tar", f"sha256:{sha256(small)}")]
    assert obtain(archives).name == "some.tar"


def test_a_missing_archive_says_where_it_was_looked_for_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path / "mirror"))
    archive = archive_of(b"", by_hand="example.org/tiles")
    archives = [Archive(archive.file, archive.checksum, (NOWHERE,), by_hand=archive.by_hand)] * 2
    with pytest.raises(UserError) as caught:
        obtain(archives)
    assert str(caught.value) == (
        f"tiles.zip could not be had (asked: BLEMISH_MIRROR {tmp_path / 'mirror'}, "
        f"data/downloads, {NOWHERE}): put it into data/downloads/ (from example.org/tiles) or "
        "set BLEMISH_MIRROR to a folder or URL that has it"
    )
    assert not list((tmp_path / "data" / "downloads").iterdir())


@pytest.mark.parametrize("content", ["", "0" * 64])
@pytest.mark.parametrize("data", [b"junk", zipped(FILES)[:-40], HOSTILE["zip ../"][0]])
def test_a_wrong_checksum_names_the_file(data: bytes, content: str, tmp_path: Path) -> None:
    put(tmp_path / "data" / "downloads", data)
    with pytest.raises(UserError) as caught:
        obtain([Archive("tiles.zip", "sha256:" + "0" * 64, content=content)])
    found = hashlib.sha256(data).hexdigest()[:12]
    assert str(caught.value) == (
        f"data/downloads/tiles.zip: wrong checksum (sha256 {found}…, expected 000000000000…): the "
        "file is damaged or another version; delete it and fetch it again"
    )


def test_a_byte_changed_inside_a_member_is_a_wrong_checksum(tmp_path: Path) -> None:
    """The content is looked at only after the checksum failed, so the archive may be broken."""
    whole = zipped(FILES, zipfile.ZIP_STORED)
    put(tmp_path / "data" / "downloads", whole)
    content = content_digest(tmp_path / "data" / "downloads" / "tiles.zip")
    put(tmp_path / "data" / "downloads", whole.replace(b"oneone", b"onEone", 1))
    with pytest.raises(UserError, match="wrong checksum"):
        obtain([archive_of(whole, content=content)])


def test_md5_is_checked_too(tmp_path: Path) -> None:
    path = put(tmp_path / "data" / "downloads", b"abc")
    known = Archive("tiles.zip", "md5:900150983cd24fb0d6963f7d28e17f72")
    assert obtain([known]).resolve() == path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine over `tmp_path/served`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "served").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_mirror_may_be_a_url(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zipped(FILES)
    put(tmp_path / "served" / "sets", data)
    monkeypatch.setenv("BLEMISH_MIRROR", f"{server}/sets/")
    path = obtain([archive_of(data)])
    assert path == Path("data/downloads/tiles.zip")
    assert path.read_bytes() == data


def test_public_urls_are_asked_in_order(server: str, tmp_path: Path) -> None:
    data = zipped(FILES)
    put(tmp_path / "served", data)
    urls = (NOWHERE, f"{server}/moved.zip", f"{server}/tiles.zip")
    path = obtain([Archive("tiles.zip", archive_of(data).checksum, urls)])
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["tiles.zip"]


def test_the_real_archive_repacked_is_accepted(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub packs a repository anew at each download: other bytes, the same files."""
    repacked = tmp_path / "mirror" / "magnetic-tile.zip"
    repacked.parent.mkdir()
    with (
        zipfile.ZipFile(mirror / "magnetic-tile.zip") as source,
        zipfile.ZipFile(repacked, "w", zipfile.ZIP_STORED) as target,
    ):
        for name in reversed(source.namelist()):
            if not name.endswith("/"):
                target.writestr(f"renamed/{name.partition('/')[2]}", source.read(name))
    assert sha256(repacked) != sha256(mirror / "magnetic-tile.zip")
    monkeypatch.setenv("BLEMISH_MIRROR", str(repacked.parent))
    assert obtain([magnetic_tile.ARCHIVE]) == repacked
    with zipfile.ZipFile(repacked, "a") as target:
        target.writestr("renamed/MT_Free/Imgs/extra.jpg", b"x")
    with pytest.raises(UserError, match="wrong checksum"):
        obtain([magnetic_tile.ARCHIVE])
