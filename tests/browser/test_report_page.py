"""The report in a real browser: every picture loads, nothing fails, it fits a phone, it sorts."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blemish.core.files import write_json
from blemish.core.scoring_times import SHOWN, SPEED, digest_of
from blemish.report.build import build
from tests.browser.workspace import MASKED, METHODS, UNMASKED, make_workspace

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"),
    *("--allow-file-access-from-files", "--hide-scrollbars", "--enable-logging=stderr"),
    "--virtual-time-budget=20000",
]
HOSTILE_DEFECT = "<script>parent.hacked = true</script>"

# A page around the report, so that the report itself is tested as it is.
PROBE = """<!DOCTYPE html><body style="margin:0"><pre id="result"></pre>
<iframe src="report/index.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", async () => {
  const page = frame.contentDocument;
  page.querySelectorAll("details").forEach((details) => (details.open = true));
  const pictures = [...page.images];
  pictures.forEach((picture) => (picture.loading = "eager"));
  await Promise.all(pictures.map((picture) => picture.complete || new Promise((done) => {
    picture.onload = picture.onerror = done;
  })));
  const column = (key) => [...page.querySelectorAll(`.board tbody [data-key=${key}]`)]
    .map((cell) => Number(cell.dataset.value));
  const click = (key) => page.querySelector(`.board button[data-key=${key}]`).click();
  const result = {
    pictures: pictures.length,
    broken: pictures.filter((picture) => !picture.naturalWidth).map((picture) => picture.src),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    hacked: window.hacked === true,
    sections: page.querySelectorAll("section.unit").length,
  };
  click("image_auroc");
  result.falling = column("image_auroc");
  click("image_auroc");
  result.rising = column("image_auroc");
  click("unit");  // back to the order of the lists, the unit without masks first
  const unmasked = () => [...page.querySelectorAll(".board tbody tr")]
    .map((row) => !row.querySelector("[data-key=pixel_aupro]"));
  result.listed = unmasked();
  click("pixel_aupro");
  result.sorted = unmasked();
  document.querySelector("#result").textContent = JSON.stringify(result);
});
</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a unit with masks and one without, with a hostile defect name."""
    root = tmp_path_factory.mktemp("site")
    units = {UNMASKED: ["größerer Riss"], MASKED: ["spot", HOSTILE_DEFECT]}
    make_workspace(root, units, METHODS, [0])
    folders = ("models", "results", "data/synthetic", "metrics", "plots", "report")
    build(*(root / folder for folder in folders), list(units), METHODS, [0])
    return root


def chromium(profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def probe(site: Path, profile: Path, width: int) -> dict[str, Any]:
    """What the report looks like in a frame of the given width in pixels."""
    wrapper = site / f"probe-{width}.html"
    wrapper.write_text(PROBE.replace("WIDTH", str(width)), encoding="utf-8")
    done = chromium(profile, "--dump-dom", wrapper.as_uri())
    assert not re.findall(r".*CONSOLE.*", done.stderr)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    assert found.group(1), "the report did not finish loading"
    result: dict[str, Any] = json.loads(html.unescape(found.group(1)))
    return result


@pytest.mark.parametrize("width", [1280, 400])
def test_every_picture_loads_and_the_page_fits(site: Path, tmp_path: Path, width: int) -> None:
    result = probe(site, tmp_path / "profile", width)
    assert result["sections"] == 2
    assert result["pictures"] == 2 * (2 + 2 * (6 + 8 * 3)) + 2  # PRO for the unit with masks
    assert result["broken"] == []
    assert result["overflow"] == 0
    assert not result["hacked"]
    assert result["falling"] == sorted(result["falling"], reverse=True)
    assert result["rising"] == sorted(result["falling"])
    assert len(result["rising"]) == 4
    assert result["listed"] == [True, True, False, False]
    assert result["sorted"] == [False, False, True, True]  # rows without a value go last


def test_times_are_read_from_beside_the_report(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "timed"
    shutil.copytree(site, root)
    model = root / "models" / MASKED / f"{METHODS[0]}-0"
    write_json(model / "model.json", {})
    note = {"milliseconds": {SHOWN: {"median": 41.7}}}
    write_json(root / SPEED / f"{digest_of(model)}.json", note)
    folders = ("models", "results", "data/synthetic", "metrics", "plots", "report")
    build(*(root / folder for folder in folders), [UNMASKED, MASKED], METHODS, [0])
    page = root / "report" / "index.html"
    assert "41.7" not in page.read_text(encoding="utf-8")
    seen = chromium(tmp_path / "profile", "--dump-dom", page.as_uri()).stdout
    cells = re.findall(r'<td class="time"([^>]*data-models=[^>]*)>([^<]*)</td>', seen)
    assert sorted(text for _, text in cells) == ["42", "–", "–", "–"]
    assert not any("hidden" in attributes for attributes, _ in cells)
    untimed = chromium(tmp_path / "other", "--dump-dom", (site / "report/index.html").as_uri())
    assert len(re.findall(r'<td class="time" hidden', untimed.stdout)) >= 4


def test_the_page_is_drawn_light_or_dark_as_the_reader_prefers(site: Path, tmp_path: Path) -> None:
    shots = {}
    for scheme, name in ((1, "light"), (0, "dark")):
        file = tmp_path / f"{name}.png"
        chromium(
            tmp_path / name,
            f"--screenshot={file}",
            "--window-size=1280,2400",
            f"--blink-settings=preferredColorScheme={scheme}",
            (site / "report" / "index.html").as_uri(),
        )
        shots[name] = np.asarray(Image.open(file).convert("L"), dtype=float)
    for shot in shots.values():
        assert shot.shape == (2400, 1280)
        rows = shot[:, 220:].std(axis=1)  # beside the list of units
        assert (rows > 5).mean() > 0.4  # text, figures or pictures on much of the page
    assert np.median(shots["light"]) > 230
    assert np.median(shots["dark"]) < 40
