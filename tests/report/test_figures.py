"""The figures of the page as SVG."""

import re
import xml.etree.ElementTree as ElementTree

from blemish.report import figures


def test_figures_are_xml_that_follows_the_colour_scheme() -> None:
    svg = figures.score_histogram([0.1, 0.2], [0.7], threshold=0.5)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "prefers-color-scheme:dark" in svg
    assert not re.findall(r"#00000[0-9a-f]", svg)  # every stand-in colour became a variable
    assert "DejaVu" not in svg
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert {"good (2)", "defective (1)", "threshold"} <= set(texts)


def test_scores_have_no_line_where_zones_decide() -> None:
    with_line, without = (figures.score_histogram([0.1, 0.2], [0.7], at) for at in (0.5, None))
    assert len(with_line) > len(without)
