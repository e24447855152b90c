"""Memory that is freed stays with the process: fewer page faults for large tensors."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from blemish.core.device import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for step in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    one = torch.ones(16 << 20)
    two = one + 1
    del one, two
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_large_tensors_are_made_without_page_faults() -> None:
    def faults(mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", COUNT, mode], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("keep") < 100 < 1000 < faults("leave")
