"""How this process treats memory that it has freed.

By default the C library of Linux maps every tensor above 128 kB anew and hands it back when it is
freed: the system clears each of its pages again and again. A small model that generates spends a
fifth of its time on that.
"""

import os
import sys

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_MAPPED = 32 * 2**20  # bytes from which on memory is mapped, and handed back when it is freed
_KEPT = 256 * 2**20  # bytes at the end of the heap that are kept


def keep_freed_memory() -> bool:
    """Use freed memory again rather than hand it back at once; up to 256 MB of it are kept.

    For processes of our own (the command line, workers): a library does not decide this for the
    process that it is called in.

    Returns:
        whether it holds. Not where the user has said something else in the environment
        (``MALLOC_...``, ``GLIBC_TUNABLES``), or where the C library knows no such setting.
    """
    asked = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if asked or sys.platform != "linux":
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, which has not got it
        return False
    return bool(mallopt(_MAP, _MAPPED) and mallopt(_TRIM, _KEPT))
