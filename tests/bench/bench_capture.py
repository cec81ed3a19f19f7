# SPDX-License-Identifier: MIT
"""Captures: how long two guests stand still against ``cp`` of their RAM files, and how fast
RAM is packed against ``zstd -1 -T0``.

    python3 tests/bench/bench_capture.py [LAB]

Without LAB the guests are a fake lab whose monitors answer at once, so that of the standstill
only what depends on the RAM is measured; with it, a lab of this user that runs.
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

from ntbdbg.target.manifest import lab_files
from tests.bench.memory import MIB, fill
from tests.bench.ratio import Contest, need, ntbdbg, process, run
from tests.support.fakelab import FakeLab

SIZE = 256 * MIB
HOLES = 0.6
ROUNDS = 7
STANDSTILL, PACKING = 1.0, 1 / 0.8


def standstill(out: Path, ram: list[Path], words: list[str], env: Mapping[str, str]) -> int:
    """Take turns with cp; gives the exit code."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        argv = [*ntbdbg(), *words, "capture", str(out), "--force", "--json"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        ours.append(json.loads(done.stdout)["standstill"])
        start = time.perf_counter()
        for path in ram:
            subprocess.run(["cp", path, out.with_name("copy")], check=True)
        theirs.append(time.perf_counter() - start)
    mine, other = statistics.median(ours), statistics.median(theirs)
    verdict = "ok" if mine <= STANDSTILL * other else "OVER BUDGET"
    print(
        f"{'standstill of two guests : cp of their RAM':<44} {mine * 1e3:8.1f} ms / "
        f"{other * 1e3:8.1f} ms = {mine / other:5.2f} (budget {STANDSTILL:g})  {verdict}"
    )
    return int(mine > STANDSTILL * other)


PACK = """
import os, sys
from ntbdbg.target.capture.packing import pack
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
    name = sys.argv.pop(1) if len(sys.argv) > 1 else None
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir="/dev/shm") as shm,
    ):
        out = Path(folder) / "x.cap"
        if name is not None:
            manifest = json.loads(Path(lab_files()[name]).read_bytes())
            ram = [Path(guest["ram"]["path"]) for guest in manifest["guests"]]
            worst = standstill(out, ram, ["--lab", name], os.environ)
            return max(worst, run([packing(out, ram)], ROUNDS))
        with FakeLab(Path(shm), ram=SIZE) as lab:
            ram = [lab.ram_path(guest) for guest in ("qemu1", "qemu2")]
            for path in ram:
                fill(path.with_suffix(".new"), SIZE, holes=HOLES)
                subprocess.run(
                    [
                        "dd",
                        f"if={path.with_suffix('.new')}",
                        f"of={path}",
                        "bs=1M",
                        "conv=sparse,notrunc",
                        "status=none",
                    ],
                    check=True,
                )
                path.with_suffix(".new").unlink()
            worst = standstill(out, ram, [], lab.environ)
            return max(worst, run([packing(out, ram)], ROUNDS))


if __name__ == "__main__":
    sys.exit(main())
