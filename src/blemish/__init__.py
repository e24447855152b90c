"""Blemish: a DVC pipeline for industrial visual anomaly detection."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from blemish.predict.trained import open_detector as load
else:

    def __getattr__(name: str) -> object:
        """`blemish.load`, when it is asked for: `import blemish` alone loads no PyTorch."""
        if name == "load":
            return importlib.import_module("blemish.predict.trained").open_detector
        raise AttributeError(f"module 'blemish' has no attribute {name!r}")


__all__ = ["__version__", "load"]
