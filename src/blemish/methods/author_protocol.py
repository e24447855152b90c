"""What a method's authors do with the test set: protocol `paper` does it too, as `oracle`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AuthorProtocol:
    """How the authors of a method get the numbers they publish.

    Args:
        note: what they do in a few words, for the report.
        chosen_by: the kept epoch with the largest sum of these metrics on the test set is taken,
            the first of equal ones; empty: the model as trained.
        scorings: each has a weight for every component of `Detector.score_published`. Components
            are min-max normalised over the whole test set, then weighed and added. Of several
            scorings the larger AUROC is taken, of images and of pixels, each on its own.
        digits: AUROCs are rounded to these before the larger one is taken.
        mask_above: a pixel of a mask shrunk to the model's size is defect where it exceeds this
            of 255: 127 is half a pixel; 254 is what is left where fractions are cut off.
        labels_from_masks: an image is defective where such a pixel is left, whatever its folder.
        glass_pro: PRO as the code of GLASS computes it is among the numbers.
    """

    note: str
    chosen_by: tuple[str, ...] = ()
    scorings: tuple[tuple[float, ...], ...] = ((1.0,),)
    digits: int = 3
    mask_above: int = 127
    labels_from_masks: bool = False
    glass_pro: bool = False
