"""The site builds without a warning, every link and anchor in it leads somewhere, and it fetches
nothing from elsewhere."""

import os
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import DOCS, ROOT

CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a copy of the documentation in `folder`, as `make docs` does."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "zensical.toml", folder / "zensical.toml")
    (folder / "src").symlink_to(ROOT / "src")
    if not (folder / "docs").exists():
        shutil.copytree(DOCS, folder / "docs")
    program = Path(sys.executable).parent / "zensical"
    return subprocess.run(
        [program, "build", "--strict", "--clean"], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"NO_COLOR": "1"}, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stderr
    return folder / "site"


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.add(known["href"])
        elif tag == "link" and known.get("rel") not in {"canonical", "prev", "next"}:
            self.loaded.add(known.get("href", ""))
        elif "src" in known:
            self.loaded.add(known["src"])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All but the page for what is not there, which no link leads to."""
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def pages_in(entries: list[dict[str, object]]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        for target in entry.values():
            found += [str(target)] if isinstance(target, str) else pages_in(list(target))  # type: ignore[call-overload]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    listed = pages_in(CONFIG["project"]["nav"])
    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == there


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page]) -> None:
    dead = []
    for file, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                dead.append(f"{file.name}: {link}: no such file")
            elif parts.fragment and target in pages:
                known = pages[target].anchors | {""}
                if unquote(parts.fragment) not in known:
                    dead.append(f"{file.name}: {link}: no such place")
    assert dead == []
    assert sum(len(page.links) for page in pages.values()) > 500


def test_a_page_loads_nothing_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    foreign = {link for page in pages.values() for link in page.loaded if urlsplit(link).netloc}
    assert foreign == set()
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style


def test_the_reference_has_signatures_and_docstrings(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="blemish.predict.trained.open_detector"' in text
    assert "share of good images that may" in text


@pytest.mark.parametrize(
    "line", ["[gone](nowhere.md)", "[gone](concepts.md#nowhere)", "::: blemish.nothing"]
)
def test_a_wrong_page_fails(line: str, tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "site-of-faults" / "docs")
    with (tmp_path / "site-of-faults/docs/running.md").open("a") as stream:
        stream.write(f"\n{line}\n")
    assert build(tmp_path / "site-of-faults").returncode != 0
