# SPDX-License-Identifier: MIT
"""What is worth keeping of a kernel between two commands, on the user's disk.

Kept is only what was made of things that cannot change in a kernel of one build: its symbol
table and the index of its types; never guest bytes as such. Each entry holds a digest of what it
was made from, which is compared with the guest's memory at each use, so no guest can plant
something for another one. `NTBDBG_NO_CACHE` turns it off.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable
from typing import NamedTuple

VARIABLE = "NTBDBG_NO_CACHE"
FAMILY = b"ntbdbg-kernel-"
MAGIC = FAMILY + b"2\n"
DIGEST = 32
CHECKSUM = 4

MOST_BYTES = 64 << 20
"""Of all entries together; those not used for longest go first. A kernel takes about 4 MiB."""

LARGEST_ENTRY = 32 << 20


class Entry(NamedTuple):
    """What was kept.

    :ivar source: SHA-256 of what `data` was made from
    """

    source: bytes
    data: bytes


class KernelCache:
    """Entries of the kernel with `build_id` (hexadecimal).

    A file is `MAGIC`, the CRC-32 of what follows (little-endian), `Entry.source`, `Entry.data`.
    """

    def __init__(
        self,
        build_id: str,
        folder: str | os.PathLike[str] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self._build_id = build_id
        self._folder = os.fspath(folder or default_folder())
        self._notify = notify or (lambda text: None)

    def load(self, kind: str) -> Entry | None:
        """The entry of that kind, None if there is none that is whole."""
        path = self._path(kind)
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid() or status.st_size > LARGEST_ENTRY:
                    return None
                magic, checksum = file.read(len(MAGIC)), file.read(CHECKSUM)
                entry = Entry(file.read(DIGEST), file.read())
            os.utime(path)
        except OSError:
            return None
        if magic != MAGIC and magic.startswith(FAMILY):
            return None  # of another version of ntbdbg
        if magic != MAGIC or checksum != _checksum(entry):
            self._notify(f"{path} was damaged, so what it held is made anew")
            return None
        return entry

    def store(self, kind: str, entry: Entry) -> None:
        """Keep `entry`, if that is possible; nothing depends on it."""
        if len(entry.source) != DIGEST or len(entry.data) > LARGEST_ENTRY // 2:
            return
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._write(self._path(kind), MAGIC + _checksum(entry) + entry.source + entry.data)
            self._prune()

    def _path(self, kind: str) -> str:
        return os.path.join(self._folder, f"{self._build_id}.{kind}")

    def _write(self, path: str, data: bytes) -> None:
        """In one step: a reader sees the old entry or the new one."""
        import tempfile

        handle, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def _prune(self) -> None:
        """Remove what was not used for longest until the rest is small enough."""
        found = [(item.path, item.stat()) for item in os.scandir(self._folder) if item.is_file()]
        found.sort(key=lambda item: item[1].st_mtime, reverse=True)
        total = 0
        for path, status in found:
            total += status.st_size
            if total > MOST_BYTES:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def default_folder() -> str:
    """``kernels`` in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # the XDG specification has relative paths ignored
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "ntbdbg", "kernels")


def is_enabled() -> bool:
    """Whether the user wants a cache."""
    return not os.environ.get(VARIABLE)


def _checksum(entry: Entry) -> bytes:
    return zlib.crc32(entry.data, zlib.crc32(entry.source)).to_bytes(CHECKSUM, "little")
