"""The values that an annotation's pixels have, where they name what is there."""

from pathlib import Path

import numpy as np
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.reading import DAMAGED, MOST_PIXELS


def grey_values(path: Path) -> set[int]:
    """The different values of an 8-bit grey image.

    Raises UserError naming a file that is damaged, too large, or another kind of image.
    """
    try:
        with Image.open(path) as image:
            if image.mode != "L" or image.width * image.height > MOST_PIXELS:
                raise UserError(f"{path}: expected an 8-bit grey image: fetch the unit again")
            return set(np.flatnonzero(np.bincount(np.asarray(image).ravel())).tolist())
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: not a whole image ({error}); replace or remove the file"
        ) from None
