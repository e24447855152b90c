"""GLASS: global and local anomaly co-synthesis (ECCV 2024), after `docs/spec/glass.md`."""

from blemish.methods.glass.family import CoSynthesis


class Glass(CoSynthesis):
    """The method that its relatives follow, unchanged."""

    name = "glass"


METHOD = Glass
