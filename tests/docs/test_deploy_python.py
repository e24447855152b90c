"""The Python of docs/deploy.md does what the page says."""

import contextlib
import doctest
import shutil
from pathlib import Path

from PIL import Image

from tests.methods.tiny import trained
from tests.units import SIZES, tiny_unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"


def test_the_page(tmp_path: Path) -> None:
    shutil.copytree(trained("glass"), tmp_path / "models/lcdsim/grey/glass-0")
    (image,) = list((tiny_unit().prepared / "test" / "good").glob("*.png"))[:1]
    Image.open(image).resize(SIZES[0][::-1]).save(tmp_path / "photo.png")
    with contextlib.chdir(tmp_path):
        found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted >= 10
    assert found.failed == 0
