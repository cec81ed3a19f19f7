# SPDX-License-Identifier: MIT
"""Which guest-physical addresses lie where in a RAM file, by QEMU's rule for its machines.

`ntbdbg.lab.sources.flatmap` has the map that a running QEMU itself shows; the two must agree.
"""

from __future__ import annotations

from ntbdbg.arch.machines import MACHINES
from ntbdbg.lab.manifest import SegmentRecord
from ntbdbg.lab.sources.flatmap import records_of


def rule(machine: str, size: int) -> tuple[SegmentRecord, ...]:
    """Segments of `size` bytes of RAM of a machine, by QEMU's name of it: ``q35``."""
    return records_of(MACHINES[machine].ranges(size))
