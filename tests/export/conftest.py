"""The detector of brightness that the tests of `blemish predict` have."""

from tests.predict.conftest import bright, model

__all__ = ["bright", "model"]
