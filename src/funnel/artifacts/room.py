"""Whether something failed because a disk is full: libraries report that in different ways."""

from __future__ import annotations

import errno
import os
import shutil

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(error: Exception) -> str:
    """What went wrong, in words; of a folder that was copied, with the first of its files."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, target, why = error.args[0][0]
        return f"{why}" if str(target) in str(why) else f"{target}: {why}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def no_room(error: Exception) -> bool:
    """A full disk, a quota, or a file that is larger than may be.

    Python gives the number, NumPy says only how much it has written, FAISS and Arrow quote the system.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    message = str(error)
    return "requested and" in message or any(os.strerror(number) in message for number in _FULL)
