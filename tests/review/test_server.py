"""The review's server: what it shows, what it writes, whom it refuses."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import sha256
from blemish.images.feedback import Journal
from blemish.review.judged import JudgedFolder
from blemish.review.server import make_app, serving
from blemish.review.session import Session
from tests.review.shift import BY_DOUBT, SCORES, write_shift, write_table

OWN = {"Origin": "http://127.0.0.1:5000"}
BASE = "http://127.0.0.1:5000"


def session(root: Path) -> Session:
    judged = JudgedFolder(root / "judged/parts/bolts", root / "camera")
    return Session("parts/bolts", judged, root / "feedback", ["scratch"], None)


@pytest.fixture
def shift(tmp_path: Path) -> Path:
    write_shift(tmp_path)
    return tmp_path


@pytest.fixture
def client(shift: Path) -> FlaskClient:
    return make_app(session(shift)).test_client()


def post(client: FlaskClient, where: str, status: int = 200, **fields: Any) -> Any:
    answer = client.post(where, json=fields, headers=OWN, base_url=BASE)
    assert answer.status_code == status, answer.text
    return answer.json


def get(client: FlaskClient, where: str, status: int = 200) -> Any:
    answer = client.get(where, base_url=BASE)
    assert answer.status_code == status, answer.text
    return answer.json if answer.is_json else answer.data


def key_of(client: FlaskClient, name: str) -> str:
    images = get(client, "/images")["images"]
    return str(next(one["key"] for one in images if one["name"] == name))


def test_the_most_doubtful_come_first_with_pictures_and_outline(
    shift: Path, client: FlaskClient
) -> None:
    known = get(client, "/images")
    assert [one["name"] for one in known["images"]] == BY_DOUBT
    assert known["kinds"] == ["scratch"]
    key = key_of(client, "a.png")
    details = get(client, f"/images/{key}")
    assert details["digest"] == sha256(shift / "camera/a.png")
    assert (details["width"], details["height"], details["overlay"]) == (32, 24, True)
    assert details["shapes"] == [{"label": "defect", "values": [2, 2, 20, 2, 2, 12]}]
    picture = np.asarray(Image.open(io.BytesIO(get(client, f"/images/{key}/image.png"))))
    np.testing.assert_array_equal(picture, np.asarray(Image.open(shift / "camera/a.png")))
    (shift / "judged/parts/bolts/overlays/a.png.png").unlink()
    assert "has no overlay" in get(client, f"/images/{key}/overlay.png", 400)["error"]


def test_decisions_are_files_at_once(shift: Path, client: FlaskClient) -> None:
    key, digest = key_of(client, "a.png"), sha256(shift / "camera/a.png")
    answer = post(client, "/decide", key=key, digest=digest, decision="defect", defect="pit")
    assert [(row["number"], row["decision"], row["key"]) for row in answer["rows"]] == [
        (0, "defect", key)
    ]
    (row,) = Journal(shift / "feedback").rows()
    assert (row.source, row.score, row.threshold, row.defect) == ("a.png", "0.9", "0.5", "pit")
    kept = shift / "feedback/images" / row.image
    assert kept.read_bytes() == (shift / "camera/a.png").read_bytes()
    draft = json.loads(kept.with_suffix(".json").read_text())
    assert draft["imagePath"] == kept.name
    # A person's correction stays, and counts.
    draft["shapes"] = []
    kept.with_suffix(".json").write_text(json.dumps(draft))
    post(client, "/decide", key=key, digest=digest, decision="defect", defect="crack", since=1)
    assert get(client, f"/images/{key}")["shapes"] == []
    again = session(shift)
    assert [row["defect"] for row in again.rows()] == ["pit", "crack"]
    assert {row["key"] for row in again.rows()} == {key}
    assert again.kinds() == ["scratch", "pit", "crack"]


def test_a_stale_page_changes_nothing(shift: Path, client: FlaskClient) -> None:
    key, digest = key_of(client, "a.png"), sha256(shift / "camera/a.png")
    post(client, "/decide", key=key, digest=digest, decision="good")
    post(client, "/decide", key=key, digest=digest, decision="unsure")
    assert "decided again" in post(client, "/undo", 409, key=key, number=0)["error"]
    assert "no such row" in post(client, "/undo", 409, key=key, number=7)["error"]
    Image.new("RGB", (32, 24)).save(shift / "camera/a.png")
    said = post(client, "/decide", 409, key=key, digest=digest, decision="good")["error"]
    assert said == "a.png: is another image by now: look at it again"
    assert "load the page again" in post(client, "/decide", 409, key="gone")["error"]
    assert len(Journal(shift / "feedback").rows()) == 2


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Origin": "http://evil.example"}, BASE),
        ({"Origin": "null"}, BASE),
        ({"Origin": "http://127.0.0.1:81"}, BASE),
        ({}, BASE),
        ({**OWN, "Sec-Fetch-Site": "cross-site"}, BASE),
        ({"Origin": "http://evil.example"}, "http://evil.example"),
    ],
)
def test_other_sites_are_refused(
    shift: Path, client: FlaskClient, headers: dict[str, str], base: str
) -> None:
    fields = {"key": key_of(client, "a.png"), "digest": sha256(shift / "camera/a.png"),
              "decision": "good"}  # fmt: skip
    answer = client.post("/decide", json=fields, headers=headers, base_url=base)
    assert answer.status_code in {400, 403}
    assert not (shift / "feedback").exists()


def test_no_name_of_another_host_is_answered_and_no_form_is_taken(
    shift: Path, client: FlaskClient
) -> None:
    assert client.get("/images", base_url="http://evil.example").status_code == 400
    assert client.get("/images", base_url=BASE, headers={"Sec-Fetch-Site": "cross-site"}
                      ).status_code == 403  # fmt: skip
    form = client.post("/decide", data={"key": "x"}, headers=OWN, base_url=BASE)
    assert form.status_code == 403
    page = client.get("/", base_url="http://localhost:5000")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")  # nothing of the network
    assert not (shift / "feedback").exists()


def test_hostile_tables_are_named_or_escaped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no scores.csv or scores.parquet: let `blemish"):
        session(tmp_path)
    write_shift(tmp_path)
    table = tmp_path / "judged/parts/bolts/scores.csv"
    write_table(table, {"gone.png": 0.4})
    with pytest.raises(UserError, match=r"none of its images is there, .*say with `--images`"):
        session(tmp_path)
    write_table(table, {"a.png": float("nan")})
    with pytest.raises(UserError, match=r"scores.csv, row 2: has no image, score, threshold"):
        session(tmp_path)
    # A path that leads out of the folder is an image like others; its copy lies in the feedback.
    write_table(table, {"../judged/parts/bolts/overlays/a.png.png": 0.4, **SCORES})
    client = make_app(session(tmp_path)).test_client()
    key = key_of(client, "../judged/parts/bolts/overlays/a.png.png")
    digest = get(client, f"/images/{key}")["digest"]
    post(client, "/decide", key=key, digest=digest, decision="good")
    assert [file.name for file in (tmp_path / "feedback/images").iterdir()] == [f"{digest}.png"]
    (tmp_path / "judged/parts/bolts/labelme/b.json").write_text("[" * 9000)
    assert "not" in get(client, f"/images/{key_of(client, 'b.png')}")["fault"]


def test_a_port_in_use_is_named(shift: Path) -> None:
    with (
        serving(session(shift), 0) as server,
        pytest.raises(UserError, match=f"port {server.server_port} is in use"),
        serving(session(shift), server.server_port),
    ):
        pass
