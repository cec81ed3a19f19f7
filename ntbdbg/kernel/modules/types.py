# SPDX-License-Identifier: MIT
"""The types that modules carry: the kernel's list ``btf_modules`` (``kernel/bpf/btf.c``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.modules.listing import walk_list
from ntbdbg.kernel.modules.moduledata import damaged

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.modules.modules import Module

MOST_MODULES = 4096
MOST_BYTES = 32 << 20
"""Of one module; the largest have some 100 KiB."""

MAKE_BTF = "'pahole -J --btf_base VMLINUX MODULE.ko' adds them before the module is loaded"
"""What a build of modules does by itself where it finds vmlinux, and
CONFIG_DEBUG_INFO_BTF_MODULES is on (scripts/Makefile.modfinal)."""


class ModuleTypes:
    """Where each module's types are, as of one moment.

    :raises KernelError: the kernel has no such structures
    """

    def __init__(self, kernel: KernelImage) -> None:
        self._kernel = kernel
        self._budget = kernel.budget
        self._problem: str | None = None
        self._places = self._walk()

    def of(self, module: Module) -> Btf:
        """The types of a module, on those of vmlinux.

        :raises KernelError: it has none, or they make no sense
        """
        place = self._places.get(module.address)
        if place is None and self._problem is not None:
            raise damaged(module, f"its types are not in RAM: {self._problem}")
        if place is None:
            raise KernelError(
                f"module {module.name} carries no types",
                hint=MAKE_BTF,
            )
        return Btf.parse(self._raw(module, place), self._kernel.btf, name=module.name)

    def _walk(self) -> dict[int, int]:
        """VA of each module's ``struct btf``, by that of its ``struct module``."""
        head = self._kernel.own_address("btf_modules", "CONFIG_DEBUG_INFO_BTF_MODULES is off")
        virtual, entry = self._kernel.virtual, self._kernel.layouts["btf_module"]
        offset = entry.find("list").offset
        found: dict[int, int] = {}
        nodes = walk_list(virtual, head, MOST_MODULES, self._budget)
        self._problem = nodes.partial
        for node in nodes:
            try:
                item = entry.parse(virtual, node - offset)
            except FaultError as error:
                self._problem = error.message
                break
            found.setdefault(item.number("module"), item.number("btf"))
        return found

    def _raw(self, module: Module, place: int) -> bytes:
        virtual = self._kernel.virtual
        try:
            types = self._kernel.layouts["btf"].parse(virtual, place)
            size = types.number("data_size")
            if size > MOST_BYTES:
                raise damaged(module, f"it claims {size} bytes of types")
            self._budget.take(bytes=size)
            return virtual.read(types.number("data"), size)
        except FaultError as error:
            raise damaged(module, f"its types are not in RAM: {error.message}") from None
