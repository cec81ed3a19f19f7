# SPDX-License-Identifier: MIT
"""Types and typed variables of a kernel, as drgn's types and objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import drgn
from drgn import TypeKind

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.asked.lookup import named, on_cpu
from ntbdbg.kernel.program.choosing import typeless_modules, without_types
from ntbdbg.kernel.program.shapes import slot_of
from ntbdbg.kernel.symbols.path import SymbolPath, member_steps

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.program.program import KernelProgram
    from ntbdbg.kernel.symbols.symbols import Symbol

Program = Callable[[], "KernelProgram"]


def find_object(kernel: KernelImage, program: Program, text: str) -> drgn.Object:
    """The variable or member at ``[MODULE:]SYMBOL[@CPU][.MEMBER…]``.

    :param program: gives what drgn knows of the kernel, asked once it has such a symbol
    :raises UsageError: it is no such path
    :raises KernelError: no such symbol, CPU or member, or its type is not known
    :raises FaultError: a pointer on the way leads nowhere
    """
    path = SymbolPath.parse(text)
    symbol = named(kernel, path)[0]
    address = on_cpu(kernel, symbol, path)
    return _follow(program(), path, symbol, address)


def place_of(kernel: KernelImage, program: Program, text: str) -> tuple[int, int]:
    """VA and bytes of what `find_object` gives; errors as there."""
    found = find_object(kernel, program, text)
    if found.address_ is None:
        raise KernelError(f"{kernel.memory.name}: {text} has no address")
    return found.address_, slot_of(found).size


def type_of(kernel: KernelImage, program: Program, text: str) -> drgn.Type:
    """The type of what `find_object` gives, also where each CPU has its own; errors as there."""
    path = SymbolPath.parse(text)
    symbol = named(kernel, path)[0]
    address = symbol.address if path.cpu is None else on_cpu(kernel, symbol, path)
    return _follow(program(), path, symbol, address).type_


def _follow(program: KernelProgram, path: SymbolPath, symbol: Symbol, address: int) -> drgn.Object:
    """The variable at `address`, or the member of it that `path` names."""
    found = drgn.Object(program.prog, _variable_type(program, symbol), address=address)
    members = path.name[len(symbol.name) :] + path.members
    for step in member_steps(members):
        found = _step(program, found, step)
    return found


def _variable_type(program: KernelProgram, symbol: Symbol) -> drgn.Type:
    found = program.variable_type(symbol)
    if found is None:
        if symbol.module and symbol.module in typeless_modules(program):
            raise without_types(program, symbol.module)
        raise KernelError(
            f"{program.name}: nobody tells the type of {symbol.name}",
            hint=f"say it: decode GUEST 'struct NAME' {symbol.name}; most kernels carry "
            "types of few variables only",
        )
    return found


def _step(program: KernelProgram, value: drgn.Object, step: str | int) -> drgn.Object:
    """A member, through a pointer if need be, or an element."""
    try:
        if isinstance(step, str):
            return value.member_(step)
        _check_index(value, step)
        return value[step]
    except drgn.FaultError as error:
        reason = f"cannot be read: {error}"
        raise FaultError(program.name, error.address, 8, reason) from None
    except IndexError:
        why = f"has no element {step}"
    except LookupError:
        why = f"has no member {step!r}"
    except TypeError:
        why = f"has no member {step!r}" if isinstance(step, str) else "is no array"
    raise KernelError(
        f"{program.name}: {value.type_.type_name()} {why}", hint=_members(value, step)
    )


def _check_index(value: drgn.Object, index: int) -> None:
    """drgn takes any index, as C does; here it is a typing error."""
    array = value.type_.unaliased()
    if array.kind == TypeKind.ARRAY and array.length and index >= array.length:
        raise IndexError(index)


def _members(value: drgn.Object, step: str | int) -> str | None:
    """What a user who wrote `step` may have meant."""
    kind = value.type_.unaliased()
    if kind.kind == TypeKind.POINTER:
        kind = kind.type.unaliased()
    if kind.kind == TypeKind.ARRAY and kind.length:
        return f"it has 0 to {kind.length - 1}"
    if kind.kind not in (TypeKind.STRUCT, TypeKind.UNION) or kind.members is None:
        return None
    names = [member.name for member in kind.members if member.name]
    from difflib import get_close_matches

    similar = get_close_matches(str(step), names, 3, 0.4)
    return f"it has {', '.join(similar or names[:8])}"
