# SPDX-License-Identifier: MIT
"""Places whose C type is known: variables and members by name, and types put on addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.values.shape import Array, Shape, Slot
from ntbdbg.lab.address import AddressExpr

if TYPE_CHECKING:
    from ntbdbg.kernel.values.fields import Field
    from ntbdbg.lab.place import GuestLike, Place

LARGEST = 16 << 20
"""Bytes that are read to be shown."""


class TypedPlace(NamedTuple):
    """A value in a guest's memory.

    :ivar place: where it begins
    :ivar slot: what it is; of a bit field, which bits from there on
    :ivar name: how the user called it
    :ivar size: bytes; of an array without a length, those up to the next symbol
    :ivar choices: where several types have that name: how to say each, the one taken first, and
        its size in bytes (None for a typedef)
    """

    place: Place
    slot: Slot
    name: str
    size: int
    choices: tuple[tuple[str, int | None], ...] = ()

    @property
    def shape(self) -> Shape:
        """What it looks like."""
        return self.slot.shape

    def read(self) -> bytes:
        """The bytes that hold it; FaultError if they are not all there."""
        if self.size > LARGEST:
            raise UsageError(
                f"{self.shape.name} has {self.size} bytes, too many to be shown",
                hint="name a member of it",
            )
        return self.place.memory.read(self.place.address, self.size)

    def fields(self, *, depth: int | None, elements: int, follow: int) -> Iterator[Field]:
        """What it says, member by member.

        :param depth: levels of members, None for all
        :param elements: of one array
        :param follow: pointers in a row that are followed
        """
        from ntbdbg.kernel.values.fields import FieldOptions
        from ntbdbg.kernel.values.follow import follow_fields

        kernel = self.place.guest.kernel
        options = FieldOptions(depth, elements, kernel.symbolizer().label)
        data = self.read()
        return follow_fields(self.slot, self.place.address, data, options, kernel.virtual, follow)


def put_type(guest: GuestLike, type_name: str, address: str) -> TypedPlace:
    """The value of type `type_name` at `address`.

    :raises KernelError: no such type, or no kernel that could tell
    """
    from ntbdbg.kernel.program.shapes import shape_of

    place = guest.resolve(address)
    choice = place.guest.kernel.choose_type(type_name)
    shape = shape_of(choice.type)
    if not shape.size:
        raise KernelError(
            f"{shape.name} has no size",
            hint="it is only declared, or a function: nothing lies there that could be shown",
        )
    if place.via:
        place = guest.resolve(address, shape.size)
    choices = tuple((choice.label(one), one.size) for one in choice.namesakes)
    named = place.symbol or address
    return TypedPlace(
        place, Slot("", shape, 0), named, shape.size, choices if len(choices) > 1 else ()
    )


def find_typed(guest: GuestLike, text: str) -> TypedPlace:
    """The variable or member at ``init_uts_ns.name.nodename``, ``qemu2:mod:sym.member[3]``.

    Pointers on the way are followed, as drgn does.

    :raises UsageError: it is no name
    :raises KernelError: no such symbol or member, or nobody knows its type
    """
    from ntbdbg.kernel.program.shapes import slot_of
    from ntbdbg.lab.place import Place

    expr = AddressExpr.parse(text, guest.lab.names)
    if not isinstance(expr.base, str) or expr.offset or expr.capture:
        raise UsageError(
            f"what type has {text!r:.60}?", hint=f"say it: decode {guest.name} 'struct NAME' {text}"
        )
    owner = guest if expr.guest is None else guest.lab.guest(expr.guest)
    found = owner.kernel.object(expr.base)
    if found.address_ is None:
        raise KernelError(f"{owner.name}: {text} has no address")
    slot = slot_of(found)
    size = slot.size
    if isinstance(slot.shape, Array) and slot.shape.is_flexible:
        symbol = owner.kernel.find_symbol(found.address_)
        size = symbol[0].size - symbol[1] if symbol else 0
    place = Place(owner, found.address_, owner.kernel.virtual, size=size, symbol=expr.base)
    return TypedPlace(place, slot, expr.base, size)
