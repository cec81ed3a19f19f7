# SPDX-License-Identifier: MIT
"""Members of structures by name and path, those of anonymous structures as C sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.symbols.path import member_steps
from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot

MAX_NESTING = 64
"""Structures within structures, or arrays of arrays; real ones have less than ten."""

MAX_MEMBERS = 1 << 14
"""Members of a structure, with those of anonymous ones within; real ones have some hundreds."""


def named_slots(compound: Compound) -> Iterator[Slot]:
    """Its members that have a name, those of anonymous structures and unions in it too.

    :raises KernelError: there are more than any real structure has, or they have no end
    """
    pending = [iter(compound.slots)]
    offsets = [0]
    for _ in range(MAX_MEMBERS):
        slot = next(pending[-1], None)
        if slot is None:
            pending.pop()
            offsets.pop()
            if not pending:
                return
        elif slot.name:
            yield slot.moved(offsets[-1])
        elif isinstance(slot.shape, Compound):
            pending.append(iter(slot.shape.slots))
            offsets.append(offsets[-1] + slot.offset)
    raise KernelError(f"{compound.name} has more than {MAX_MEMBERS} members, or contains itself")


def find_slot(shape: Shape, path: str) -> Slot:
    """The member of `shape` at ``name.nodename`` or ``[3].start``; all of it if `path` is empty.

    :raises UsageError: there is no such member; the message has those there are
    """
    here = Slot("", shape, 0)
    walked = ""
    for step in member_steps(path):
        inner = (
            _element(here, step, walked) if isinstance(step, int) else _member(here, step, walked)
        )
        here = inner.moved(here.offset)
        walked += f"[{step}]" if isinstance(step, int) else f".{step}" if walked else step
    return here


def _element(slot: Slot, index: int, path: str) -> Slot:
    array = slot.shape
    if not isinstance(array, Array):
        raise UsageError(f"{_what(slot, path)} is no array, it has no [{index}]")
    if index >= array.length and not array.is_flexible:
        last = f"its last element is [{array.length - 1}]" if array.length else "it is empty"
        raise UsageError(f"{_what(slot, path)} has no element {index}", hint=last)
    return Slot(f"[{index}]", array.element, index * array.element.size)


def _member(slot: Slot, name: str, path: str) -> Slot:
    if isinstance(slot.shape, Compound):
        members = list(named_slots(slot.shape))
        for member in members:
            if member.name == name:
                return member
        raise UsageError(
            f"{_what(slot, path)} has no member {name!r}", hint=_similar(name, members)
        )
    hint = "its members are at another place: decode the pointer's value as their address"
    is_pointer = isinstance(slot.shape, Scalar) and slot.shape.kind == "pointer"
    raise UsageError(f"{_what(slot, path)} has no members", hint=hint if is_pointer else None)


def _what(slot: Slot, path: str) -> str:
    return f"{path} ({slot.shape.name})" if path else slot.shape.name


def _similar(name: str, members: Sequence[Slot]) -> str:
    from difflib import get_close_matches

    names = [member.name for member in members]
    close = get_close_matches(name, names, 5, 0.5)
    shown = close or names[:8]
    rest = ", …" if not close and len(names) > len(shown) else ""
    return (
        f"{'similar' if close else 'it has'}: {', '.join(shown)}{rest}" if shown else "it is empty"
    )
