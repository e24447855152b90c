"""Notes that say that a unit is not what its publisher describes, and where they are told."""

from collections.abc import Iterable

# How a note begins that says that a publisher's counts are not met; how one ends on an archive
# of which parts are missing.
COUNTS_DIFFER, INCOMPLETE = "Published: ", "the archive is incomplete."


def differing(found: int, published: int, what: str = "images") -> list[str]:
    """A note, or none, on a count that is not the published one: a part, or another version."""
    if found == published:
        return []
    return [f"{COUNTS_DIFFER}{published} {what}; found: {found}."]


def missing_parts(notes: Iterable[str]) -> list[str]:
    """Those of a unit's notes that whoever compares its numbers with others must know."""
    return [note for note in notes if note.startswith(COUNTS_DIFFER) or note.endswith(INCOMPLETE)]
