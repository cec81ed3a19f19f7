# SPDX-License-Identifier: MIT
"""cpio archives in the ``newc`` format, which the kernel unpacks as its first root file system.

Everything belongs to root and has no time stamp, so equal input gives equal archives.
Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

_CONSOLE = (stat.S_IFCHR | 0o600, 5, 1)


def archive(root: Path, *, overlay: bool = False) -> Iterator[bytes]:
    """The tree below `root`, in pieces, with /dev/console added.

    :param overlay: it is unpacked over another one: without /dev/console and the topmost folders,
        which may be links there (the kernel would put a folder in the place of a link)
    """
    inode = 0
    for path in sorted(root.rglob("*")):
        if overlay and path.parent == root and path.is_dir():
            continue
        inode += 1
        status = path.lstat()
        name = str(path.relative_to(root))
        if stat.S_ISLNK(status.st_mode):
            yield _entry(inode, name, status.st_mode, bytes(path.readlink()))
        elif stat.S_ISREG(status.st_mode):
            yield _entry(inode, name, status.st_mode, path.read_bytes())
        elif stat.S_ISDIR(status.st_mode):
            yield _entry(inode, name, status.st_mode)
    if not overlay:
        mode, major, minor = _CONSOLE
        yield _entry(inode + 1, "dev/console", mode, device=(major, minor))
    yield _entry(0, "TRAILER!!!", 0)


def _entry(
    inode: int, name: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0)
) -> bytes:
    raw = name.encode() + b"\0"
    links, uid, gid, mtime, checksum = 1, 0, 0, 0, 0
    fields = (
        *(inode, mode, uid, gid, links, mtime, len(data)),
        *(0, 0, *device, len(raw), checksum),
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _pad(header + raw) + _pad(data)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
