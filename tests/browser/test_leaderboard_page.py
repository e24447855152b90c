"""The leaderboard in a real browser: it fits, its columns are chosen, many units have pages."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_report_page import CHROMIUM, chromium
from tests.browser.workspace import MASKED, UNMASKED, make_workspace
from tests.report.runs import build_in

METHODS = ["glass", "dlas", "dsarad", "dmad", "esad", "patchcore"]
PROBE = """<!DOCTYPE html><body style="margin:0"><pre id="result"></pre>
<iframe src="report/PAGE" style="width:WIDTHpx;height:900px;border:0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", async () => {
  const page = frame.contentDocument;
  page.querySelectorAll("details").forEach((details) => (details.open = true));
  await Promise.all([...page.images].map((picture) => {
    picture.loading = "eager";
    return picture.complete || new Promise((done) => (picture.onload = picture.onerror = done));
  }));
  const table = page.querySelector(".scroll:has(.board)");
  const columns = () => [...page.querySelectorAll(".board thead [data-of]:not([hidden]) button")]
    .map((button) => button.dataset.key);
  // The cells of each row, by the columns that they cover.
  const widths = () => [...new Set([...(page.querySelector(".board")?.rows ?? [])].map((row) =>
    [...row.cells].filter((cell) => !cell.hidden)
      .reduce((sum, cell) => sum + cell.colSpan, 0)))];
  const choose = (name) => page.querySelector(`.columns input[name=${name}]`).click();
  const result = {
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    hidden: table ? table.scrollWidth - table.clientWidth : 0,
    pictures: page.images.length,
    broken: [...page.images].filter((picture) => !picture.naturalWidth).map((img) => img.src),
    links: [...page.querySelectorAll("nav a, .board tbody a")].map((link) => link.href),
    columns: columns(),
    widths: widths(),
  };
  if (table) {
    choose("image_fpr95");
    choose("recall");
    result.chosen = columns();
    result.chosen_widths = widths();
    page.querySelectorAll(".columns input[name^=pixel]:checked").forEach((box) => box.click());
    result.without_pixels = columns();
    result.without_pixels_widths = widths();
  }
  document.querySelector("#result").textContent = JSON.stringify(result);
});
</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two units with every method, every metric and robustness; three seeds make cells wide."""
    root = tmp_path_factory.mktemp("few")
    make_workspace(root, {UNMASKED: ["crack"], MASKED: ["spot"]}, METHODS, [0, 1, 2])
    for path in root.glob("results/*/*/*/metrics.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["masks"] != "none":
            record["metrics"] |= {"pixel_aupimo": 0.55, "pixel_spro": 0.61}
        points = [{"disturbance": "darker", "step": 1, "accuracy": 0.8}]
        undisturbed = {"accuracy": 0.9}
        record["robustness"] = {"accuracy": 0.8, "undisturbed": undisturbed, "curve": points}
        path.write_text(json.dumps(record), encoding="utf-8")
    build_in(root, [UNMASKED, MASKED], METHODS, [0, 1, 2])
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many units as have a page each."""
    root = tmp_path_factory.mktemp("many")
    units = [f"own parts/größe {number}" for number in range(7)]
    make_workspace(root, {unit: ["spot"] for unit in units}, ["glass"], [0])
    build_in(root, units, ["glass"], [0])
    return root


def probe(root: Path, profile: Path, width: int, page: str = "index.html") -> dict[str, Any]:
    wrapper = root / f"probe-{width}.html"
    text = PROBE.replace("WIDTH", str(width)).replace("PAGE", page)
    wrapper.write_text(text, encoding="utf-8")
    done = chromium(profile, "--dump-dom", wrapper.as_uri())
    assert not re.findall(r".*CONSOLE.*", done.stderr)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    assert found[1], f"the page did not finish loading\n{done.stderr}"
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_the_leaderboard_fits_a_desk_and_its_columns_are_chosen(
    few: Path, tmp_path: Path, width: int
) -> None:
    result = probe(few, tmp_path / "profile", width)
    assert result["overflow"] == 0
    assert result["broken"] == []
    assert (result["hidden"] <= 0) == (width >= 1280)
    shown = result["columns"]
    assert shown == [
        *("unit", "method", "image_auroc", "image_f1max"),
        *("pixel_auroc", "pixel_aupro", "pixel_aupimo", "pixel_spro"),
        *("recall", "false_alarms", "robust"),
    ]
    assert result["widths"] == [len(shown)]
    assert set(result["chosen"]) - set(shown) == {"image_fpr95"}
    assert set(shown) - set(result["chosen"]) == {"recall"}
    assert result["chosen_widths"] == [len(shown)]
    assert not any(name.startswith("pixel") for name in result["without_pixels"])
    assert result["without_pixels_widths"] == [len(shown) - 4]


def test_many_units_are_pages_of_their_own(many: Path, tmp_path: Path) -> None:
    index = probe(many, tmp_path / "index", 1280)
    assert index["pictures"] == 0
    pages = [link for link in index["links"] if "/units/" in link]
    assert len(set(pages)) == 7
    address = pages[0].partition("/report/")[2]
    page = probe(many, tmp_path / "page", 1280, address)
    assert page["pictures"] > 10
    assert page["broken"] == []
    assert page["overflow"] == 0
    assert {link for link in page["links"] if "/units/" in link} == set(pages)
    assert any(link.endswith("/report/index.html#leaderboard") for link in page["links"])
