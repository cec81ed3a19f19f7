# SPDX-License-Identifier: MIT
"""Captures: how long two guests stand still against ``cp`` of their RAM files, and how fast
RAM is packed against ``zstd -1 -T0``.

The guests are a fake lab whose monitors answer at once, so that of the standstill only what
depends on RAM is measured; ``NTBDBG_BENCH_LAB=NAME`` takes a lab of this user that runs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ntbdbg.lab.manifest import lab_files
from tests.bench.memory import MIB, fill, in_use
from tests.bench.ratio import Contest, need, ntbdbg, process, run
from tests.bench.result import WALL, Result, at_most, tell
from tests.support.fakelab import FakeLab

SIZE = 256 * MIB
HOLES = 0.6
ROUNDS = 7
STANDSTILL, PACKING = 0.1, 1.0


def standstill(
    out: Path, ram: list[Path], words: list[str], env: Mapping[str, str], rounds: int
) -> int:
    """Take turns with cp; gives the exit code."""
    ours, theirs = [], []
    for _ in range(rounds):
        argv = [*ntbdbg(), *words, "capture", str(out), "--force", "--json"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        ours.append(json.loads(done.stdout)["standstill"])
        start = time.perf_counter()
        for path in ram:
            subprocess.run(["cp", path, out.with_name("copy")], check=True)
        theirs.append(time.perf_counter() - start)
    mine, other = statistics.median(ours), statistics.median(theirs)
    budget, holds = at_most(STANDSTILL, mine / other)
    what, against = f"standstill of two guests, each of {in_use(ram[0])}", "cp of their RAM"
    values = (f"{mine * 1e3:.1f} ms", against, f"{other * 1e3:.1f} ms")
    return tell(Result(what, *values, mine / other, budget, holds, WALL))


PACK = """
import os, sys
from ntbdbg.capture.reading.packing import pack
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
pack([(os.path.basename(path) + str(n), path) for n, path in enumerate(sys.argv[2:])], fd)
"""


def packing(out: Path, ram: list[Path]) -> Contest:
    """Both write to a file; ours takes checksums as well."""
    theirs = process("zstd", "-1", "-T0", "-q", "-f", "-c", *ram, output=out.with_name("zst"))
    ours = process(sys.executable, "-c", PACK, out.with_name("packed"), *ram)
    return Contest("packing of their RAM files : zstd -1 -T0", ours, theirs, PACKING)


def main() -> int:
    need("cp", "zstd")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    name = os.environ.get("NTBDBG_BENCH_LAB")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.cap"
        if name:
            manifest = json.loads(Path(lab_files()[name]).read_bytes())
            ram = [Path(guest["ram"]["path"]) for guest in manifest["guests"]]
            worst = standstill(out, ram, ["--lab", name], os.environ, rounds)
            return max(worst, run([packing(out, ram)], rounds))
        with (
            tempfile.TemporaryDirectory(dir="/dev/shm") as shm,
            FakeLab(Path(shm), ram=SIZE) as lab,
        ):
            ram = [lab.ram_path(guest) for guest in ("qemu1", "qemu2")]
            for path in ram:
                fill_in_place(path)
            worst = standstill(out, ram, [], lab.environ, rounds)
            return max(worst, run([packing(out, ram)], rounds))


def fill_in_place(path: Path) -> None:
    """Give the file at `path`, whose inode the lab knows, a guest's memory."""
    new = path.with_suffix(".new")
    fill(new, SIZE, holes=HOLES)
    words = [f"if={new}", f"of={path}", "bs=4K", "conv=sparse,notrunc", "status=none"]
    subprocess.run(["dd", *words], check=True)
    new.unlink()


if __name__ == "__main__":
    sys.exit(main())
