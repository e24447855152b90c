"""Hostile archives: every kind of attack on every format is refused by the member's name."""

import lzma
import stat
import tarfile
from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.download import members
from blemish.download.unpack import unpack
from tests.archives import (
    FORMATS,
    renamed,
    sevenzipped,
    tarred,
    with_flags,
    zipped,
)  # fmt: skip

OUTSIDE = [
    "../evil", "top/../../evil", "top/..", "/tmp/blemish-evil", "//tmp/blemish-evil", "C:/evil",
    "c:evil", "../../../../../../tmp/blemish-evil", "top/./../../evil", "..",
]  # fmt: skip
BACKSLASH = ["top\\..\\..\\evil", "..\\evil", "C:\\evil", "\\\\host\\share\\evil"]
CONTROLLED = ["top/a\nb", "top/\x1b[31mred", "top/a\tb", "top/\x7f", "top/\x85", "\x01"]
LONG = ["x" * 256, "top/" + "é" * 128, "top/" + "d/" * 600 + "x", "ab/" * 400 + "x"]
COLLIDING = {
    "two files by case": ["top/One", "top/one"],
    "two folders by case": ["top/A/x", "top/a/y"],
    "two files by accent": ["top/é", "top/e\u0301"],
    "two files by fold": ["top/straße", "top/STRASSE"],
    "file then folder": ["top/a", "top/a/b"],
    "folder then file": ["top/a/b", "top/a"],
    "file then folder by case": ["top/a", "top/A/b"],
    "folder then file by case": ["top/A/b", "top/a"],
    "file then deep folder": ["a", "a/b/c/d"],
}
WORDS = {
    "outside": "leads outside|Specified path is bad",
    "control": "not UTF-8 or holds control",
    "long": "too long a name",
    "collision": "only in case or accents|is a file and a folder|needs a folder where",
}


def refused(data: bytes, folder: Path) -> str:
    """The one line that refuses an archive; nothing may have appeared outside the folder."""
    (folder / "in").mkdir()
    (folder / "in" / "archive").write_bytes(data)
    with pytest.raises(UserError) as caught:
        unpack(folder / "in" / "archive", folder / "in" / "out")
    message = str(caught.value)
    assert message.startswith(f"{folder / 'in' / 'archive'}: ")
    assert len(message) < 500 + len(str(folder))
    assert message.isprintable()
    assert [path.name for path in folder.iterdir()] == ["in"]
    assert not list(Path("/tmp").glob("blemish-evil"))
    return message


CASES = [
    *(("outside", [name]) for name in OUTSIDE),
    *(("control", [name]) for name in CONTROLLED),
    *(("long", [name]) for name in LONG),
    *(("collision", names) for names in COLLIDING.values()),
]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("group", "names"), CASES)
def test_names_are_refused(kind: str, group: str, names: list[str], tmp_path: Path) -> None:
    message = refused(FORMATS[kind]([(name, b"x") for name in names]), tmp_path)
    assert any(words in message for words in WORDS[group].split("|")), message
    if group != "long":
        assert repr(names[-1]) in message


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", BACKSLASH)
def test_backslashes_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    """Unix takes them as letters, other systems as folders; 7z means folders by them."""
    shown = name.replace("\\", "/") if kind == "7z" else name
    message = refused(FORMATS[kind]({name: b"x"}), tmp_path)
    assert f"member {shown!r} leads outside the folder" in message


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["top/one", "x"])
def test_a_name_that_is_there_twice_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    other = name[:-1] + "_"
    data = FORMATS[kind]([(name, b"1"), (other, b"2")])
    if kind == "7z":
        data = sevenzipped([(name, b"1"), (name, b"2")])
    elif kind == "tar":
        data = tarred([(name, b"1"), (name, b"2")])
    else:
        data = renamed(data, other.encode(), name.encode())
    assert f"{name!r} is there twice" in refused(data, tmp_path)


SPECIAL = [
    stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK,
]  # fmt: skip


@pytest.mark.parametrize("mode", SPECIAL)
@pytest.mark.parametrize("kind", ["zip", "7z"])
def test_links_and_devices_are_refused(kind: str, mode: int, tmp_path: Path) -> None:
    make = zipped if kind == "zip" else sevenzipped
    message = refused(make({"top/link": b"/etc/passwd"}, mode=mode | 0o777), tmp_path)
    assert "'top/link' is a link or a device" in message


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, "inside"), (tarfile.LNKTYPE, "../evil"),
        (tarfile.LNKTYPE, "top/one"), (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""), (tarfile.GNUTYPE_SPARSE, ""),
    ],
)  # fmt: skip
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, target: str, tmp_path: Path) -> None:
    data = tarred({"top/link": b""}, kind, target)
    assert "'top/link' is a link or a device" in refused(data, tmp_path)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    cases: dict[str, bytes] = {
        "zip that says so": renamed(zipped({"top/é": b""}), "é".encode(), b"\xe9x"),
        "zip that does not": renamed(zipped({"top/ab": b""}), b"ab", b"\xe9x"),
        "tar": renamed_tar(b"\xe9x"),
    }
    for case, data in cases.items():
        (tmp_path / case).mkdir()
        assert "not UTF-8" in refused(data, tmp_path / case), case


def renamed_tar(name: bytes) -> bytes:
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + bytes(1024)


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    data = renamed(zipped({"top/one.exe_png": b""}), b"exe_png", b"exe\0png")
    assert "control characters" in refused(data, tmp_path)


@pytest.mark.parametrize("flags", [0x1, 0x41])
def test_an_encrypted_member(flags: int, tmp_path: Path) -> None:
    assert "'top/one' is encrypted" in refused(with_flags(flags), tmp_path)


def test_an_encrypted_7z(tmp_path: Path) -> None:
    data = sevenzipped({"top/one": b"1" * 99}, password="x")
    assert "'top/one' is encrypted" in refused(data, tmp_path)


def claiming(size: int, name: str = "top/bomb.png") -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()


def test_bombs(tmp_path: Path) -> None:
    zeros = bytes(members.FREE_BYTES + 1)
    cases = {
        "tar claim": (claiming(2**31 + 1), "'top/bomb.png' claims 2,147,483,649 bytes"),
        "zip ratio": (zipped({"top/bomb.png": zeros}), "'top/bomb.png' claims 100,000,001"),
        "zip total": (
            zipped([(f"top/{number}", zeros[: 10**7]) for number in range(11)]),
            "'top/10' claims 10,000,000 bytes",
        ),
        "zeros after the end": (
            lzma.compress(tarred({"top/one": b"1"}) + zeros, preset=0),
            "more than the 100,000,000 bytes allowed",
        ),
        "header": (
            big_header(), "a header claims 50,000,384 bytes",
        ),
    }  # fmt: skip
    for case, (data, words) in cases.items():
        (tmp_path / case).mkdir()
        assert words in refused(data, tmp_path / case), case


def big_header() -> bytes:
    """A pax header whose 50 MB tarfile would read into memory at once."""
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 50_000_000
    return member.tobuf()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MOST_MEMBERS", 20)
    files = [(f"top/{number}", b"") for number in range(21)]
    assert "'top/20' is one of more than 20" in refused(FORMATS[kind](files), tmp_path)


def test_a_second_archive_in_front_is_refused(tmp_path: Path) -> None:
    both = zipped({"top/shown": b"1"}) + zipped({"top/hidden": b"2"})
    assert "stands before its first member" in refused(both, tmp_path)
