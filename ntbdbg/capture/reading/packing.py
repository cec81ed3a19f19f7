# SPDX-License-Identifier: MIT
"""A capture's files as one: a tar archive, each 1 MiB of it a zstd frame, an index at the end.

A file's tar header and each of its blocks are frames of their own, so that blocks can be read
alone. Checksums come last, as they are taken in the same go; run.json comes first, so that of
what was cut off the beginning can be opened, and once more before the checksums, as nothing can
be opened without it. Only headers are frames of `SECTOR` bytes, so that they can be found.
"""

from __future__ import annotations

import os
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any

from ntbdbg.capture.reading import checksums
from ntbdbg.capture.reading.blocks import Block, OpenFiles, SumTaker, in_threads, sum_of
from ntbdbg.capture.reading.members import END, SECTOR, padded
from ntbdbg.lab.manifest import CHECKSUM_FILE, FILE_NAME
from ntbdbg.memory.zstdframes import Sizes, double_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEVEL = 1
"""Of zstd: a guest's RAM gains little from more, and somebody is waiting."""


Packed = tuple[bytes, int]
"""A frame, and bytes of content in it."""


class Packer:
    """Writes frames to `fd`, and the index of them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sizes: list[Sizes] = []
        self._local = threading.local()
        self._zeros: dict[int, list[Packed]] = {}

    def pack(self, data: bytes) -> bytes:
        """`data` as a frame; any thread may call it."""
        import zstandard

        if not hasattr(self._local, "zstd"):
            self._local.zstd = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        zstd: Any = self._local.zstd
        return bytes(zstd.compress(data))

    def pack_block(self, block: Block) -> tuple[list[Packed], bytes]:
        """A block as frames, padded to whole sectors, and its checksum; any thread may call it."""
        if not block.hole:
            data = block.read()
            return self._frames(data), checksums.checksum(data)
        if block.size not in self._zeros:
            self._zeros[block.size] = self._frames(bytes(block.size))
        return self._zeros[block.size], sum_of(block)

    def add(self, frames: Sequence[Packed]) -> None:
        """Write frames."""
        for frame, size in frames:
            _write(self._fd, frame)
            self._sizes.append((len(frame), size))

    def add_file(self, name: str, data: bytes) -> None:
        """Write a whole small file."""
        self.add_header(name, len(data))
        for at in range(0, len(data), checksums.BLOCK):
            self.add(self._frames(data[at : at + checksums.BLOCK]))

    def add_header(self, name: str, size: int) -> None:
        """Write the tar header of a file."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(time.time())
        self.add([(self.pack(info.tobuf(tarfile.GNU_FORMAT)), SECTOR)])

    def finish(self) -> None:
        """Write the end of the archive, and the index with a copy."""
        self.add([(self.pack(bytes(END)), END)])
        _write(self._fd, double_table(self._sizes))

    def _frames(self, data: bytes) -> list[Packed]:
        """A block's frame; two, if one would be as large as that of a header."""
        whole = data + bytes(padded(len(data)) - len(data))
        size = SECTOR // 2 if len(whole) == SECTOR else len(whole)
        parts = [whole[at : at + size] for at in range(0, len(whole), size or 1)]
        return [(self.pack(part), len(part)) for part in parts]


def pack(
    paths: Sequence[tuple[str, str]], fd: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the files `paths` (name and path) and their checksums as a packed capture to `fd`.

    :raises OSError: there is no room
    """
    packer, taker, done = Packer(fd), SumTaker(), 0
    with OpenFiles(paths) as files:
        sizes = files.sizes
        for block, (frames, value) in in_threads(packer.pack_block, files.all_blocks()):
            if block.offset == 0:
                packer.add_header(block.file, sizes[block.file])
            packer.add(frames)
            taker.add(block, value)
            done += block.size
            if progress:
                progress(done, sum(sizes.values()))
        for block in files.blocks(FILE_NAME) if FILE_NAME in sizes else ():
            packer.add_file(FILE_NAME, block.read())
    packer.add_file(CHECKSUM_FILE, checksums.build(taker.sums()))
    packer.finish()


def _write(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])
