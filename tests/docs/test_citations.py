"""Every § names a specification in docs/spec and a section that exists there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "docs" / "spec"
# `docs/spec/glass.md`, or a section: §4, §3.1, §3.3b; of §§7–9 or §§2, 5 each number.
TOKEN = re.compile(
    r"(?:docs/spec/)?(?P<file>[\w-]+)\.md|§+\s*(?P<numbers>\d[\w.]*(?:[–,] ?\d[\w.]*)*)"
)
HEADING = re.compile(r"^#+ (?P<number>\d+[\d.]*[a-z]?)\.? ", re.MULTILINE)
SECTIONS = {
    file.stem: {match["number"].rstrip(".") for match in HEADING.finditer(file.read_text())}
    for file in SPEC.glob("*.md")
}


def cited_files() -> Iterator[Path]:
    """The text files that git knows and that hold a §."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        is_text = path.suffix in {".py", ".md", ".yaml", ".toml"} and path.is_file()
        if is_text and path != Path(__file__) and "§" in path.read_text(encoding="utf-8"):
            yield path


def faults(path: Path) -> Iterator[str]:
    """Sections that name no specification, or one without them.

    A bare § is of the specification named last before it in the file; in a specification, of its
    own unless another one is named on the same line.
    """
    own = path.stem if path.parent == SPEC else ""
    current = own
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        current = own or current
        for token in TOKEN.finditer(line):
            if token["file"]:
                current = token["file"] if token["file"] in SECTIONS else current
                continue
            for section in re.split(r"[–,] ?", token["numbers"]):
                name = section.rstrip(".")
                if name not in SECTIONS.get(current, ()):
                    where = f"docs/spec/{current}.md has no" if current else "no file named before"
                    yield f"{path}:{number}: {where} §{name}"


def test_the_specifications_have_numbered_sections() -> None:
    assert SECTIONS.keys() == {
        *("glass", "dlas-net", "dsarad", "esad", "dmad", "patchcore", "datasets", "measures")
    }
    assert {"3.1", "12", "21"} <= SECTIONS["glass"]
    assert "3.3b" in SECTIONS["dmad"]


def test_every_section_cited_exists() -> None:
    assert [fault for path in cited_files() for fault in faults(path)] == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("see `docs/spec/glass.md` §4 and (§3.1)", 0),
        ("`docs/spec/glass.md` §§7–9, then `docs/spec/esad.md` §3", 0),
        ("(§4)", 1),
        ("`docs/spec/glass.md` §99", 1),
        ("`docs/spec/glass.md` §§7–99 and §3, 98", 2),
    ],
)
def test_a_wrong_citation_is_found(text: str, count: int, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(text, encoding="utf-8")
    assert len(list(faults(file))) == count
