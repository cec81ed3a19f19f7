# SPDX-License-Identifier: MIT
"""BTF as a source of types for drgn, which knows DWARF only.

A name is looked up in vmlinux first, then in the modules, in the order they are given; of
several types of one name and kind the first is taken, as the kernel itself does
(btf_find_by_name_kind). A module's own types win inside that module, and where its name
is given in place of a file's: ``prog.type("struct perf_ctx", "ntb_perf")``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import drgn
from drgn import FindObjectFlags, Program, Type, TypeKind, TypeKindSet

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.check import is_whole
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.program.maker import TypeMaker

Modules = Callable[[], Iterable[Btf]]

_KINDS = (
    (TypeKind.STRUCT, Kind.STRUCT),
    (TypeKind.UNION, Kind.UNION),
    (TypeKind.ENUM, Kind.ENUM),
    (TypeKind.ENUM, Kind.ENUM64),
    (TypeKind.TYPEDEF, Kind.TYPEDEF),
    (TypeKind.INT, Kind.INT),
    (TypeKind.BOOL, Kind.INT),
    (TypeKind.FLOAT, Kind.FLOAT),
)


def register_btf(prog: Program, vmlinux: Btf, modules: Modules = tuple) -> BtfTypes:
    """Let `prog` find the types of `vmlinux` and `modules`, and their enumerators as objects.

    Finders that are there already, as that of DWARF, are asked first.

    :param modules: gives the BTF of each module; called once, when vmlinux lacks a type
    """
    types = BtfTypes(prog, vmlinux, modules)
    prog.register_type_finder("btf", types.find_type, enable_index=-1)
    prog.register_object_finder("btf", types.find_constant, enable_index=-1)
    return types


class Namesake(NamedTuple):
    """One of perhaps several types of one name and kind.

    :ivar module: that has it, or ``vmlinux``
    :ivar number: its own in that BTF
    :ivar size: bytes, None for what has none, as a typedef
    """

    module: str
    number: int
    size: int | None


class BtfTypes:
    """The types of one kernel and its modules."""

    def __init__(self, prog: Program, vmlinux: Btf, modules: Modules) -> None:
        self._prog, self._modules = prog, modules
        self._vmlinux = TypeMaker(prog, vmlinux, self._forward)
        self._found: dict[tuple[Kind, str, str | None], Type | None] = {}
        self._loaded: dict[str, TypeMaker] | None = None

    def troubles(self) -> list[str]:
        """Why types may be missing: of vmlinux, and of modules as far as they were looked at."""
        makers = [self._vmlinux, *(self._loaded or {}).values()]
        return list(dict.fromkeys(why for maker in makers if (why := maker.btf.missing)))

    # -- as drgn asks ----------------------------------------------------------------------

    def find_type(
        self, prog: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        """The type called `name` that is of one of `kinds`; drgn's type finder."""
        for wanted, kind in _KINDS:
            if wanted in kinds:
                found = self.find(kind, name, filename)
                if found is not None and found.kind is wanted:
                    return found
        return None

    def find_constant(
        self, prog: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> drgn.Object | None:
        """The enumerator called `name`; drgn's object finder."""
        if FindObjectFlags.CONSTANT in flags:
            for maker in self._makers(filename):
                found = maker.btf.enumerator(name)
                if found is not None:
                    return drgn.Object(prog, maker.type(found[0]), found[1])
        return None

    # -- as we ask -------------------------------------------------------------------------

    def find(self, kind: Kind, name: str, module: str | None = None) -> Type | None:
        """The type of that kind and name, None if there is none.

        :param module: look into this module first, or ``vmlinux`` only
        """
        key = (kind, name, module)
        if key not in self._found:
            self._found[key] = self._look_up(kind, name, module)
        return self._found[key]

    def type_of(self, symbol: str, module: str | None = None) -> Type | None:
        """The type of a global variable or function, None if BTF does not tell it.

        Of the variables most kernels' BTF has those in per-CPU sections only.
        """
        return self.find(Kind.VAR, symbol, module) or self.find(Kind.FUNC, symbol, module)

    def namesakes(self, kind: Kind, name: str, module: str | None = None) -> list[Namesake]:
        """Every type of that kind and name, in the order in which `find` takes one.

        Of modules, only those that are open already, as opening them takes long.
        """
        is_open = self._loaded is not None or module not in (None, "vmlinux")
        makers = list(self._makers(module)) if is_open else [self._vmlinux]
        return [
            Namesake(maker.btf.name, number, maker.btf.entry(number).size)
            for maker in makers
            for number in maker.btf.own_by_name(kind, name)
        ]

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the loaded modules that carry types."""
        return tuple(self._module_makers)

    def numbered(self, number: int, module: str = "vmlinux") -> Type:
        """The type of that number in `module`; KernelError if there is none."""
        maker = self._vmlinux if module == "vmlinux" else self._module_makers.get(module)
        if maker is None:
            raise KernelError(f"module {module} carries no types")
        return maker.type(number)

    def _look_up(self, kind: Kind, name: str, module: str | None) -> Type | None:
        for maker in self._makers(module):
            for number in maker.btf.own_by_name(kind, name):
                if kind is not Kind.INT or is_whole(maker.btf, number):
                    return maker.type(number)
        return None

    def _makers(self, module: str | None) -> Iterable[TypeMaker]:
        """Where to look, in order; modules are loaded only if vmlinux does not have it."""
        if module is not None and module != "vmlinux":
            own = self._module_makers.get(module)
            if own is None:
                return
            yield own
        yield self._vmlinux
        if module is None:
            yield from self._module_makers.values()

    def _forward(self, name: str, is_union: bool, module: str | None = None) -> Type | None:
        kind = Kind.UNION if is_union else Kind.STRUCT
        return self.find(kind, name, module) if name else None

    @property
    def _module_makers(self) -> dict[str, TypeMaker]:
        if self._loaded is None:
            self._loaded = {}  # whoever walks the list of modules needs types for that
            self._loaded = {btf.name: self._module_maker(btf) for btf in self._modules()}
        return self._loaded

    def _module_maker(self, btf: Btf) -> TypeMaker:
        def forward(name: str, is_union: bool) -> Type | None:
            return self._forward(name, is_union, btf.name) or self._forward(name, is_union)

        return TypeMaker(self._prog, btf, forward, self._vmlinux)
