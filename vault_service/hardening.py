"""Keeps the key-encryption key out of core dumps and out of reach of other processes of the same user.

What Python cannot do is wipe memory: a key or secret that was read stays in it until it is written over.
"""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def hide_memory() -> None:
    """No core dumps; on Linux nobody but root may read this process's memory, environment or trace it.

    Raises:
        OSError: The kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")
