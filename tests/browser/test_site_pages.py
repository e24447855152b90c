"""The site in a real browser: pages fit a phone and a desk, pictures load, nothing fails."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_report_page import CHROMIUM, chromium
from tests.docs.test_site import build

PAGES = ("index", "concepts", "tutorials/own-part", "data", "own-size", "api")
# Each page in a frame of its own, one after the other, from a page that lies beside them.
PROBE = """<!DOCTYPE html><body style="margin:0"><pre id="result"></pre><script>
const look = (name) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.style = "width:WIDTHpx;height:900px;border:0";
  frame.onload = async () => {
    const page = frame.contentDocument;
    const pictures = [...page.images];
    await Promise.all(pictures.map((picture) => picture.complete || new Promise((loaded) => {
      picture.onload = picture.onerror = loaded;
    })));
    const main = page.querySelector("article");
    done({
      name,
      title: main.querySelector("h1").textContent,
      words: main.textContent.split(/\\s+/).length,
      pictures: pictures.length,
      broken: pictures.filter((picture) => !picture.naturalWidth).map((picture) => picture.src),
      overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      background: getComputedStyle(page.body).backgroundColor,
    });
    frame.remove();
  };
  frame.src = name + ".html";
  document.body.append(frame);
});
(async () => {
  const results = [];
  for (const name of NAMES) results.push(await look(name));
  document.querySelector("#result").textContent = JSON.stringify(results);
})();
</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    assert build(folder).returncode == 0
    return folder / "site"


def probe(site: Path, profile: Path, width: int, *options: str) -> list[dict[str, Any]]:
    """What the pages look like in a frame of the given width in pixels."""
    wrapper = site / f"probe-{width}.html"
    text = PROBE.replace("WIDTH", str(width)).replace("NAMES", json.dumps(PAGES))
    wrapper.write_text(text, encoding="utf-8")
    done = chromium(profile, *options, "--dump-dom", wrapper.as_uri())
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    assert found[1], f"the pages did not finish loading\n{done.stderr}"
    assert not re.findall(r".*(?:ERR_|SyntaxError|TypeError|ReferenceError).*", done.stderr)
    results: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return results


@pytest.mark.parametrize("width", [1280, 400])
def test_pages_fit_and_their_pictures_load(site: Path, tmp_path: Path, width: int) -> None:
    results = probe(site, tmp_path / "profile", width)
    assert [result["name"] for result in results] == list(PAGES)
    for result in results:
        assert result["overflow"] <= 0, result
        assert result["broken"] == [], result
        assert result["title"].strip()
        assert result["words"] > 150, result
    assert sum(result["pictures"] for result in results) >= 3


def test_pages_are_light_or_dark_as_the_reader_prefers(site: Path, tmp_path: Path) -> None:
    light, dark = (
        {
            result["background"]
            for result in probe(
                site, tmp_path / name, 1280, f"--blink-settings=preferredColorScheme={scheme}"
            )
        }
        for name, scheme in (("light", 1), ("dark", 0))
    )
    assert len(light) == len(dark) == 1
    assert light != dark
