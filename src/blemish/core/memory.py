"""How much memory this process had at most."""

import re
import resource
from pathlib import Path

MIB = 1 << 20
STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """MiB, since the program began.

    Linux's own file is asked where there is one: `getrusage` says at least what the process had
    that started this one.
    """
    found = None
    if STATUS.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="ascii"))
    kib = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib * 1024 / MIB, 1)
