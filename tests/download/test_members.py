"""Member names as hypothesis makes them: none that is let in leads outside or meets another."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.core.errors import UserError
from blemish.download.members import Gate
from blemish.download.unpack import unpack
from tests.archives import zipped

NAMES = st.text(st.characters() | st.sampled_from("/\\.:\0aA\u0301"), max_size=30) | st.lists(
    st.sampled_from(["..", ".", "a", "A", "", "__MACOSX", "é", "C:", "\0"])
).map("/".join)


@settings(max_examples=600, deadline=None)
@given(st.lists(NAMES, max_size=8))
def test_no_admitted_name_leads_outside_or_collides(names: list[str]) -> None:
    """Whatever the names are: each admitted one stays below the folder, and no two meet."""
    gate = Gate(Path(__file__))
    admitted, complaints = [], []
    for name in names:
        try:
            path = gate.admit(name, 0)
        except UserError as error:
            complaints.append(str(error))
            continue
        if path is not None:
            admitted.append(path)
    assert all(complaint.isprintable() for complaint in complaints)
    for path in admitted:
        assert path.parts
        assert not path.is_absolute()
        assert not {"..", ".", ""} & set(path.parts)
        path.as_posix().encode()
    folded = [path.as_posix().casefold() for path in admitted]
    assert len(set(folded)) == len(folded)
    folders = {parent.as_posix().casefold() for path in admitted for parent in path.parents}
    assert not folders & set(folded)


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_any_name_in_a_zip_is_unpacked_inside_or_refused(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        data = zipped({name: b"x"}, zipfile.ZIP_STORED)
    except (UnicodeError, ValueError):
        return
    (folder / "archive").write_bytes(data)
    try:
        count = unpack(folder / "archive", folder / "out")
    except UserError:
        count = 0
    assert sum(path.is_file() for path in (folder / "out").rglob("*")) == count
    assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
