# SPDX-License-Identifier: MIT
"""Where the RAM of a file lies, by the word of the Linux inside.

Firmware such as UEFI leaves no memory map in low memory. The kernel keeps one, in `boot_params`
(``arch/x86/kernel/setup.c``); but where the kernel is, only the map tells. So each place that QEMU
could have given to the file's parts is tried: in the wrong one page tables lead nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from ntbdbg.arch.machines import ABOVE_4G, PC, Q35
from ntbdbg.arch.x86.e820 import ZERO_PAGE_SIZE, e820_entries, has_map, ranges_of
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.boot.locate import contradiction, implausible, scan
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.memory.layout import as_seen, qemu_segments, segments_at
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment, SegmentMap


def told_by_kernel(path: str, size: int) -> SegmentMap | None:
    """The segments of `size` bytes of RAM in the file at `path`; None if no kernel tells."""
    with closing(RamFile(path, [Segment(0, size, 0)], name=path)) as flat:
        found = scan(flat)
    for segments in _possible(size) if found else ():
        with closing(RamFile(path, segments, name=path)) as memory:
            for info in found:
                if implausible(memory, info) or contradiction(memory, info):
                    continue
                told = _boot_map(Kernel(memory, info), size)
                if told is not None:
                    return told
    return None


def _possible(size: int) -> Iterator[SegmentMap]:
    yield from (qemu_segments(machine.name, size) for machine in (Q35, PC))
    if size <= ABOVE_4G:
        yield as_seen([Segment(0, size, 0)], Q35.name)


def _boot_map(kernel: Kernel, size: int) -> SegmentMap | None:
    try:
        page = kernel.virtual.read(kernel.symbol("boot_params").address, ZERO_PAGE_SIZE)
    except (KernelError, FaultError):
        return None
    told = ranges_of(e820_entries(page), size) if has_map(page) else None
    return None if told is None else segments_at(told)
