# SPDX-License-Identifier: MIT
"""Which type a user means, where several have one name: ``[MODULE:]TYPE[#NUMBER]``."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NamedTuple

import drgn

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import Kind
from ntbdbg.kernel.btf.table import NEWER
from ntbdbg.kernel.modules.types import MAKE_BTF
from ntbdbg.kernel.program.finder import Namesake
from ntbdbg.kernel.symbols.path import MAX_LENGTH

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel

_CHOICE = re.compile(r"(?:(?P<module>[A-Za-z_]\w*):)?(?P<name>[^:#]+)(?:#(?P<number>[0-9]{1,9}))?")
_KINDS = {
    "struct": (Kind.STRUCT,),
    "union": (Kind.UNION,),
    "enum": (Kind.ENUM, Kind.ENUM64),
}


class TypeChoice(NamedTuple):
    """The type that was taken.

    :ivar name: without module and number
    :ivar namesakes: all that are called so, the one taken first; none if a number said which,
        or debug information tells types
    """

    type: drgn.Type
    name: str
    namesakes: tuple[Namesake, ...] = ()

    def label(self, namesake: Namesake) -> str:
        """How a user says that he means `namesake`."""
        module = "" if namesake.module == "vmlinux" else f"{namesake.module}:"
        return f"{module}{self.name}#{namesake.number}"


def choose_type(kernel: Kernel, text: str) -> TypeChoice:
    """The type that `text` means; of several the first of vmlinux, then of the modules.

    :raises KernelError: there is none, no such module, or the number is another type's
    """
    match = _CHOICE.fullmatch(text.strip())
    if match is None:
        return TypeChoice(_find(kernel, text, None), text)
    module, name = match["module"], match["name"].strip()
    if module and module != "vmlinux":
        kernel.module(module)
    if match["number"]:
        return TypeChoice(_numbered(kernel, name, int(match["number"]), module), name)
    return TypeChoice(_find(kernel, name, module), name, _namesakes(kernel, name, module))


def _numbered(kernel: Kernel, name: str, number: int, module: str | None) -> drgn.Type:
    types = kernel.program.types
    if types is None:
        raise KernelError(
            f"{kernel.memory.name}: types of debug information have no numbers",
            hint=f"leave #{number} out",
        )
    found = types.numbered(number, module or "vmlinux")
    if found.type_name() != name:
        raise KernelError(
            f"{kernel.memory.name}: type {number} of {module or 'vmlinux'} is "
            f"{found.type_name()}, not {name}",
            hint=f"without #{number} the numbers of all that are called {name} are shown",
        )
    return found


def _namesakes(kernel: Kernel, name: str, module: str | None) -> tuple[Namesake, ...]:
    types = kernel.program.types
    if types is None or kernel.debug_file is not None:
        return ()
    prefix, _, rest = name.rpartition(" ")
    kinds = _KINDS.get(prefix, ()) if prefix else (Kind.TYPEDEF,)
    return tuple(one for kind in kinds for one in types.namesakes(kind, rest, module))


def typeless_modules(kernel: Kernel) -> list[str]:
    """Names of loaded modules that carry no types, as those that were built without vmlinux."""
    types = kernel.program.types
    if types is None or kernel.debug_file is not None:
        return []
    carry = types.modules
    return [one.name for one in kernel.symbolizer().modules if one.name not in carry]


def without_types(kernel: Kernel, module: str) -> KernelError:
    """The error for what only the types of that module would tell."""
    return KernelError(
        f"{kernel.memory.name}: module {module} is loaded, but carries no types", hint=MAKE_BTF
    )


def _with_keyword(kernel: Kernel, name: str, module: str | None) -> str | None:
    """``struct task_struct`` for ``task_struct``, None if there is nothing of that name."""
    for keyword in _KINDS:
        with contextlib.suppress(LookupError, SyntaxError):
            kernel.prog.type(f"{keyword} {name}", module)
            return f"{keyword} {name}"
    return None


def _find(kernel: Kernel, name: str, module: str | None) -> drgn.Type:
    try:
        if len(name) > MAX_LENGTH:  # no type is called so, and drgn's cannot be nested as deep
            raise SyntaxError("it is too long")
        return kernel.prog.type(name, module)
    except LookupError:
        if said := _with_keyword(kernel, name, module):
            raise KernelError(
                f"{kernel.memory.name}: {name!r:.80} is no type by itself", hint=f"say '{said}'"
            ) from None
        typeless = typeless_modules(kernel)
        if module in typeless:
            raise without_types(kernel, module) from None
        also = f"; none carry {', '.join(typeless)}: {MAKE_BTF}" if typeless and not module else ""
        where = f"module {module}" if module else f"Linux {kernel.info.release}"
        types = kernel.program.types
        trouble = "; ".join(types.troubles()) if types else ""
        if trouble:
            what = f"{where} has no type {name!r:.80} that could be read: {trouble}"
            raise KernelError(f"{kernel.memory.name}: {what}", hint=NEWER) from None
        raise KernelError(
            f"{kernel.memory.name}: {where} has no type {name!r:.80}",
            hint="write it as in C: 'struct task_struct', 'pid_t'; a module's types need the "
            f"module loaded{also}",
        ) from None
    except SyntaxError as error:
        raise KernelError(
            f"{kernel.memory.name}: {name!r:.80} is no type: {error.msg}",
            hint="write it as in C: 'struct task_struct', 'unsigned long', 'pid_t'",
        ) from None
