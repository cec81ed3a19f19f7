# SPDX-License-Identifier: MIT
"""What a type's bytes say, member by member, for people and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ntbdbg.kernel.shape import Array, Compound, Scalar, Shape, Slot
from ntbdbg.kernel.slots import MAX_NESTING, named_slots

Value = int | float | str | bytes | tuple[int | float, ...] | None
NameOf = Callable[[int], str | None]

MAX_FIELDS = 1 << 18
"""Fields of one type at most; what a hostile kernel says of its arrays has no limit."""

MAX_ELEMENTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Field:
    """One member, or one that has members itself and stands before them.

    :ivar path: from the outermost type on: ``name.nodename``, ``[3].start``; empty for itself
    :ivar name: the last part of it
    :ivar depth: 0 for members of the outermost type
    :ivar offset: bytes from its start
    :ivar size: bytes that hold it
    :ivar type_name: in C
    :ivar kind: ``int char bool enum float pointer text bytes numbers struct union array void``;
        ``outside``: it reaches beyond the memory that holds it; ``cut``: no more is shown
    :ivar value: of ``numbers`` a tuple, its first elements if it is long; None of what has members
    :ivar meaning: an enumerator's name, a pointer's symbol, what is left out
    :ivar bit_offset: of a bit field, from `offset` on
    :ivar bit_size: of a bit field
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

    @property
    def is_zero(self) -> bool:
        """Whether it is a value of nothing but zeros."""
        if isinstance(self.value, tuple | bytes):
            return not any(self.value)
        return self.value is not None and not self.value


@dataclass(frozen=True)
class FieldOptions:
    """How far to go.

    :ivar depth: levels of members shown, None for all
    :ivar elements: of one array shown
    :ivar name_of: gives the symbol at an address, for pointers
    """

    depth: int | None = None
    elements: int = MAX_ELEMENTS
    name_of: NameOf = lambda address: None


def fields(shape: Shape, data: bytes, options: FieldOptions | None = None) -> Iterator[Field]:
    """Every field of `shape` over `data`, in the order of declaration; at most MAX_FIELDS.

    :raises KernelError: a type in it makes no sense
    """
    left = MAX_FIELDS
    for field in _Walk(data, options or FieldOptions()).root(shape):
        if not left:
            yield Field("", "", 0, 0, 0, "", "cut", meaning=f"more than {MAX_FIELDS} fields")
            return
        left -= 1
        yield field


class _Walk:
    def __init__(self, data: bytes, options: FieldOptions) -> None:
        self.data = data
        self.options = options

    def root(self, shape: Shape) -> Iterator[Field]:
        slot = Slot("", shape, 0)
        if isinstance(shape, Scalar) or (isinstance(shape, Array) and _is_leaf(shape)):
            yield self.leaf(slot, "", "", 0)
        else:
            yield from self.inner(slot, "", 0)

    def walk(self, slot: Slot, path: str, name: str, depth: int) -> Iterator[Field]:
        """The field of `slot` (its offset from the start of all), and what is in it."""
        slot, more = _unwrapped(slot)
        path, name = path + more, name + more
        shape = slot.shape
        if slot.offset + slot.size > len(self.data):
            yield _field(slot, path, name, depth, "outside", meaning="beyond what holds it")
        elif isinstance(shape, Compound) or (isinstance(shape, Array) and not _is_leaf(shape)):
            kind = shape.kind if isinstance(shape, Compound) else "array"
            yield _field(slot, path, name, depth, kind)
            limit = self.options.depth
            if (limit is None or depth + 1 < limit) and depth < MAX_NESTING:
                yield from self.inner(slot, path, depth + 1)
        else:
            yield self.leaf(slot, path, name, depth)

    def inner(self, slot: Slot, path: str, depth: int) -> Iterator[Field]:
        """The members of a structure, or the elements of an array."""
        shape = slot.shape
        if isinstance(shape, Compound):
            for member in named_slots(shape):
                below = f"{path}.{member.name}" if path else member.name
                yield from self.walk(member.moved(slot.offset), below, member.name, depth)
        elif isinstance(shape, Array):
            count = self.count(shape, slot.offset)
            for index in range(min(count, self.options.elements)):
                element = Slot("", shape.element, slot.offset + index * shape.element.size)
                yield from self.walk(element, f"{path}[{index}]", f"[{index}]", depth)
            if count > self.options.elements:
                left = f"{count - self.options.elements} more elements"
                yield _field(slot, path, "", depth, "cut", meaning=left)

    # -- values ----------------------------------------------------------------------------

    def leaf(self, slot: Slot, path: str, name: str, depth: int) -> Field:
        shape, data = slot.shape, self.data[slot.offset : slot.offset + slot.size]
        if len(data) < slot.size:
            return _field(slot, path, name, depth, "outside", meaning="beyond what holds it")
        if isinstance(shape, Array):
            kind, value, meaning = self.array(shape, slot.offset)
            return _field(slot, path, name, depth, kind, value, meaning)
        if not isinstance(shape, Scalar):
            return _field(slot, path, name, depth, "void")
        number = shape.number(slot.raw(data), slot.bit_size)
        return _field(slot, path, name, depth, shape.kind, number, self.meaning(shape, number))

    def meaning(self, shape: Scalar, number: int | float) -> str:
        if shape.kind == "pointer" and isinstance(number, int) and number:
            return self.options.name_of(number) or ""
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

    def count(self, shape: Array, offset: int) -> int:
        """Elements; of a flexible array as many as there are bytes for."""
        if not shape.is_flexible or not shape.element.size:
            return min(shape.length, MAX_ELEMENTS)
        return max(len(self.data) - offset, 0) // shape.element.size


def _is_leaf(array: Array) -> bool:
    return isinstance(array.element, Scalar)


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


def _field(
    slot: Slot,
    path: str,
    name: str,
    depth: int,
    kind: str,
    value: Value = None,
    meaning: str = "",
) -> Field:
    bit_offset = None if slot.bit_size is None else slot.bit_offset
    place = slot.offset, slot.size
    return Field(
        path, name, depth, *place, slot.shape.name, kind, value, meaning, bit_offset, slot.bit_size
    )


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
