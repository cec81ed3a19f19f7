# SPDX-License-Identifier: MIT
"""How far a kernel is, by its own word: ``system_state`` (``include/linux/kernel.h``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.btf.format import Kind

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

PREFIX = "SYSTEM_"

#: since d2635f2012a4, 5.16; only where the kernel carries no types
STATES = (
    "booting", "scheduling", "freeing_initmem", "running", "halt", "power_off", "restart",
    "suspend",
)  # fmt: skip

ENDED = {
    "halt": "it has halted the machine",
    "power_off": "it has switched the machine off",
    "restart": "it has restarted the machine, or handed it over by kexec",
}
"""States after which a kernel runs no more, as clauses."""

NO_CPU = -1
"""Value of `panic_cpu` while there is no panic: PANIC_CPU_INVALID."""


def system_state(kernel: KernelImage) -> str:
    """``running``, ``restart``, …: an enumerator of ``enum system_states`` without its prefix.

    :raises KernelError: it has no such variable, or its value is none of them
    :raises FaultError: its memory is gone
    """
    value = number(kernel, "system_state")
    found = _names(kernel).get(value)
    if found is None:
        raise KernelError(f"its system_state is {value}, which has no name")
    return found


def number(kernel: KernelImage, name: str) -> int:
    """A global ``int``, ``atomic_t`` or enumeration."""
    raw = kernel.virtual.read(kernel.symbol(name).address, 4)
    return int.from_bytes(raw, "little", signed=True)


def _names(kernel: KernelImage) -> dict[int, str]:
    try:
        btf = kernel.btf
        found = btf.by_name(Kind.ENUM, "system_states")
        items = [] if found is None else btf.enumerators(found)
    except (KernelError, FaultError):
        items = []
    named = {item.value: item.name.removeprefix(PREFIX).lower() for item in items}
    return named or dict(enumerate(STATES))
