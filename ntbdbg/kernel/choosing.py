# SPDX-License-Identifier: MIT
"""Which type a user means, where several have one name: ``[MODULE:]TYPE[#NUMBER]``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import drgn

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btfformat import Kind
from ntbdbg.kernel.btftable import NEWER
from ntbdbg.kernel.btftypes import Namesake
from ntbdbg.kernel.path import MAX_LENGTH

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


def _find(kernel: Kernel, name: str, module: str | None) -> drgn.Type:
    try:
        if len(name) > MAX_LENGTH:  # no type is called so, and drgn's cannot be nested as deep
            raise SyntaxError("it is too long")
        return kernel.prog.type(name, module)
    except LookupError:
        where = f"module {module}" if module else f"Linux {kernel.info.release}"
        types = kernel.program.types
        trouble = "; ".join(types.troubles()) if types else ""
        if trouble:
            what = f"{where} has no type {name!r:.80} that could be read: {trouble}"
            raise KernelError(f"{kernel.memory.name}: {what}", hint=NEWER) from None
        raise KernelError(
            f"{kernel.memory.name}: {where} has no type {name!r:.80}",
            hint="write it as in C: 'struct task_struct', 'pid_t'; a module's types need the "
            "module loaded",
        ) from None
    except SyntaxError as error:
        raise KernelError(
            f"{kernel.memory.name}: {name!r:.80} is no type: {error.msg}",
            hint="write it as in C: 'struct task_struct', 'unsigned long', 'pid_t'",
        ) from None
