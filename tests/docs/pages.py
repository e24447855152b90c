"""The documentation as tests read it: its pages, their blocks of code, their inline code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block: language and title are "" where there is none."""

    language: str
    title: str
    text: str


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    found = FENCE.finditer(text_of(page))
    return [Block(match["language"], match["title"] or "", match["text"]) for match in found]


def shell(page: Path) -> list[str]:
    """The `sh` blocks of a page."""
    return [block.text for block in blocks(page) if block.language == "sh"]


def code_in(page: Path) -> Iterator[str]:
    """All code of a page, a command a line: fenced, indented and inline."""
    prose = FENCE.sub("", text_of(page))
    for block in blocks(page):
        if block.language in ("", "sh"):
            yield from block.text.replace("\\\n", " ").splitlines()
    yield from re.findall(r"^ {4,}(\S.*)$", prose.replace("\\\n", " "), re.M)
    for span in re.findall(r"`([^`]+)`", prose):
        yield " ".join(span.split())
