# SPDX-License-Identifier: MIT
"""QEMU 10.2, which Yocto's release wrynose has: the device must compile there as well.

Debian keeps a source package of it in sid, among newer ones, for as long as it pleases.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from run.base.config import Paths
from run.base.errors import RunError
from run.debian.release import open_apt, refresh
from run.qemu import overlay
from run.qemu.build import OVERLAY, SUITE, make_inputs
from run.qemu.compile import Compilation
from run.steps.steps import Steps
from run.steps.store import Store

SOURCE = "debian:sid/10.2"


@contextmanager
def compilation(
    steps: Steps, paths: Paths, *, jobs: int, mirror: str | None = None
) -> Iterator[Compilation]:
    """Our overlay over that source; raises RunError where Debian does not tell of one."""
    apt = open_apt(paths, SUITE, mirror, types="deb deb-src")
    refresh(steps, apt, "qemu: package lists")
    with tempfile.TemporaryDirectory(prefix="ntbdbg-qemu-") as scratch:
        mine = Path(scratch) / "overlay"
        overlay.snapshot(OVERLAY, mine)
        inputs = make_inputs(steps, paths, apt, mine, SOURCE, mirror)
        yield Compilation(steps, paths, apt, inputs, Store(paths.cache / "builds"), jobs)


def fetch(steps: Steps, paths: Paths, *, jobs: int, mirror: str | None = None) -> None:
    """Get that source into the cache; where it is not to be had, say so and go on without."""
    try:
        with compilation(steps, paths, jobs=jobs, mirror=mirror) as there:
            there.fetch_source()
    except RunError as error:
        steps.say(f"the device will not be compiled for QEMU 10.2: {error}")
