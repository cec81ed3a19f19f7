# SPDX-License-Identifier: MIT
"""The loaded modules: the kernel's list ``modules`` of ``struct module`` (``kernel/module``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.budget import SpentError
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.btf.layout import Layouts, Record
from ntbdbg.kernel.modules.listing import Listing, walk_list

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.memory.base import PhysicalMemory

MOST_MODULES = 4096
MOST_USERS = 256
STEPS_OF_A_MODULE = 64
"""What it takes to read one and to show it, in steps of the budget."""

MOST_MEMORIES = 32
"""Kinds of memory of a module; Linux has 7 (MOD_MEM_NUM_TYPES)."""

MODULE_REF_BASE = 1

STATES = ("live", "coming", "going", "unformed")
"""``enum module_state``."""


class Region(NamedTuple):
    """Memory of a module.

    :ivar kind: ``text``, ``data``, ``rodata``, …; before 6.4 only ``core`` and ``init``
    """

    kind: str
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end


@dataclass(frozen=True)
class Module:
    """A module, as of one moment.

    :ivar address: VA of its ``struct module``
    :ivar base: VA of its text
    :ivar size: bytes of all its memory
    :ivar state: ``live``, ``coming``, ``going`` or ``unformed``
    :ivar references: how often it is used, as ``lsmod`` shows it
    :ivar users: modules that use it
    """

    name: str
    address: int
    base: int
    size: int
    state: str
    references: int
    users: tuple[str, ...]
    taints: int
    regions: tuple[Region, ...]
    record: Record = field(repr=False, compare=False)

    def __contains__(self, address: object) -> bool:
        return any(address in region for region in self.regions)

    @property
    def is_permanent(self) -> bool:
        """Whether it cannot be unloaded, for want of an exit function."""
        known = self.record.has("init") and self.record.has("exit")
        return known and bool(self.record.number("init")) and not self.record.number("exit")


def loaded_modules(kernel: KernelImage) -> Listing[Module]:
    """The modules of `kernel`, the one loaded last first; `partial` says if some may lack.

    :raises KernelError: it has none, or no types that tell where they are
    """
    head = kernel.own_address("modules", "it was built without CONFIG_MODULES")
    return ModuleWalker(kernel.virtual, kernel.layouts, kernel.budget).walk(head)


class ModuleWalker:
    """Finds the modules of one kernel.

    :param virtual: its memory by VA
    :param layouts: its structures
    :param budget: what is spent on all of them
    :raises KernelError: there are no modules in these types
    """

    def __init__(self, virtual: PhysicalMemory, layouts: Layouts, budget: Budget) -> None:
        self.virtual, self.budget = virtual, budget
        self.layouts = layouts
        self.module = layouts["module"]

    def walk(self, head: int) -> Listing[Module]:
        """Every module, the one loaded last first.

        :param head: VA of the list head ``modules``
        """
        nodes = walk_list(self.virtual, head, MOST_MODULES, self.budget)
        found: Listing[Module] = Listing()
        found.partial = nodes.partial
        offset = self.module.find("list").offset
        for node in nodes:
            try:
                self.budget.step(STEPS_OF_A_MODULE)
                found.append(self._module(node - offset))
            except SpentError as error:
                found.partial = error.message
                break
            except FaultError as error:
                found.partial = f"struct module at {node - offset:#x}: {error.message}"
        return found

    def _module(self, address: int) -> Module:
        record = self.module.parse(self.virtual, address)
        regions = tuple(self._regions(record))
        state = record.number("state")
        references = record.number("refcnt") if record.has("refcnt") else MODULE_REF_BASE
        return Module(
            name=record.text("name"),
            address=address,
            base=regions[0].start if regions else 0,
            size=sum(region.size for region in regions),
            state=STATES[state] if state < len(STATES) else f"state {state}",
            references=references - MODULE_REF_BASE,
            users=tuple(self._users(record)),
            taints=record.number("taints") if record.has("taints") else 0,
            regions=regions,
            record=record,
        )

    def _regions(self, record: Record) -> Iterator[Region]:
        """Its memory, text first."""
        if record.has("mem"):  # 6.4, ac3b432839234 ("module: replace module_layout with …")
            places = [(kind, f"mem[{i}]") for i, kind in enumerate(self._memory_kinds)]
        else:  # 4.5, 7523e4dc5057 ("module: use a structure to encapsulate layout.")
            places = [("core", "core_layout"), ("init", "init_layout")]
        for kind, path in places:
            size = record.number(f"{path}.size")
            if size:
                yield Region(kind, record.number(f"{path}.base"), size)

    @cached_property
    def _memory_kinds(self) -> list[str]:
        """Names of the elements of ``mem``, from ``enum mod_mem_type``."""
        count = self.module.length("mem", MOST_MEMORIES)
        kinds = [f"memory {index}" for index in range(count)]
        btf = self.layouts.btf
        found = btf.enumerator("MOD_TEXT")
        for item in btf.enumerators(found[0]) if found else ():
            if 0 <= item.value < count:
                kinds[item.value] = item.name.removeprefix("MOD_").lower()
        return kinds

    def _users(self, record: Record) -> Iterator[str]:
        if not record.has("source_list"):  # CONFIG_MODULE_UNLOAD is off
            return
        use = self.layouts["module_use"]
        offset, name = use.find("source_list").offset, self.module.find("name")
        for node in walk_list(self.virtual, record.at("source_list"), MOST_USERS, self.budget):
            try:
                user = use.parse(self.virtual, node - offset).number("source")
                raw = self.virtual.read(user + name.offset, name.size)
            except (FaultError, KernelError):
                return
            yield raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")
