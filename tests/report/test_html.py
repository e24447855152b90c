"""The page: its files and links, names from users, undefined numbers."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from tests.browser.workspace import MASKED, make_workspace
from tests.report.runs import build_in, contents

HOSTILE_UNIT = "mein satz/größe & co"
HOSTILE_DEFECT = "<script>window.hacked = 1</script>"


class References(HTMLParser):
    """Collects what a page refers to and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_page_refers_to_its_own_files_only_and_to_all_of_them(workspace: Path) -> None:
    report = workspace / "report"
    page = References((report / "index.html").read_text(encoding="utf-8"))
    files = {unquote(link) for link in page.links if not link.startswith(("#", "data:"))}
    assert files == {name for name in contents(report) if name != "index.html"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert page.tags.count("img") == 2 * (2 + 2 * (6 + 8 * 3)) + 2  # PRO for the unit with masks


def test_of_many_units_each_has_a_page_that_refers_to_files_that_are_there(tmp_path: Path) -> None:
    units = [HOSTILE_UNIT, *(f"set/{name}" for name in "abcdef")]
    make_workspace(tmp_path, {unit: [HOSTILE_DEFECT] for unit in units}, ["glass"], [0])
    build_in(tmp_path, units, ["glass"], [0])
    report = tmp_path / "report"
    index = References((report / "index.html").read_text(encoding="utf-8"))
    assert "img" not in index.tags
    pages = {unquote(link) for link in index.links if link.startswith("units/")}
    assert pages == {f"units/{unit}.html" for unit in units}
    files = set(contents(report)) - {"index.html"}
    assert pages == {name for name in files if name.endswith(".html")}
    shown = set()
    for page in pages:
        text = (report / page).read_text(encoding="utf-8")
        assert '<base href="../../">' in text
        assert HOSTILE_DEFECT not in text
        links = {unquote(link) for link in References(text).links}
        others = {"data:,", "../../", "index.html#top", "index.html#leaderboard"}
        assert others <= links
        shown |= links - others
    assert shown == files


def test_methods_are_told_and_their_pages_linked_where_they_are(small: Path) -> None:
    build_in(small, [MASKED], ["glass"], [0])
    index = small / "report" / "index.html"
    assert "GLASS: global and local anomaly co-synthesis" in index.read_text(encoding="utf-8")
    assert "docs/methods" not in index.read_text(encoding="utf-8")
    page = small / "docs/methods/glass.md"
    page.parent.mkdir(parents=True)
    page.write_text("# GLASS", encoding="utf-8")
    build_in(small, [MASKED], ["glass"], [0])
    links = References(index.read_text(encoding="utf-8")).links
    (link,) = [link for link in links if link.endswith(".md")]
    assert (small / "report" / link).resolve() == page


def test_the_hardest_defects_come_first_and_the_missed_ones_before_the_found(
    workspace: Path,
) -> None:
    text = (workspace / "report" / "index.html").read_text(encoding="utf-8")
    for method in text.split('<details class="method"')[1:]:
        pictures, figures = method.index("Hardest defects"), method.index('class="tiles-grid"')
        assert pictures < figures < method.index("Most suspicious good images")
        verdicts = re.findall(r'<b class="(right|wrong)">', method[pictures:figures])
        assert verdicts == sorted(verdicts, reverse=True)


def test_names_from_users_are_text_not_markup(tmp_path: Path) -> None:
    make_workspace(tmp_path, {HOSTILE_UNIT: [HOSTILE_DEFECT]}, ["glass"], [0])
    build_in(tmp_path, [HOSTILE_UNIT], ["glass"], [0])
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    page = References(text)
    assert HOSTILE_DEFECT not in text
    assert "&lt;script&gt;window.hacked" in text
    assert page.tags.count("script") == 1
    assert "mein satz/größe &amp; co" in text
    pictures = [unquote(link) for link in page.links if link.endswith((".png", ".svg"))]
    assert pictures
    assert all((tmp_path / "report" / picture).is_file() for picture in pictures)


def test_undefined_numbers_leave_dashes_and_their_note(small: Path) -> None:
    path = small / "results" / MASKED / "glass-0" / "metrics.json"
    record = json.loads(path.read_text())
    note = "The test set has no defective images: image metrics are undefined."
    nothing = {"metrics": dict.fromkeys(record["metrics"]), "by_defect": {}, "slices": {}}
    rates = {**record["threshold"], "recall": None, "precision": None}
    path.write_text(json.dumps({**record, **nothing, "threshold": rates, "notes": [note]}))
    build_in(small, [MASKED], ["glass"], [0])
    text = (small / "report" / "index.html").read_text(encoding="utf-8")
    assert note in text
    assert "recall – of" in text
    assert json.loads((small / "metrics" / "summary.json").read_text()) == {"glass": {}}


def test_zones_stand_in_a_table_of_their_method(small: Path) -> None:
    path = small / "results" / MASKED / "glass-0" / "metrics.json"
    record = json.loads(path.read_text())
    zone = {
        "threshold": 0.4321, "map_threshold": 0.3, "false_alarm_rate": 0.1, "min_area": 40,
        "validation_normals": 60, "alarms": 9, "test_good": 38, "test_false_alarm_rate": 0.1,
        "defective": 12, "recall": 0.5,
    }  # fmt: skip
    note = "Zones decide: an image is an alarm where one of its zones is."
    zoned = {"zones": {"rim": zone, "rest": zone | {"min_area": 0}}, "notes": [note]}
    path.write_text(json.dumps(record | zoned))
    build_in(small, [MASKED], ["glass"], [0])
    text = (small / "report" / "index.html").read_text(encoding="utf-8")
    assert note in text
    assert "Recall of defects there" in text
    assert "0.4321" in text
    assert "each zone at its threshold" in text.casefold()
    assert text.index(">rim<") < text.index(">rest<")
