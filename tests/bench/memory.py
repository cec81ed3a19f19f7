# SPDX-License-Identifier: MIT
"""RAM files for benchmarks: what a guest's memory is like, the same in every run."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
NEEDLE = b"ntbdbg-needle-017"


def fill(path: Path, size: int, *, zeros: float = 0.2, holes: float = 0) -> None:
    """Write `size` bytes to `path`: code and text of this interpreter, noise, zero pages.

    :param zeros: share of pages that are zeros
    :param holes: share of pages that were never touched, about: as in a guest's RAM
    """
    chance = random.Random(7)
    code = _code()
    with path.open("wb") as file:
        file.truncate(size)
        for touched in _touched(size // 4096, holes):
            if not touched:
                file.seek(4096, os.SEEK_CUR)
                continue
            kind = chance.random()
            if kind < zeros:
                file.write(bytes(4096))
            elif kind < zeros + 0.1:
                file.write(chance.randbytes(4096))
            else:
                at = chance.randrange(len(code) - 4096)
                file.write(code[at : at + 4096])
        file.seek(size * 3 // 4 + 123)
        file.write(NEEDLE)


def in_use(path: Path) -> str:
    """How large the file is, and how much of it a guest has touched."""
    status = path.stat()
    return f"{status.st_size // MIB} MiB, {status.st_blocks * 512 // MIB} of them in use"


def _touched(pages: int, holes: float) -> Iterator[bool]:
    """Whether each page is; touched pages and others come in stretches of 4 KiB to 4 MiB."""
    chance = random.Random(11)
    touched = True
    while pages > 0:
        length = 2 ** chance.uniform(0, 10)
        if not touched:
            length *= holes / (1 - holes)
        yield from [touched] * min(int(length), pages)
        pages -= int(length)
        touched = not touched


def _code() -> bytes:
    """Machine code, tables and text from the shared libraries of this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split()[-1] for line in lines if ".so" in line or "python" in line}
    return b"".join(Path(p).read_bytes() for p in sorted(paths) if Path(p).is_file())
