"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real archives: BLEMISH_MIRROR, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("BLEMISH_MIRROR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("needs the real archives: set BLEMISH_MIRROR to the folder that holds them")
    return folder
