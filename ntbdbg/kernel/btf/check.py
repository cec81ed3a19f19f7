# SPDX-License-Identifier: MIT
"""What must hold of types of a BTF before anybody walks into them."""

from __future__ import annotations

from ntbdbg.kernel.btf.format import COMPOUND
from ntbdbg.kernel.btf.reader import MAX_DEPTH, Btf, Kind
from ntbdbg.kernel.btf.records import Entry, Member

MAX_NUMBER = 16
"""Bytes of the longest number: ``__int128``, ``long double``."""

MAX_MEMBERS = 1 << 14
"""Of one structure, with those of anonymous ones within; real ones have some hundreds."""

_BIT_FIELDS = frozenset({Kind.INT, Kind.ENUM, Kind.ENUM64})


def number_size(btf: Btf, number: int, entry: Entry) -> int:
    """Bytes of an INT, FLOAT or ENUM; KernelError if no processor has such a number."""
    if entry.value not in (1, 2, 4, 8, MAX_NUMBER):
        raise btf.error(number, f"is a number of {entry.value} bytes")
    return entry.value


def is_whole(btf: Btf, number: int) -> bool:
    """Whether an INT uses all bits of its size.

    Before kind_flag (Linux 5.0), a bit field was a member whose INT did not.
    """
    coding = btf.integer(number)
    return coding.bits == 8 * btf.entry(number).value and not coding.bit_offset


def bit_field(btf: Btf, member: Member) -> tuple[int | None, int]:
    """Bits of a bit field (None if it is none), and its bit offset."""
    is_int = member.bit_size is None and btf.kind(member.type) is Kind.INT
    if not is_int or is_whole(btf, member.type):
        return member.bit_size, member.bit_offset
    coding = btf.integer(member.type)
    return coding.bits, member.bit_offset + coding.bit_offset


def check_bit_field(btf: Btf, number: int, bits: int) -> None:
    """KernelError unless `bits` of type `number` can be a bit field."""
    entry = btf.entry(btf.resolve(number))
    if entry.kind not in _BIT_FIELDS or not 0 < bits <= 8 * entry.value:
        raise btf.error(number, f"has no {bits} bits for a bit field")


def check_contents(btf: Btf, number: int, sound: dict[int, int]) -> None:
    """KernelError if a structure contains itself, not by pointer but as a member.

    Also if it has more members through anonymous structures than a real one can have: to find
    one of them, drgn passes over all.

    :param sound: structures known to be sound, with the number of their members; grows
    """
    _check(btf, number, sound, 0)


def _check(btf: Btf, number: int, sound: dict[int, int], depth: int) -> int:
    if number in sound:
        return sound[number]
    if depth > MAX_DEPTH:
        raise btf.error(number, f"is within more than {MAX_DEPTH} structures: it contains itself")
    count = 0
    for member in btf.members(number):
        inner = _contained(btf, member.type)
        size = 0 if inner is None else _check(btf, inner, sound, depth + 1)
        count += 1 + (0 if member.name else size)
    if count > MAX_MEMBERS:
        raise btf.error(number, f"has more than {MAX_MEMBERS} members")
    sound[number] = count
    return count


def _contained(btf: Btf, number: int) -> int | None:
    """The structure or union that `number` is, or is an array of."""
    start = number
    for _ in range(MAX_DEPTH):
        number = btf.resolve(number)
        kind = btf.kind(number)
        if kind is not Kind.ARRAY:
            return number if kind in COMPOUND else None
        number = btf.array(number).element
    raise btf.error(start, f"is an array of more than {MAX_DEPTH} dimensions, or of itself")
