# SPDX-License-Identifier: MIT
"""Searching 256 MiB, as a whole process, against grep and ripgrep."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.memory import MIB, NEEDLE, fill
from tests.bench.ratio import Contest, Work, need, ntbdbg, process, run

SIZE = 256 * MIB

#: a text, and what is hard: zeros first, then a byte that is everywhere, or seldom
NEEDLES = {
    "text": NEEDLE,
    "zeros, then 01": bytes(8) + b"\x01\x37",
    "zeros, then 48": bytes(8) + b"\x48\x9d",
    "a kernel pointer": bytes.fromhex("00f0a5810088ffff"),
}


def escaped(needle: bytes) -> str:
    """`needle` as a regular expression that all three programs take."""
    return "".join(f"\\x{byte:02x}" for byte in needle)


def contests(ram: Path, what: str) -> list[Contest]:
    locale = os.environ | {"LC_ALL": "C"}
    found = []
    for name, needle in NEEDLES.items():
        words = ["search", str(ram), f"hex:{needle.hex()}", "--segments", f"0:{SIZE}:0"]
        ours = process(*ntbdbg(), *words)
        grep: Work = process("grep", "-obUaP", escaped(needle), ram, env=locale)
        rg: Work = process("rg", "-a", "-o", "-b", "--no-unicode", f"(?-u){escaped(needle)}", ram)
        found.append(Contest(f"search of {what}, {name} : grep", ours, grep, 1.0))
        found.append(Contest(f"search of {what}, {name} : rg", ours, rg, 1.6))
    return found


if __name__ == "__main__":
    need("grep", "rg")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        full, sparse = Path(folder) / "full", Path(folder) / "sparse"
        fill(full, SIZE)
        fill(sparse, SIZE, holes=0.6)
        sys.exit(
            run(contests(full, "256 MiB all in use") + contests(sparse, "256 MiB, 40 % in use"), 7)
        )
