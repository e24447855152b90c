"""Where archives are looked for, in which order, and how they are verified and unpacked once."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.core.files import sha256
from blemish.datasets import magnetic_tile
from blemish.download.archive import Archive, hand_placed
from blemish.download.fetch import fetch, unpacked
from blemish.download.places import availability
from blemish.download.unpack import content_digest
from tests.archives import FILES, WHOLE, tarred, zipped

DATA = zipped(FILES)
DOWNLOADS = Path("data/downloads")
NOWHERE = "http://127.0.0.1:9/tiles.zip"  # nothing listens on the discard port
MIRROR = Path("mirror")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without a mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


def archive_of(data: bytes, file: str = "tiles.zip", **facts: str) -> Archive:
    return Archive(file, f"sha256:{hashlib.sha256(data).hexdigest()}", **facts)  # type: ignore[arg-type]


def put(folder: Path, data: bytes, name: str = "tiles.zip") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_mirror_is_asked_before_the_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = put(DOWNLOADS, DATA)
    assert fetch([archive_of(DATA)]) == by_hand
    monkeypatch.setenv("BLEMISH_MIRROR", str(MIRROR))
    assert fetch([archive_of(DATA)]) == by_hand
    mirrored = put(MIRROR, DATA)
    assert fetch([archive_of(DATA)]) == mirrored


def test_the_first_archive_that_is_available_is_taken() -> None:
    small = put(DOWNLOADS, tarred(FILES), "some.tar")
    archives = [Archive("all.tar.gz", "md5:0"), Archive("some.tar", f"sha256:{sha256(small)}")]
    assert fetch(archives).name == "some.tar"
    assert tree(unpacked(archives)) == FILES


def test_a_missing_archive_says_where_it_was_looked_for_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path / "mirror"))
    known = archive_of(b"", by_hand="example.org/tiles")
    archives = [Archive(known.file, known.checksum, 0, (NOWHERE,), by_hand=known.by_hand)] * 2
    expected = (
        f"tiles.zip could not be had (asked: BLEMISH_MIRROR {tmp_path / 'mirror'}: not there; "
        f"data/downloads: not there; {NOWHERE}: cannot be reached): put it into data/downloads/ "
        "(from example.org/tiles) or set BLEMISH_MIRROR to a folder or URL that has it"
    )
    for ask in (fetch, unpacked):
        with pytest.raises(UserError) as caught:
            ask(archives)
        assert str(caught.value) == expected
    assert [path.name for path in DOWNLOADS.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("content", ["", "0" * 64])
@pytest.mark.parametrize("data", [b"junk", DATA[:-40], zipped({"top/../../evil": b"x"})])
def test_a_wrong_checksum_names_the_file(data: bytes, content: str) -> None:
    put(DOWNLOADS, data)
    with pytest.raises(UserError) as caught:
        fetch([Archive("tiles.zip", "sha256:" + "0" * 64, content=content)])
    found = hashlib.sha256(data).hexdigest()[:12]
    assert str(caught.value) == (
        f"data/downloads/tiles.zip: wrong checksum (sha256 {found}…, expected 000000000000…): the "
        "file is damaged or another version; delete it and fetch it again"
    )
    assert (DOWNLOADS / "tiles.zip").exists()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"size": 5}, "has 4 bytes, expected 5"),
        ({"size": 5, "checksum": f"sha256:{hashlib.sha256(b'junk').hexdigest()}"}, "has 4 bytes"),
        ({}, "is no archive that can be read"),
        ({"content": "0" * 64}, "wrong content"),
    ],
)
@pytest.mark.parametrize("place", [MIRROR, DOWNLOADS])
def test_what_is_known_of_an_archive_is_verified(
    facts: dict[str, str], reason: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_MIRROR", str(MIRROR))
    path = put(place, b"junk")
    with pytest.raises(UserError, match=f"^{path}: {reason}"):
        fetch([Archive("tiles.zip", urls=(NOWHERE,), **facts)])  # type: ignore[arg-type]


def test_a_byte_changed_inside_a_member_is_a_wrong_checksum() -> None:
    """The content is looked at only after the checksum failed, so the archive may be broken."""
    whole = zipped(FILES, zipfile.ZIP_STORED)
    content = content_digest(put(DOWNLOADS, whole))
    put(DOWNLOADS, whole.replace(b"oneone", b"onEone", 1))
    with pytest.raises(UserError, match="wrong checksum"):
        fetch([archive_of(whole, content=content)])


@pytest.mark.parametrize("checksum", ["sha256:" + "0" * 64, ""])
def test_an_archive_packed_anew_is_known_by_its_content(checksum: str) -> None:
    content = content_digest(put(DOWNLOADS, DATA))
    put(DOWNLOADS, zipped(dict(reversed(FILES.items())), zipfile.ZIP_STORED))
    archive = Archive("tiles.zip", checksum, len(DATA), content=content)
    assert fetch([archive]) == DOWNLOADS / "tiles.zip"
    assert tree(unpacked([archive])) == FILES


def test_md5_is_checked_too() -> None:
    path = put(DOWNLOADS, b"abc")
    assert fetch([Archive("tiles.zip", "md5:900150983cd24fb0d6963f7d28e17f72")]) == path


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("has_checksum", [True, False])
def test_a_tree_is_unpacked_once(kind: str, has_checksum: bool) -> None:
    data = WHOLE[kind](FILES)
    suffix = kind.removeprefix("stored ").removeprefix("bzip2 ")
    file = f"tiles-1.0.{suffix}"
    put(DOWNLOADS, data, file)
    archive = archive_of(data, file) if has_checksum else Archive(file)
    folder = unpacked([archive])
    digits = hashlib.sha256(data).hexdigest()[:12]
    assert folder == DOWNLOADS / "unpacked" / f"tiles-1.0-{digits}"
    assert tree(folder) == FILES
    before = folder.stat().st_mtime_ns
    assert unpacked([archive]) == folder
    assert folder.stat().st_mtime_ns == before
    assert list((DOWNLOADS / "unpacked").iterdir()) == [folder]


def test_an_unpacked_tree_needs_its_archive_no_more() -> None:
    path = put(DOWNLOADS, DATA)
    folder = unpacked([archive_of(DATA)])
    path.unlink()
    assert unpacked([Archive("other.zip", "md5:0"), archive_of(DATA)]) == folder
    assert availability([archive_of(DATA)]) == "ready"


@pytest.mark.parametrize("data", [zipped({"top/../../evil": b""}), DATA[:-60], zipped({})])
def test_a_refused_archive_leaves_no_tree(data: bytes) -> None:
    put(DOWNLOADS, data)
    with pytest.raises(UserError, match=r"^data/downloads/tiles.zip: "):
        unpacked([archive_of(data)])
    assert not (DOWNLOADS / "unpacked").exists() or not os.listdir(DOWNLOADS / "unpacked")


@pytest.mark.parametrize("place", [MIRROR, DOWNLOADS])
@pytest.mark.parametrize("file", ["tiles.zip", "tiles.tar.xz", "tiles.7z", "tiles.RAR"])
def test_a_folder_unpacked_by_hand_is_taken_as_it_is(
    place: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_MIRROR", str(MIRROR))
    archive = Archive(file, "md5:0", urls=(NOWHERE,))
    (place / "tiles").mkdir(parents=True)
    assert availability([archive]) == "downloadable"  # an empty folder is no data set
    put(place / "tiles", b"1", "top/one")
    assert availability([archive]) == "ready"
    assert unpacked([archive]) == place / "tiles"


def test_an_archive_goes_before_a_folder_of_its_name() -> None:
    put(DOWNLOADS / "tiles", b"1", "top/one")
    put(DOWNLOADS, DATA)
    assert tree(unpacked([archive_of(DATA)])) == FILES


def test_availability_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    public = Archive("tiles.zip", "md5:0", urls=(NOWHERE,))
    by_hand = Archive("tiles.zip", "md5:0")
    assert availability([public]) == availability([by_hand, public]) == "downloadable"
    assert availability([by_hand]) == "by hand"
    assert availability([]) == "ready"
    monkeypatch.setenv("BLEMISH_MIRROR", "http://127.0.0.1:9/sets")
    assert availability([by_hand]) == "downloadable"
    put(DOWNLOADS, b"junk")
    assert availability([by_hand]) == "ready"


def test_a_rar_is_ready_once_somebody_has_unpacked_it() -> None:
    alternatives = hand_placed("tiles", "example.org")
    rar = put(DOWNLOADS, b"Rar!\x1a\x07\x01\x00" + bytes(99), "tiles.rar")
    assert availability(alternatives) == "by hand"
    with pytest.raises(UserError, match=rf"{rar}: .*unpack it by hand into data/downloads/tiles/"):
        unpacked(alternatives)
    put(DOWNLOADS / "tiles", b"1", "top/one")
    assert availability(alternatives) == "ready"
    assert unpacked(alternatives) == DOWNLOADS / "tiles"


def test_the_real_archive_repacked_is_accepted(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub packs a repository anew at each download: other bytes, the same files."""
    repacked = MIRROR / "magnetic-tile.zip"
    repacked.parent.mkdir()
    with (
        zipfile.ZipFile(mirror / "magnetic-tile.zip") as source,
        zipfile.ZipFile(repacked, "w", zipfile.ZIP_STORED) as target,
    ):
        for name in reversed(source.namelist()):
            if not name.endswith("/"):
                target.writestr(f"renamed/{name.partition('/')[2]}", source.read(name))
    assert sha256(repacked) != sha256(mirror / "magnetic-tile.zip")
    monkeypatch.setenv("BLEMISH_MIRROR", str(MIRROR))
    assert fetch([magnetic_tile.ARCHIVE]) == repacked
    with zipfile.ZipFile(repacked, "a") as target:
        target.writestr("renamed/MT_Free/Imgs/extra.jpg", b"x")
    with pytest.raises(UserError, match="wrong checksum"):
        fetch([magnetic_tile.ARCHIVE])
