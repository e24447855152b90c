"""The manifest of a unit on disk."""

from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.images.manifest import read_manifest


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, r"manifest\.parquet is missing: run `dvc repro prepare@bolts/all`"),
        (b"junk", r"manifest\.parquet: not a manifest of Blemish .+ prepare the unit again"),
    ],
)
def test_a_missing_or_foreign_manifest_is_named(
    content: bytes | None, match: str, tmp_path: Path
) -> None:
    root = tmp_path / "bolts" / "all"
    root.mkdir(parents=True)
    if content is not None:
        (root / "manifest.parquet").write_bytes(content)
    with pytest.raises(UserError, match=match):
        read_manifest(root)
