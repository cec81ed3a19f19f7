# SPDX-License-Identifier: MIT
"""A small dump, as a whole process, against importing click."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.ratio import Contest, ntbdbg, process, run
from tests.bench.result import PROCESSOR
from tests.support.fakelab import FakeLab

if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        FakeLab(Path(folder)) as lab,
    ):
        dump = process(*ntbdbg(), "dump", "qemu1", "0x1000", "64", env=lab.environ)
        click = process(sys.executable, "-c", "import click", env=lab.environ)
        name = "dump qemu1 0x1000 64, of a lab : import click"
        contests = [Contest(name, dump, click, 1.15, PROCESSOR)]
        sys.exit(run(contests, 31))
