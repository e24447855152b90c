"""Memory on a CPU: keep what is freed instead of giving it back and asking for it again."""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # glibc's names for mallopt, malloc.h
AT_A_TIME = 64 << 20  # bytes asked of the system


def keep_freed_memory() -> bool:
    """Let glibc serve large tensors from memory that this process has had before.

    Otherwise each large array is a mapping of its own, whose pages the system clears when they are
    first touched and takes back when it is freed: a step of GLASS at its published size makes 1.5
    million page faults, a quarter of its time. What is freed stays with the process until it ends,
    which is soon: a stage is a process. Returns whether the C library is one that can.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, AT_A_TIME))
    return all(set_option(name, value) for name, value in settings)
