# SPDX-License-Identifier: MIT
"""A hex dump of 64 MiB to a file, against xxd."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.memory import MIB, fill
from tests.bench.ratio import Contest, need, ntbdbg, process, run

SIZE = 64 * MIB

if __name__ == "__main__":
    need("xxd")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        ram = folder / "ram"
        fill(ram, SIZE)
        words = ["dump", str(ram), "0", str(SIZE), "--segments", f"0:{SIZE}:0"]
        ours = process(*ntbdbg(), *words, output=folder / "ours")
        whole = process(*ntbdbg(), *words, "--no-squeeze", output=folder / "ours")
        contests = [
            Contest(
                "hex dump of 64 MiB all in use : xxd -a",
                ours,
                process("xxd", "-a", ram, output=folder / "t"),
                0.5,
            ),
            Contest(
                "the same, every line : xxd",
                whole,
                process("xxd", ram, output=folder / "t"),
                0.5,
            ),
        ]
        sys.exit(run(contests, 7))
