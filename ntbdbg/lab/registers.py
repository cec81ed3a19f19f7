# SPDX-License-Identifier: MIT
"""Registers of every virtual processor, from QEMU's monitor while it stands still.

QMP has no command for them, the human monitor has ``info registers -a``; each architecture has
its own text there.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ntbdbg.arch.known import ALL, by_name
from ntbdbg.errors import QmpError
from ntbdbg.kernel.image.limits import MOST_CPUS
from ntbdbg.lab.manifest import VcpuRecord

if TYPE_CHECKING:
    from ntbdbg.arch.base import Architecture
    from ntbdbg.lab.qmp import Qmp


def read_registers(qmp: Qmp, arch: str) -> tuple[VcpuRecord, ...]:
    """Every processor of the guest behind `qmp`, by number; torn unless it stands still.

    :param arch: the guest's architecture, as run.json has it
    :raises QmpError: QEMU refuses, or says something that is not understood
    """
    known = by_name(arch)
    found = parse_registers(qmp.human("info registers -a"), known) if known else ()
    if not found:
        names = ", ".join(one.name for one in ALL)
        raise QmpError(
            f"{qmp.who}: QEMU's 'info registers -a' is not understood",
            hint=f"only registers of {names} guests are known",
        )
    return found


def parse_registers(text: str, arch: Architecture) -> tuple[VcpuRecord, ...]:
    """The processors in the text of ``info registers -a`` of which all that is needed is told."""
    records = [VcpuRecord(*found) for found in islice(arch.monitored(text), MOST_CPUS)]
    needed = arch.registers.needed
    return tuple(record for record in records if all(n in record.registers for n in needed))
