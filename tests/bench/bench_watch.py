# SPDX-License-Identifier: MIT
"""How often ``watch`` looks at 1 MiB in a second, while something changes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.memory import MIB, fill
from tests.bench.ratio import ntbdbg
from tests.bench.result import Result, at_least, tell

SIZE = 4 * MIB
BUDGET = 10_000
SECONDS = 2


def disturb(path: Path, stop: threading.Event, pause: float) -> None:
    """Change a byte every `pause` seconds."""
    fd = os.open(path, os.O_WRONLY)
    number = 0
    while not stop.wait(pause):
        number += 1
        os.pwrite(fd, bytes([number & 0xFF]), 2 * MIB + number * 4099 % MIB)
    os.close(fd)


def rate(path: Path, pause: float) -> float:
    """Samples per second as watch itself reports them."""
    stop = threading.Event()
    thread = threading.Thread(target=disturb, args=(path, stop, pause))
    thread.start()
    words = ["watch", str(path), "2M", "1M", "--interval", "0", "--timeout", str(SECONDS)]
    done = subprocess.run([*ntbdbg(), *words, "--json"], capture_output=True, text=True)
    stop.set()
    thread.join()
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def main() -> int:
    """Print a row per disturbance; 1 if a rate is below the budget."""
    worst = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        path = Path(name) / "ram"
        fill(path, SIZE)
        for label, pause in (("1 change/s", 1.0), ("100 changes/s", 0.01)):
            found = rate(path, pause)
            what, value = f"watch of 1 MiB, {label}", f"{found:.0f} samples/s"
            budget, holds = at_least(BUDGET, found)
            worst |= tell(Result(what, value, budget=budget, holds=holds))
    return worst


if __name__ == "__main__":
    sys.exit(main())
