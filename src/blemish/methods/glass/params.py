"""The parameters of GLASS; the defaults are the published ones (`docs/spec/glass.md` §15)."""

from blemish.methods.glass.family_params import CoSynthesisParams


class Params(CoSynthesisParams):
    """Section `glass` of params.yaml."""
