# SPDX-License-Identifier: MIT
"""Comparing two RAM files of 256 MiB, as a whole process, against ``cmp -l A B | cat``."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.memory import MIB, fill
from tests.bench.ratio import Contest, Work, need, ntbdbg, process, run

SIZE = 256 * MIB
BUDGET = 1.2


def spoil(path: Path, count: int, stretch: int = 1) -> None:
    """Change `count` stretches of bytes, at places that are always the same."""
    rng = random.Random(1)
    with path.open("r+b") as file:
        for at in rng.sample(range(SIZE - stretch), count):
            file.seek(at)
            old = file.read(stretch)
            file.seek(at)
            file.write(bytes(byte ^ 0x55 for byte in old))


def contests(folder: Path, what: str, holes: float) -> list[Contest]:
    base = folder / "a"
    fill(base, SIZE, holes=holes)
    found = []
    for name, count, stretch in (("1,000 bytes", 1000, 1), ("1 MiB in one piece", 1, MIB)):
        other = folder / f"b{count}"
        fill(other, SIZE, holes=holes)
        spoil(other, count, stretch)
        cmp: Work = process(
            "sh", "-c", f"cmp -l {shlex.quote(str(base))} {shlex.quote(str(other))} | cat"
        )
        words = [*ntbdbg(), "diff", str(base), str(other)]
        assert subprocess.run(words, capture_output=True).returncode == 1, "it does not work"
        ours = process(*words)
        found.append(Contest(f"diff of {what}, {name} differ : cmp -l | cat", ours, cmp, BUDGET))
    return found


if __name__ == "__main__":
    need("cmp")
    worst = 0
    for what, holes in (("256 MiB all in use", 0.0), ("256 MiB, 40 % in use", 0.6)):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            worst = max(worst, run(contests(Path(name), what, holes), 9))
    sys.exit(worst)
