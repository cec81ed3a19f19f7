# SPDX-License-Identifier: MIT
"""A folder as /proc is, with the processes that a test wants in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

QEMU = "/usr/bin/qemu-system-x86_64"
LISTENING, CONNECTED = ("00010000", "01"), ("00000000", "03")


class FakeProc:
    """Processes by number below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sockets = ["Num       RefCount Protocol Flags    Type St Inode Path"]

    def add(
        self,
        pid: int,
        program: str | None,
        maps: str | None,
        *argv: str,
        fds: Mapping[int, str] | None = None,
        start_time: int = 7,
    ) -> None:
        """A process; `program` and `maps` are None where nobody may look, and so is its memory."""
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "cmdline").write_bytes(b"".join(a.encode() + b"\0" for a in argv))
        fields = ["0"] * 18 + [str(start_time)] + ["0"] * 30
        (folder / "stat").write_text(f"{pid} (qemu (x) y) S {' '.join(fields)}\n")
        if program is not None:
            (folder / "exe").symlink_to(program)
        if maps is not None:
            (folder / "maps").write_text(maps)
            (folder / "mem").touch()
        for number, what in (fds or {}).items():
            (folder / "fd" / str(number)).symlink_to(what)

    def socket(self, path: str, inode: int, *, connected: bool = False) -> None:
        """A UNIX socket that listens, and perhaps one of its connections."""
        for flags, state in [LISTENING, *([CONNECTED] if connected else [])]:
            self._sockets.append(
                f"0000000000000000: 00000002 00000000 {flags} 0001 {state} {inode} {path}"
            )
            inode += 1
        (self.root / "net").mkdir(exist_ok=True)
        (self.root / "net/unix").write_text("\n".join(self._sockets) + "\n")


def mapping(
    size: int,
    flags: str = "rw-p",
    path: str = "",
    *,
    inode: int = 0,
    device: str = "00:19",
    start: int = 0x7F00_0000_0000,
    offset: int = 0,
) -> str:
    """A line of ``maps``."""
    return f"{start:x}-{start + size:x} {flags} {offset:08x} {device} {inode}   {path}\n"


def mapped_file(file: Path, flags: str, size: int = 1 << 20, **options: object) -> str:
    """A line of ``maps`` for a file that is there; options as of `mapping`."""
    status = file.stat()
    assert stat.S_ISREG(status.st_mode)
    where = {
        "device": f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}",
        "path": str(file),
        **options,
    }
    return mapping(size, flags, inode=status.st_ino, **where)  # type: ignore[arg-type]
