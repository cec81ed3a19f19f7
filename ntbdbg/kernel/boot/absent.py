# SPDX-License-Identifier: MIT
"""Why no kernel in a RAM is understood, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.arch.foreign import of_vmcoreinfo
from ntbdbg.errors import FaultError, ForeignError, KernelError
from ntbdbg.kernel.boot.locate import find_displaced, implausible

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

_WORKS = "guest-physical addresses still work"


def why_absent(memory: PhysicalMemory, texts: list[Vmcoreinfo]) -> KernelError:
    """The error for a RAM with no kernel but what `texts` may have been."""
    for info in texts:
        if not of_vmcoreinfo(info.text):
            return _implausible(memory, info)
    for info in texts:
        return _foreign(memory, info)
    displaced = find_displaced(memory)
    if displaced is not None:
        return _displaced(memory, displaced)
    return KernelError(
        f"{memory.name}: no Linux kernel that keeps VMCOREINFO is in its RAM",
        hint="it may still be in its firmware or boot loader, or be built without CONFIG_KEXEC "
        "or CONFIG_CRASH_DUMP; guest-physical addresses work all the same",
    )


def elsewhere(problem: str | None) -> str:
    """A further hint, "" if it does not belong to `problem`: part of the RAM may not be there."""
    if not problem or "beyond the end of RAM" not in problem:
        return ""
    return (
        "; or is more of its RAM elsewhere (in another NUMA node's file, hot-plugged), or not "
        "where it is taken to be? --segments says where a file's RAM lies"
    )


def _implausible(memory: PhysicalMemory, info: Vmcoreinfo) -> KernelError:
    try:
        problem = implausible(memory, info)
    except FaultError as error:
        problem = error.message
    return KernelError(
        f"{memory.name}: Linux {info.release} left its VMCOREINFO {info.place}, but {problem}",
        hint=f"it does not run any more, or its memory is damaged; {_WORKS}{elsewhere(problem)}",
    )


def _foreign(memory: PhysicalMemory, info: Vmcoreinfo) -> ForeignError:
    architecture = of_vmcoreinfo(info.text) or "another architecture"
    return ForeignError(
        f"{memory.name}: its kernel, Linux {info.release}, is one for {architecture}",
        architecture,
        hint=f"only x86-64 is understood; {_WORKS}, if --segments is right",
    )


def _displaced(memory: PhysicalMemory, info: Vmcoreinfo) -> KernelError:
    return KernelError(
        f"{memory.name}: Linux {info.release} left its VMCOREINFO {info.place}, which "
        "is no page: this is RAM in pieces that were laid end to end "
        "(as LiME's format 'raw' does), so no address in it is the guest's",
        hint="take LiME's format 'lime', or say where each piece belongs: --segments "
        "GPA:SIZE:OFFSET,…",
    )
