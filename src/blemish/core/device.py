"""Where is computed: the device, its threads, and how memory is kept on a CPU."""

import ctypes
import platform

import torch

from blemish.core.errors import UserError

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


def choose_device(
    name: str, threads: int = 0, where: str = "params.yaml: `training.device`"
) -> torch.device:
    """ "auto" takes CUDA where there is one. Sets the CPU threads (0 leaves PyTorch's choice) and,
    for the CPU, how memory is kept.

    Raises UserError, saying `where` the name was given, for a GPU that is not there.
    """
    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device, gpus = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UserError(
            f"{where} is {name!r}, but PyTorch sees {gpus or 'no'} GPU: set it to auto or cpu"
        )
    if device.type == "cpu":
        keep_freed_memory()
    return device
