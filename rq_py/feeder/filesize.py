"""The size of a file as this node knows it, asked for without a word to a file server."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache

_AT_FDCWD = -100
_AT_STATX_DONT_SYNC = 0x4000
_STATX_SIZE = 0x200
_STRUCT = 256  # bytes of struct statx, statx(2)
_SIZE_AT = 40  # where stx_size is in it
#: Errors that are about the file. Seccomp filters that are older than statx answer with EPERM, for one.
_IS_THE_FILES = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


def size_of(path: str | os.PathLike[str]) -> int:
    """The bytes in ``path``; 0 where it is not there or cannot be looked at.

    stat(2) asks for times as well. On NFS that makes the kernel first write out whatever a job has written
    and the server has not got yet (nfs_getattr), for as long as it takes. statx(2) asks for the size alone;
    where a container does not let us call that, the slow way is better than none.
    """
    try:
        return _statx_size(os.fsencode(path))
    except OSError as error:
        if error.errno in _IS_THE_FILES:
            return 0
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _statx_size(path: bytes) -> int:
    statx = _statx()
    if statx is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    buffer = ctypes.create_string_buffer(_STRUCT)
    if statx(_AT_FDCWD, path, _AT_STATX_DONT_SYNC, _STATX_SIZE, buffer):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(struct.unpack_from("=Q", buffer, _SIZE_AT)[0])


@cache
def _statx() -> ctypes._NamedFuncPointer | None:
    """The C library's statx, which glibc has since 2.28; None where there is none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    return function
