"""Annotation files are hostile: whatever they hold gives boxes inside the image or one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blemish.core.errors import UserError
from blemish.datasets.layouts.boxes import Box, image_size, kind_name, voc_boxes, yolo_boxes
from blemish.datasets.layouts.class_names import class_names
from blemish.datasets.layouts.labelme import labelme_polygons
from blemish.datasets.loco import check_config
from tests.miniatures.layouts import LOCO_CONFIG

SIZE = (100, 80)
WORDS = st.sampled_from(["0", "1", "2", "9", "-1", "0.5", "0.1", "1e400", "nan", "x", "", "१"])
TAGS = st.sampled_from(
    ["object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax", "size", "width"]
)
many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def boxes_or_one_line(read: Callable[[], list[Box]]) -> None:
    """A UserError is one line by construction; any other error is a bug."""
    try:
        boxes = read()
    except UserError:
        return
    assert all(box.overlap((0, 0, *SIZE)) > 0 and box.kind for box in boxes)


@many
@given(st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=4).map("\n".join))
def test_any_text_as_yolo_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    boxes_or_one_line(lambda: yolo_boxes(path, SIZE, ("spot", "line")))


@many
@given(st.binary(max_size=60))
def test_any_bytes_as_annotation_or_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    boxes_or_one_line(lambda: yolo_boxes(path, SIZE, ("spot",)))
    boxes_or_one_line(lambda: voc_boxes(path, SIZE))
    with pytest.raises(UserError, match="not a whole image"):
        image_size(path)
    with pytest.raises(UserError, match="fetch the unit again"):
        check_config(path)


@st.composite
def markup(draw: st.DrawFn, depth: int = 0) -> str:
    tag = "annotation" if not depth else draw(TAGS)
    inner = draw(WORDS) if depth > 2 else "".join(draw(st.lists(markup(depth + 1), max_size=4)))
    return f"<{tag}>{inner}</{tag}>"


@many
@given(markup())
def test_any_markup_as_voc_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    boxes_or_one_line(lambda: voc_boxes(path, SIZE))


SHAPES = st.dictionaries(
    st.sampled_from(["label", "points", "shape_type", "flags"]),
    st.one_of(
        st.sampled_from(["polygon", "rectangle", "circle", "../x"]),
        st.none(),
        st.integers(-9, 10**400),
        st.lists(st.lists(st.one_of(st.floats(), st.integers(-9, 99), st.none()), max_size=3)),
    ),
)


@many
@given(st.one_of(st.lists(SHAPES, max_size=3), st.none(), st.text(max_size=3)))
def test_any_shapes_as_labelme_file(tmp_path: Path, shapes: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"shapes": shapes}), encoding="utf-8")
    boxes_or_one_line(lambda: labelme_polygons(path, SIZE))
    path.write_text(json.dumps(shapes), encoding="utf-8")
    boxes_or_one_line(lambda: labelme_polygons(path, SIZE))


@many
@given(st.text(alphabet="names:[]{}&*a-! 0123<\n\t'\"|>%@`", max_size=60))
def test_any_text_names_classes_or_gives_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"names: {text}", encoding="utf-8")
    try:
        names = class_names([path])
    except UserError:
        return
    assert all(isinstance(name, str) for name in names)


@given(st.text(max_size=30))
def test_a_type_becomes_the_name_of_a_folder(name: str) -> None:
    found = kind_name(name)
    assert not set(found) & set("/\\ .:\0")
    assert kind_name(found) == found


values = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=2), st.just([])
)


@many
@given(st.dictionaries(st.sampled_from(sorted(LOCO_CONFIG[0])), values, min_size=1))
def test_any_value_in_a_defects_config(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "defects_config.json"
    path.write_text(json.dumps([{**LOCO_CONFIG[0], **changes}]), encoding="utf-8")
    try:
        check_config(path)
    except UserError:
        return
    (entry,) = json.loads(path.read_text())
    assert 1 <= entry["pixel_value"] <= 255
    assert 0 < entry["saturation_threshold"] < float("inf")


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
    ],
)
def test_documents_that_fetch_or_grow_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.xml: holds a DOCTYPE or entities: refused"):
        voc_boxes(path, SIZE)


def test_a_box_with_a_part_outside_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0 0 0.2 0.5\n")
    assert yolo_boxes(path, SIZE, ("spot",)) == [Box("spot", -10, -20, 10, 20)]
