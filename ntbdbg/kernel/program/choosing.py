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
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.program.finder import Namesake
from ntbdbg.kernel.symbols.path import MAX_LENGTH

if TYPE_CHECKING:
    from ntbdbg.kernel.program.program import KernelProgram

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


def choose_type(program: KernelProgram, text: str) -> TypeChoice:
    """The type that `text` means; of several the first of vmlinux, then of the modules.

    :raises KernelError: there is none, no such module, or the number is another type's
    """
    match = _CHOICE.fullmatch(text.strip())
    if match is None:
        return TypeChoice(_find(program, text, None), text)
    module, name = match["module"], match["name"].strip()
    if module and module != "vmlinux":
        Symbolizer(program.kernel).table(module)  # which is loaded, that is
    if match["number"]:
        return TypeChoice(_numbered(program, name, int(match["number"]), module), name)
    return TypeChoice(_find(program, name, module), name, _namesakes(program, name, module))


def _numbered(program: KernelProgram, name: str, number: int, module: str | None) -> drgn.Type:
    types = program.types
    if types is None:
        raise KernelError(
            f"{program.name}: types of debug information have no numbers",
            hint=f"leave #{number} out",
        )
    found = types.numbered(number, module or "vmlinux")
    if found.type_name() != name:
        raise KernelError(
            f"{program.name}: type {number} of {module or 'vmlinux'} is "
            f"{found.type_name()}, not {name}",
            hint=f"without #{number} the numbers of all that are called {name} are shown",
        )
    return found


def _namesakes(program: KernelProgram, name: str, module: str | None) -> tuple[Namesake, ...]:
    types = program.types
    if types is None or program.debug_file is not None:
        return ()
    prefix, _, rest = name.rpartition(" ")
    kinds = _KINDS.get(prefix, ()) if prefix else (Kind.TYPEDEF,)
    return tuple(one for kind in kinds for one in types.namesakes(kind, rest, module))


def typeless_modules(program: KernelProgram) -> list[str]:
    """Names of loaded modules that carry no types, as those that were built without vmlinux."""
    types = program.types
    if types is None or program.debug_file is not None:
        return []
    carry = types.modules
    return [one.name for one in Symbolizer(program.kernel).modules if one.name not in carry]


def without_types(program: KernelProgram, module: str) -> KernelError:
    """The error for what only the types of that module would tell."""
    from ntbdbg.kernel.modules.types import MAKE_BTF

    return KernelError(
        f"{program.name}: module {module} is loaded, but carries no types",
        hint=MAKE_BTF,
    )


def _with_keyword(program: KernelProgram, name: str, module: str | None) -> str | None:
    """``struct task_struct`` for ``task_struct``, None if there is nothing of that name."""
    for keyword in _KINDS:
        with contextlib.suppress(LookupError, SyntaxError):
            program.prog.type(f"{keyword} {name}", module)
            return f"{keyword} {name}"
    return None


def _find(program: KernelProgram, name: str, module: str | None) -> drgn.Type:
    try:
        if len(name) > MAX_LENGTH:  # no type is called so, and drgn's cannot be nested as deep
            raise SyntaxError("it is too long")
        return program.prog.type(name, module)
    except LookupError:
        if said := _with_keyword(program, name, module):
            raise KernelError(
                f"{program.name}: {name!r:.80} is no type by itself",
                hint=f"say '{said}'",
            ) from None
        from ntbdbg.kernel.modules.types import MAKE_BTF

        typeless = typeless_modules(program)
        if module in typeless:
            raise without_types(program, module) from None
        also = f"; none carry {', '.join(typeless)}: {MAKE_BTF}" if typeless and not module else ""
        where = f"module {module}" if module else f"Linux {program.kernel.info.release}"
        types = program.types
        trouble = "; ".join(types.troubles()) if types else ""
        if trouble:
            what = f"{where} has no type {name!r:.80} that could be read: {trouble}"
            raise KernelError(f"{program.name}: {what}", hint=NEWER) from None
        raise KernelError(
            f"{program.name}: {where} has no type {name!r:.80}",
            hint="write it as in C: 'struct task_struct', 'pid_t'; a module's types need the "
            f"module loaded{also}",
        ) from None
    except SyntaxError as error:
        raise KernelError(
            f"{program.name}: {name!r:.80} is no type: {error.msg}",
            hint="write it as in C: 'struct task_struct', 'unsigned long', 'pid_t'",
        ) from None
