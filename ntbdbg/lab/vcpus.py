# SPDX-License-Identifier: MIT
"""Registers of a guest's processors, wherever they are known from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import QmpError
from ntbdbg.lab.manifest import VcpuRecord
from ntbdbg.memory.image import ImageMemory

if TYPE_CHECKING:
    from ntbdbg.lab.place import GuestLike


class Vcpus(NamedTuple):
    """What is known of the processors.

    :ivar records: by number; none if nothing is known
    :ivar torn: whether they ran while they were read
    :ivar why: why there are none
    """

    records: tuple[VcpuRecord, ...] = ()
    torn: bool = False
    why: str = ""


def vcpus_of(guest: GuestLike) -> Vcpus:
    """From the dump or capture that the guest is in, or from QEMU, if it runs."""
    if isinstance(guest.memory, ImageMemory):
        found = guest.memory.facts.vcpus
        records = tuple(VcpuRecord(index, dict(regs)) for index, regs in enumerate(found))
        return Vcpus(records, why="" if records else "the dump has no notes of processors")
    if guest.record is None:
        return Vcpus(why="a bare RAM file holds no registers")
    if guest.record.vcpus:
        return Vcpus(guest.record.vcpus)
    if not guest.record.is_alive():
        return Vcpus(why="its QEMU is gone, and its registers with it")
    return _from_qemu(guest)


def _from_qemu(guest: GuestLike) -> Vcpus:
    from ntbdbg.lab.recorded import architecture_of
    from ntbdbg.lab.registers import read_registers

    try:
        with guest.qmp() as qmp:
            running = bool(qmp.execute("query-status")["running"])
            registers = read_registers(qmp, architecture_of(guest.record))
            return Vcpus(registers, torn=running)
    except QmpError as error:
        return Vcpus(why=error.message)
