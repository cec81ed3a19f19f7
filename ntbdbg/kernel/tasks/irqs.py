# SPDX-License-Identifier: MIT
"""One interrupt of a kernel: ``struct irq_desc`` (``include/linux/irqdesc.h``), found by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.tasks.indexed import load_maple, load_xarray

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.image.image import KernelImage

DISABLED, MASKED, IN_PROGRESS = 1 << 16, 1 << 17, 1 << 18
"""``IRQD_…`` of include/linux/irq.h, in ``irq_common_data.state_use_accessors``."""

COUNTER = 4
"""Bytes of what each CPU counts: an ``unsigned int``, since 86d2a2f51fba (6.10) the first of a
``struct irqstat``."""


@dataclass(frozen=True)
class MsiMessage:
    """What a device is to write, and where: ``struct msi_msg``."""

    address: int
    data: int

    def __str__(self) -> str:
        return f"address {self.address:#x} data {self.data:#x}"


@dataclass(frozen=True)
class Irq:
    """One interrupt.

    :ivar handled: whether a handler is registered
    :ivar depth: how often it was disabled and not enabled again; 0 while enabled
    :ivar masked: kept from coming, and by nobody who handles it just now
    :ivar count: how many came, of all CPUs, as /proc/interrupts has them
    :ivar message: what the kernel gave to the device, None if it is no MSI
    """

    number: int
    handled: bool
    depth: int
    masked: bool
    count: int
    message: MsiMessage | None


def read_irq(kernel: KernelImage, number: int) -> Irq | None:
    """Interrupt `number`, None if the kernel has none such.

    :raises KernelError: the kernel's types do not tell, or its tree of interrupts is damaged
    :raises FaultError: what belongs to it is not there
    """
    address = _find(kernel, number)
    if not address:
        return None
    kernel.budget.take(items=1)
    record = kernel.layouts["irq_desc"].parse(kernel.virtual, address)
    state = record.number("irq_common_data.state_use_accessors")
    # A threaded handler keeps its interrupt masked while it works.
    works = state & IN_PROGRESS or record.number("threads_oneshot")
    return Irq(
        number=number,
        handled=bool(record.number("action")),
        depth=record.number("depth") if state & DISABLED else 0,
        masked=bool(state & MASKED) and not works,
        count=_count(kernel, record.number("kstat_irqs")),
        message=_message(kernel, record),
    )


def _find(kernel: KernelImage, number: int) -> int:
    """VA of the ``struct irq_desc``: a maple tree has them since 721255b9826b (6.5)."""
    found = kernel.table.named("sparse_irqs")
    if found:
        return load_maple(kernel, found[0].address, number)
    found = kernel.table.named("irq_desc_tree")
    if not found:
        raise KernelError(
            f"Linux {kernel.info.release} keeps its interrupts in no tree",
            hint="it was built without CONFIG_SPARSE_IRQ",
        )
    return load_xarray(kernel, found[0].address, number)


def _count(kernel: KernelImage, pointer: int) -> int:
    cpus = kernel.cpus() if pointer else []
    kernel.step(len(cpus))
    places = (kernel.percpu(pointer, cpu) for cpu in cpus)
    return sum(kernel.virtual.word(at, COUNTER) for at in places)


def _message(kernel: KernelImage, record: Record) -> MsiMessage | None:
    if not record.has("irq_common_data.msi_desc"):
        return None  # without CONFIG_GENERIC_MSI_IRQ
    address = record.number("irq_common_data.msi_desc")
    if not address:
        return None
    found = kernel.layouts["msi_desc"].parse(kernel.virtual, address)
    low, high = found.number("msg.address_lo"), found.number("msg.address_hi")
    return MsiMessage(high << 32 | low, found.number("msg.data"))
