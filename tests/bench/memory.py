# SPDX-License-Identifier: MIT
"""RAM files for benchmarks: what a guest's memory is like, the same in every run."""

from __future__ import annotations

import random
from pathlib import Path

MIB = 1 << 20
NEEDLE = b"ntbdbg-needle-017"


def fill(path: Path, size: int, *, zeros: float = 0.2) -> None:
    """Write `size` bytes to `path`: code and text of this interpreter, noise, zero pages.

    :param zeros: share of pages that are zeros
    """
    chance = random.Random(7)
    code = _code()
    with path.open("wb") as file:
        for _ in range(0, size, 4096):
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


def _code() -> bytes:
    """Machine code, tables and text from the shared libraries of this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split()[-1] for line in lines if ".so" in line or "python" in line}
    return b"".join(Path(p).read_bytes() for p in sorted(paths) if Path(p).is_file())
