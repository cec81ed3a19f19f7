# SPDX-License-Identifier: MIT
"""Reading cpio archives of the ``newc`` format, as the kernel's documentation describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Entry:
    mode: int
    device: tuple[int, int]
    owner: tuple[int, int]
    data: bytes


def read_newc(archive: bytes) -> dict[str, Entry]:
    """The entries of an archive by name; its end must be marked."""
    entries, offset = {}, 0
    while True:
        assert archive[offset : offset + 6] == b"070701"
        fields = [int(archive[offset + 6 + 8 * i : offset + 14 + 8 * i], 16) for i in range(13)]
        _, mode, uid, gid, _, mtime, size, _, _, major, minor, name_size, _ = fields
        assert mtime == 0
        start = offset + 110
        name = archive[start : start + name_size - 1].decode()
        data = -(-(start + name_size) // 4) * 4
        if name == "TRAILER!!!":
            return entries
        entries[name] = Entry(mode, (major, minor), (uid, gid), archive[data : data + size])
        offset = -(-(data + size) // 4) * 4
