"""What is known of a published archive."""

from dataclasses import dataclass
from pathlib import Path

DOWNLOADS = Path("data/downloads")

# Longest first: `x.tar.gz` is x, not x.tar.
SUFFIXES = (
    *(".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".txz", ".tbz2"),
    *(".tar", ".zip", ".7z", ".rar"),
)
# What a person has to unpack: no well-kept package reads these without a program of the machine's.
BY_HAND = (".rar", ".tar.zst")
# How cloud drives and people pack a folder.
PACKINGS = (".zip", ".tar.gz", ".tar", ".7z", ".rar")


@dataclass(frozen=True)
class Archive:
    """A published archive.

    `checksum` is `md5:…` or `sha256:…`, "" where the publisher gives none. `size` is in bytes, 0
    where unknown. `content` is the digest of the unpacked bytes (`content_digest`), for publishers
    whose archives are packed anew at each download and so have no stable checksum or size.
    `by_hand` says where a person finds the file.
    """

    file: str
    checksum: str = ""
    size: int = 0
    urls: tuple[str, ...] = ()
    content: str = ""
    by_hand: str = ""

    @property
    def stem(self) -> str:
        """The file's name without the archive suffix: the folder a person would unpack it to."""
        for suffix in SUFFIXES:
            if self.file.lower().endswith(suffix):
                return self.file[: -len(suffix)]
        return Path(self.file).stem


def hand_placed(stem: str, origin: str) -> tuple[Archive, ...]:
    """An archive that only a person can fetch from `origin`, in whatever packing it comes."""
    return tuple(Archive(file=f"{stem}{packing}", by_hand=origin) for packing in PACKINGS)
