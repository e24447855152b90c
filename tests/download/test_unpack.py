"""Unpacking: whole archives of every format, damaged ones, and the digest of what is inside."""

import random
import shutil
from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.core.files import finished_folder
from blemish.download.tar import TarStream
from blemish.download.unpack import content_digest, unpack
from tests.archives import FILES, WHOLE, gzipped, tarred, zipped

DROPPINGS = {
    "__MACOSX/top/._one.txt": b"x",
    "top/._one.txt": b"x",
    "top/.DS_Store": b"x",
    "top/._folder/y": b"x",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpacked(data: bytes, folder: Path) -> dict[str, bytes]:
    """What `unpack` makes of an archive's bytes, as the stages use it; nothing else may appear."""
    (folder / "archive").write_bytes(data)
    target = folder / "work" / "out"
    with finished_folder(target) as inside:
        count = unpack(folder / "archive", inside)
    found = contents(target)
    assert count == len(found)
    return found


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_archive_is_unpacked(kind: str, tmp_path: Path) -> None:
    assert unpacked(WHOLE[kind](FILES), tmp_path) == FILES


@pytest.mark.parametrize("kind", WHOLE)
def test_what_macos_adds_is_left_out(kind: str, tmp_path: Path) -> None:
    assert unpacked(WHOLE[kind]({**FILES, **DROPPINGS}), tmp_path) == FILES


@pytest.mark.parametrize("kind", WHOLE)
def test_names_with_spaces_and_of_any_language_are_kept(kind: str, tmp_path: Path) -> None:
    files = {"top/Größe 1.png": b"1", "top/屏幕/坏 点.png": b"2", "top/a'b\"c*?.png": b"3"}
    assert unpacked(WHOLE[kind](files), tmp_path) == files


def damaged(whole: bytes, chance: random.Random) -> list[bytes]:
    """Cut at 40 places; with one to three bytes changed 80 times; with something after it."""
    found = [whole[: chance.randrange(len(whole))] for _ in range(40)]
    for _ in range(80):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(whole))] ^= chance.randrange(1, 256)
        found.append(bytes(changed))
    return found


@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_archive_is_complete_or_named_and_leaves_nothing(
    kind: str, tmp_path: Path
) -> None:
    """Never a traceback, and never a tree with files missing. A plain tar has no checksum over
    its files' bytes, so there only names and sizes can be known to be right."""
    refused = []
    for data in damaged(WHOLE[kind](FILES), random.Random(0)):
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        try:
            found = unpacked(data, tmp_path)
        except UserError as error:
            refused.append((str(error), list((tmp_path / "work").iterdir())))
        else:
            if kind == "tar":
                assert {n: len(b) for n, b in found.items()} == {
                    n: len(b) for n, b in FILES.items()
                }
            else:
                assert found == FILES
    assert len(refused) >= 30
    assert all(str(tmp_path / "archive") in message and left == [] for message, left in refused)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("tail", [b"x", b"<html>502 Bad Gateway</html>" * 50, zipped(FILES)])
def test_what_follows_an_archive_is_refused(kind: str, tail: bytes, tmp_path: Path) -> None:
    """A server's error page, or a second archive that another program would unpack instead."""
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpacked(WHOLE[kind](FILES) + tail, tmp_path)


@pytest.mark.parametrize("blocks", [1, 2, 40])
@pytest.mark.parametrize("cut", [0, 1, 511, 512])
def test_a_tar_without_its_end_is_refused(blocks: int, cut: int, tmp_path: Path) -> None:
    """Python's reader takes any cut between two members for the end."""
    whole = tarred({"top/a": b"x" * 512 * blocks, "top/b": b"y"})
    with pytest.raises(UserError, match=r"cut short|unexpected end"):
        unpacked(whole[: 512 * (1 + blocks) + cut], tmp_path)


@pytest.mark.parametrize("size", [511, 512, 513, 1023, 1024, 10**6, 2**20, 2**20 + 1])
def test_members_that_end_at_block_borders(size: int, tmp_path: Path) -> None:
    files = {"top/a": bytes(range(256)) * (size // 256) + b"x" * (size % 256), "top/b": b"end"}
    for kind in ("tar", "tar.gz", "tar.xz", "tar.bz2"):
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        assert unpacked(WHOLE[kind](files), tmp_path) == files


def test_several_compressed_streams_in_one_file(tmp_path: Path) -> None:
    """What parallel packers write."""
    import bz2
    import lzma

    whole = tarred(FILES)
    for pack, padding in ((bz2.compress, b""), (lzma.compress, b"\0" * 8)):
        data = pack(whole[:1000]) + padding + pack(whole[1000:]) + padding
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        assert unpacked(data, tmp_path) == FILES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no zip, tar or 7z archive"),
        (b"<html>404</html>" * 99, "no zip, tar or 7z archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "by hand into data/downloads/archive/"),
        (b"Rar!\x1a\x07\x00" + bytes(600), "by hand into data/downloads/archive/"),
        (b"Rar!\x1a\x07\x01\x00../../evil", "by hand into data/downloads/archive/"),
        (gzipped(FILES)[:2] + b"\0" * 90, "cannot be unpacked"),
    ],
    ids=["nothing", "web page", "zstd", "rar 4", "rar 5", "gzip header"],
)
def test_what_cannot_be_unpacked_says_so(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        unpacked(data, tmp_path)


def test_a_repacked_archive_has_the_same_content_digest(tmp_path: Path) -> None:
    digests = set()
    other = {name.replace("top/", "other-top/"): data for name, data in reversed(FILES.items())}
    for kind, make in WHOLE.items():
        for files in (FILES, other):
            (tmp_path / kind).write_bytes(make(files))
            digests.add(content_digest(tmp_path / kind))
    assert len(digests) == 1
    (tmp_path / "changed").write_bytes(zipped({**FILES, "top/empty": b"x"}))
    assert content_digest(tmp_path / "changed") not in digests


def test_a_tar_is_read_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the member: no read of the stream is larger than a block."""
    largest = 0

    class Watched(TarStream):
        def read(self, size: int) -> bytes:
            nonlocal largest
            largest = max(largest, size)
            return super().read(size)

    monkeypatch.setattr("blemish.download.tar.TarStream", Watched)
    data = {"top/a": b"x" * 9_000_000}
    assert unpacked(WHOLE["tar.xz"](data), tmp_path) == data
    assert 0 < largest <= 2**20


def test_an_xz_file_may_not_claim_any_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.download.tar.LZMA_MEMORY", 2**16)
    with pytest.raises(UserError, match="emory usage limit"):
        unpacked(WHOLE["tar.xz"](FILES), tmp_path)
