# SPDX-License-Identifier: MIT
"""What a type's bytes say, member by member, for people and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot
from ntbdbg.kernel.values.slots import MAX_NESTING, named_slots

Value = int | float | str | bytes | tuple[int | float, ...] | None
NameOf = Callable[[int], str | None]

MAX_FIELDS = 1 << 18
"""Fields of one type at most; what a hostile kernel says of its arrays has no limit."""

MAX_ELEMENTS = 1 << 16

OUTSIDE = "beyond what holds it"


class Field(NamedTuple):
    """One member, or one that has members itself and stands before them.

    :ivar path: from the outermost type on: ``name.nodename``, ``[3].start``; empty for itself
    :ivar name: the last part of it
    :ivar depth: 0 for members of the outermost type
    :ivar offset: bytes from its start
    :ivar size: bytes that hold it
    :ivar type_name: in C
    :ivar kind: ``int char bool enum float pointer text bytes numbers struct union array void``;
        ``outside``: it reaches beyond the memory that holds it; ``cut``: no more is shown;
        ``fault``: where a pointer leads cannot be read; ``seen``: it is shown above
    :ivar value: of ``numbers`` a tuple, its first elements if it is long; None of what has members
    :ivar meaning: an enumerator's name, a pointer's symbol, what is left out
    :ivar bit_offset: of a bit field, from `offset` on
    :ivar bit_size: of a bit field
    :ivar base: address that `offset` counts from
    """

    path: str
    name: str
    depth: int
    offset: int
    size: int
    type_name: str
    kind: str
    value: Value = None
    meaning: str = ""
    bit_offset: int | None = None
    bit_size: int | None = None
    base: int = 0

    @property
    def has_members(self) -> bool:
        """Whether its members follow, or would if they were not too deep."""
        return self.kind in ("struct", "union", "array")

    @property
    def is_zero(self) -> bool:
        """Whether it is a value of nothing but zeros."""
        if isinstance(self.value, tuple | bytes):
            return not any(self.value)
        return self.value is not None and not self.value


Follow = Callable[[Field, Shape], Iterator[Field]]


class FieldOptions(NamedTuple):
    """How far to go.

    :ivar depth: levels of members shown, None for all
    :ivar elements: of one array shown
    :ivar name_of: gives the symbol at an address, for pointers
    :ivar follow: gives the fields behind a pointer, from its field and what it points to
    """

    depth: int | None = None
    elements: int = MAX_ELEMENTS
    name_of: NameOf | None = None
    follow: Follow | None = None


class Origin(NamedTuple):
    """What the fields are of.

    :ivar base: its address
    :ivar path: the path to it, ``parent->``
    :ivar depth: of its members
    """

    base: int = 0
    path: str = ""
    depth: int = 0


NOWHERE = Origin()


def fields(
    what: Shape | Slot,
    data: bytes,
    options: FieldOptions | None = None,
    origin: Origin = NOWHERE,
) -> Iterator[Field]:
    """Every field of `what` over `data`, in the order of declaration; at most MAX_FIELDS.

    :param what: a shape, or a bit field
    :raises KernelError: a type in it makes no sense
    """
    left = MAX_FIELDS
    slot = what if isinstance(what, Slot) else Slot("", what, 0)
    for field in _Walk(data, options or FieldOptions(), origin).root(slot):
        if not left:
            yield Field("", "", 0, 0, 0, "", "cut", meaning=f"more than {MAX_FIELDS} fields")
            return
        left -= 1
        yield field


class _Walk:
    def __init__(self, data: bytes, options: FieldOptions, origin: Origin) -> None:
        self.data, self.options, self.origin = data, options, origin

    def root(self, slot: Slot) -> Iterator[Field]:
        shape, path = slot.shape, self.origin.path
        if _has_members(shape):
            yield from self.inner(slot, path, self.origin.depth)
        else:
            yield from self.leaf(slot, path, path, self.origin.depth)

    def walk(self, slot: Slot, path: str, name: str, depth: int) -> Iterator[Field]:
        """The field of `slot` (its offset from the start of all), and what is in it."""
        slot, more = _unwrapped(slot)
        path, name = path + more, name + more
        shape = slot.shape
        if not _has_members(shape):
            yield from self.leaf(slot, path, name, depth)
        elif slot.offset + slot.size > len(self.data):
            yield self.field(slot, path, name, depth, "outside", meaning=OUTSIDE)
        else:
            kind = shape.kind if isinstance(shape, Compound) else "array"
            yield self.field(slot, path, name, depth, kind)
            level, limit = depth - self.origin.depth, self.options.depth
            if (limit is None or level + 1 < limit) and level < MAX_NESTING:
                yield from self.inner(slot, path, depth + 1)

    def inner(self, slot: Slot, path: str, depth: int) -> Iterator[Field]:
        """The members of a structure, or the elements of an array."""
        shape = slot.shape
        if isinstance(shape, Compound):
            for member in named_slots(shape):
                dot = "." if path and not path.endswith("->") else ""
                below = f"{path}{dot}{member.name}"
                yield from self.walk(member.moved(slot.offset), below, member.name, depth)
        elif isinstance(shape, Array):
            count = self.count(shape, slot.offset)
            for index in range(min(count, self.options.elements)):
                element = Slot("", shape.element, slot.offset + index * shape.element.size)
                yield from self.walk(element, f"{path}[{index}]", f"[{index}]", depth)
            if count > self.options.elements:
                left = f"{count - self.options.elements} more elements"
                yield self.field(slot, path, "", depth, "cut", meaning=left)

    # -- values ----------------------------------------------------------------------------

    def leaf(self, slot: Slot, path: str, name: str, depth: int) -> Iterator[Field]:
        shape, data = slot.shape, self.data[slot.offset : slot.offset + slot.size]
        if len(data) < slot.size:
            yield self.field(slot, path, name, depth, "outside", meaning=OUTSIDE)
        elif isinstance(shape, Array):
            yield self.field(slot, path, name, depth, *self.array(shape, slot.offset))
        elif isinstance(shape, Scalar):
            number = shape.number(slot.raw(data), slot.bit_size)
            meaning = self.meaning(shape, number)
            field = self.field(slot, path, name, depth, shape.kind, number, meaning)
            yield field
            if shape.pointee is not None and number and self.options.follow is not None:
                yield from self.options.follow(field, shape.pointee())
        else:
            yield self.field(slot, path, name, depth, "void")

    def meaning(self, shape: Scalar, number: int | float) -> str:
        if shape.kind == "pointer" and isinstance(number, int) and number:
            return (self.options.name_of(number) if self.options.name_of else None) or ""
        return shape.names.get(int(number), "") if shape.kind == "enum" else ""

    def array(self, shape: Array, offset: int) -> tuple[str, Value, str]:
        count = self.count(shape, offset)
        data = self.data[offset : offset + count * shape.element.size]
        if shape.is_text and (text := _text(data)) is not None:
            return "text", *text
        if shape.is_bytes:
            return "bytes", data, ""
        element = shape.element
        assert isinstance(element, Scalar)
        shown = min(count, self.options.elements)
        numbers = tuple(
            element.number(int.from_bytes(data[at : at + element.size], "little"))
            for at in range(0, shown * element.size, element.size)
        )
        return "numbers", numbers, f"{count - shown} more" if shown < count else ""

    def field(
        self,
        slot: Slot,
        path: str,
        name: str,
        depth: int,
        kind: str,
        value: Value = None,
        meaning: str = "",
    ) -> Field:
        """A field that lies where `slot` does."""
        bits = (None if slot.bit_size is None else slot.bit_offset), slot.bit_size
        place, shown = (slot.offset, slot.size, slot.shape.name), (kind, value, meaning)
        return Field(path, name, depth, *place, *shown, *bits, self.origin.base)

    def count(self, shape: Array, offset: int) -> int:
        """Elements; of a flexible array as many as there are bytes for."""
        if not shape.is_flexible or not shape.element.size:
            return min(shape.length, MAX_ELEMENTS)
        return max(len(self.data) - offset, 0) // shape.element.size


def _is_leaf(array: Array) -> bool:
    return isinstance(array.element, Scalar)


def _has_members(shape: Shape) -> bool:
    return isinstance(shape, Compound) or (isinstance(shape, Array) and not _is_leaf(shape))


def _unwrapped(slot: Slot) -> tuple[Slot, str]:
    """What a structure of one single member holds, and the path to it: ``.refs.counter``."""
    path = ""
    for _ in range(MAX_NESTING):
        shape = slot.shape
        if not isinstance(shape, Compound) or len(shape.slots) != 1:
            break
        only = shape.slots[0]
        if not only.name or only.size != shape.size:
            break
        slot, path = only.moved(slot.offset), f"{path}.{only.name}"
    return slot, path


def _text(data: bytes) -> tuple[str, str] | None:
    """Characters up to the first NUL, and what is odd about them; None if they are none."""
    text, nul, rest = data.partition(b"\0")
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        return None
    if not all(c.isprintable() or c in "\t\n" for c in characters):
        return None
    odd = "no NUL at its end" if not nul and data else "other bytes follow" if any(rest) else ""
    return characters, odd
