# SPDX-License-Identifier: MIT
"""What a path such as ``ntb_hw_idt:idt_thread_isr`` or ``runqueues@1`` names in a kernel."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import KernelError
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.symbols.path import SymbolPath
from ntbdbg.kernel.symbols.symbols import IMAGE_START, Symbol

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

Member = Callable[[str], tuple[int, int]]
"""VA and bytes of what a path with members names."""


class Found(NamedTuple):
    """What a path names.

    :ivar path: with the symbol's name told apart from members
    :ivar symbol: where it starts
    :ivar address: VA of what is named, members and CPU taken into account
    :ivar size: bytes of it; of a bare symbol the distance to the next one, 0 if there is none
    :ivar others: further symbols of the same name
    """

    path: SymbolPath
    symbol: Symbol
    address: int
    size: int
    others: tuple[Symbol, ...] = ()


def lookup(kernel: KernelImage, text: str, member: Member) -> Found:
    """Find what `text` names: ``[MODULE:]SYMBOL[@CPU][.MEMBER…]``; the longest symbol wins.

    :param member: finds a member, following pointers on the way
    :raises UsageError: it is no such path
    :raises KernelError: no such symbol (with similar ones), CPU or member
    """
    path = SymbolPath.parse(text)
    symbol, *others = named(kernel, path)
    members = path.name[len(symbol.name) :] + path.members
    path = path._replace(name=symbol.name, members=members)
    address = on_cpu(kernel, symbol, path)
    if members:
        address, size = member(text)
        return Found(path, symbol, address, size, tuple(others))
    return Found(path, symbol, address, symbol.size, tuple(others))


def named(kernel: KernelImage, path: SymbolPath) -> list[Symbol]:
    """Every symbol that the longest part of `path` names which is one.

    Modules are looked at only if vmlinux has none: finding them takes longer.

    :raises KernelError: there is none, or no such module
    """
    names = [name for name, _ in path.splits()]
    now = Symbolizer(kernel)
    own = (kernel.table.named(name) for name in names if path.module is None)
    everywhere = (now.named(name, path.module) for name in names)
    for found in itertools.chain(own, everywhere):
        if found:
            return found
    return [now.symbol(names[-1], path.module)]


def is_percpu(kernel: KernelImage, symbol: Symbol) -> bool:
    """Whether each CPU has a copy of its own: then the address is a place in their areas."""
    if symbol.address < IMAGE_START:
        return True
    # Since 6.15 they have addresses like everything else (x86/percpu/64: relative offsets).
    start, end = (kernel.table.named(f"__per_cpu_{edge}") for edge in ("start", "end"))
    return bool(start and end) and start[0].address <= symbol.address < end[0].address


def on_cpu(kernel: KernelImage, symbol: Symbol, path: SymbolPath) -> int:
    """VA of the symbol that `path` names, on the CPU that it names.

    :raises KernelError: a CPU is missing, one too many, or not there
    """
    per_cpu = is_percpu(kernel, symbol)
    if path.cpu is not None:
        if not per_cpu:
            raise KernelError(
                f"{kernel.memory.name}: {symbol.name} is no per-CPU variable",
                hint=f"leave @{path.cpu} out",
            )
        return kernel.percpu(symbol.address, path.cpu)
    if per_cpu:
        cpus = ", ".join(map(str, kernel.cpus()[:8]))
        raise KernelError(
            f"{kernel.memory.name}: each CPU has its own {symbol.name}",
            hint=f"say which: {symbol.name}@CPU; CPUs: {cpus}",
        )
    return symbol.address
