# SPDX-License-Identifier: MIT
"""Files on hugetlbfs, in which the host keeps a guest's RAM in huge pages.

They have neither write(2) nor honest holes: SEEK_DATA calls all of a file data, and looking at a
page through a mapping allocates it for good. Reading by pread allocates nothing.
Source: ``fs/hugetlbfs/inode.c`` (hugetlbfs_read_iter, hugetlbfs_file_mmap) of Linux.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from contextlib import ExitStack, closing

MAGIC = 0x9584_58F6
"""``HUGETLBFS_MAGIC`` (``include/uapi/linux/magic.h``)."""


class _Statfs(ctypes.Structure):
    """``struct statfs`` of 64-bit Linux: only what is asked here by name."""

    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_long * 31))


def file_system(fd: int) -> int:
    """The magic number of the file system that an open file is on; OSError if nobody tells."""
    found = _Statfs()
    if ctypes.CDLL(None, use_errno=True).fstatfs(fd, ctypes.byref(found)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(found.f_type) & 0xFFFF_FFFF


def huge_page(fd: int) -> int:
    """Bytes of a page of the open file if it is on hugetlbfs, else 0."""
    try:
        return os.fstatvfs(fd).f_bsize if file_system(fd) == MAGIC else 0
    except OSError:
        return 0


def store(fd: int, page: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Write ``(offset, bytes)`` through mappings of the pages; all or none.

    A page that is not there yet is taken from the host's, by the mapping, which fails if it
    cannot have one: nothing can go wrong any more when the bytes are stored.

    :param page: bytes of a page of the file
    :raises OSError: no page is free, or the file is not open for writing
    """
    with ExitStack() as stack:
        ready = []
        for offset, data in pieces:
            start = offset // page * page
            size = -(-(offset + len(data) - start) // page) * page
            mapping = stack.enter_context(closing(mmap.mmap(fd, size, offset=start)))
            ready.append((mapping, offset - start, data))
        for mapping, at, data in ready:
            mapping[at : at + len(data)] = data
