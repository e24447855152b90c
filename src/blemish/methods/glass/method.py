"""GLASS: global and local anomaly co-synthesis (ECCV 2024), after `methods/glass.md`."""

from blemish.methods.glass.family import CoSynthesis


class Glass(CoSynthesis):
    """The method that its relatives follow, unchanged."""

    name = "glass"


METHOD = Glass
