# SPDX-License-Identifier: MIT
"""Shapes as construct's constructs: bytes to plain values and back, with nothing lost.

A structure becomes a dict of its members, those of anonymous ones among them. What the
members do not tell is under `REST`: padding, and, where members overlap (unions), the bytes
themselves. Building takes `REST`, if given, then puts the members in; of members that
overlap those that differ from it, so that one changed member of a union is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import construct
from construct import Construct, stream_read, stream_write

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.shape import Array, Compound, Scalar, Shape, Slot
from ntbdbg.kernel.slots import MAX_NESTING, named_slots

REST = "<rest>"
"""Key of the bytes, as long as the structure, that no single member stands for; no name in C."""

MAX_ELEMENTS = 1 << 20


def form_of(shape: Shape, depth: int = 0) -> Construct:
    """The construct of a shape; KernelError if it is nested or long beyond all measure."""
    if depth > MAX_NESTING:
        raise KernelError(f"{shape.name} is within more than {MAX_NESTING} others")
    if isinstance(shape, Scalar):
        return ScalarForm(shape)
    if isinstance(shape, Compound):
        return Record(shape, depth)
    if not isinstance(shape, Array) or shape.is_bytes:
        is_text = isinstance(shape, Array) and shape.is_text
        return (Text if is_text else Plain)(construct.Bytes(shape.size))
    if shape.length > MAX_ELEMENTS:
        raise KernelError(f"{shape.name} has too many elements to be taken apart")
    length = shape.length if shape.element.size else 0  # elements of no size say nothing
    return Elements(construct.Array(length, form_of(shape.element, depth + 1)))


class ScalarForm(Construct):  # type: ignore[misc]
    """A number; what it stands for is the shape's part."""

    def __init__(self, shape: Scalar) -> None:
        super().__init__()
        self.shape = shape

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        data = stream_read(stream, self.shape.size, path)
        return self.shape.value(int.from_bytes(data, "little"))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        data = self.shape.raw(obj).to_bytes(self.shape.size, "little")
        stream_write(stream, data, self.shape.size, path)
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        return self.shape.size


class Elements(construct.Adapter):  # type: ignore[misc]
    """Elements as a plain list."""

    def _decode(self, obj: Any, context: Any, path: str) -> list[Any]:
        return list(obj)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        if not isinstance(obj, list | tuple):
            raise UsageError(f"{obj!r:.60} is no list of elements")
        if len(obj) != self.subcon.count:
            raise UsageError(f"expected {self.subcon.count} elements, found {len(obj)}")
        return obj


class Plain(construct.Adapter):  # type: ignore[misc]
    """Bytes; fewer than there is room for are filled up with zeros."""

    def _decode(self, obj: bytes, context: Any, path: str) -> str | bytes:
        return obj

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        size = int(self.subcon.sizeof())
        if not isinstance(obj, bytes | bytearray):
            raise UsageError(f"{obj!r:.60} is no bytes", hint="write b'…', or hex:… as text")
        if len(obj) > size:
            raise UsageError(f"{len(obj)} bytes are too many, there is room for {size}")
        return bytes(obj).ljust(size, b"\0")


class Text(Plain):
    """Characters with NULs up to the end as text; anything else as bytes."""

    def _decode(self, obj: bytes, context: Any, path: str) -> str | bytes:
        text = obj.rstrip(b"\0")
        if len(text) == len(obj) or b"\0" in text:
            return obj
        try:
            return text.decode()
        except UnicodeDecodeError:
            return obj

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        if not isinstance(obj, str):
            return super()._encode(obj, context, path)
        data, size = obj.encode(), int(self.subcon.sizeof())
        if b"\0" in data:
            raise UsageError(f"{obj!r:.60} has a NUL within", hint="give bytes")
        if len(data) >= size > 0 or (data and not size):
            raise UsageError(
                f"{obj!r:.60} is too long: {len(data)} bytes and a NUL, with room for {size}"
            )
        return super()._encode(data, context, path)


class Record(Construct):  # type: ignore[misc]
    """A structure or union."""

    def __init__(self, shape: Compound, depth: int) -> None:
        super().__init__()
        self.shape = shape
        self._depth = depth

    @cached_property
    def _slots(self) -> dict[str, Slot]:
        slots: dict[str, Slot] = {}
        for slot in named_slots(self.shape):
            slots.setdefault(slot.name, slot)
            if slot.offset + slot.size > self.shape.size:
                raise KernelError(f"{self.shape.name}: {slot.name} reaches beyond its end")
        return slots

    @cached_property
    def _forms(self) -> dict[str, Construct]:
        return {name: form_of(slot.shape, self._depth + 1) for name, slot in self._slots.items()}

    @cached_property
    def _shared(self) -> set[str]:
        """Members that overlap with another one."""
        return set(_overlapping(self._slots))

    @cached_property
    def _rest_mask(self) -> int:
        """The bits that no single member stands for."""
        mask = (1 << 8 * self.shape.size) - 1
        for name, slot in self._slots.items():
            if name not in self._shared:
                mask &= ~_bits(slot)
        return mask

    # -- bytes to values -------------------------------------------------------------------

    def _parse(self, stream: Any, context: Any, path: str) -> dict[str, Any]:
        data = stream_read(stream, self.shape.size, path)
        values = {name: self._value(data, name) for name in self._slots}
        rest = int.from_bytes(data, "little") & self._rest_mask
        if rest:
            values[REST] = rest.to_bytes(self.shape.size, "little")
        return values

    def _value(self, data: bytes | bytearray, name: str) -> Any:
        slot = self._slots[name]
        piece = bytes(data[slot.offset : slot.offset + slot.size])
        if slot.bit_size is None:
            return self._forms[name].parse(piece)
        assert isinstance(slot.shape, Scalar)
        return slot.shape.value(slot.raw(piece), slot.bit_size)

    # -- values to bytes -------------------------------------------------------------------

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        stream_write(stream, self._bytes(obj), self.shape.size, path)
        return obj

    def _bytes(self, obj: Any) -> bytes:
        if not isinstance(obj, Mapping):
            raise UsageError(f"{self.shape.name} is made from its members, not from {obj!r:.60}")
        for name in obj:
            if name not in self._slots and name != REST:
                raise UsageError(f"{self.shape.name} has no member {name!r:.60}")
        base = bytes(obj.get(REST, b"")).ljust(self.shape.size, b"\0")
        if len(base) > self.shape.size:
            raise UsageError(f"{REST} of {self.shape.name} has {len(base)} bytes")
        data, changed = bytearray(base), []
        for name, value in obj.items():
            piece = self._piece(base, name, value) if name != REST else None
            if piece is not None and not (name in self._shared and piece == self._old(base, name)):
                self._put(data, name, piece)
                changed.append((name, piece))
        for name, piece in changed:
            if self._old(data, name) != piece:
                raise UsageError(f"{self.shape.name}: {name} and another member contradict")
        return bytes(data)

    def _piece(self, base: bytes, name: str, value: Any) -> int:
        """What a member is stored as."""
        slot = self._slots[name]
        if slot.bit_size is None:
            return int.from_bytes(self._forms[name].build(value), "little")
        assert isinstance(slot.shape, Scalar)
        return slot.shape.raw(value, slot.bit_size)

    def _old(self, data: bytes | bytearray, name: str) -> int:
        slot = self._slots[name]
        return slot.raw(bytes(data[slot.offset : slot.offset + slot.size]))

    def _put(self, data: bytearray, name: str, piece: int) -> None:
        slot = self._slots[name]
        end = slot.offset + slot.size
        data[slot.offset : end] = slot.merged(bytes(data[slot.offset : end]), piece)

    def _sizeof(self, context: Any, path: str) -> int:
        return self.shape.size


def _bits(slot: Slot) -> int:
    """Ones where it lies, in the number that its structure's bytes are."""
    width = 8 * slot.size if slot.bit_size is None else slot.bit_size
    return ((1 << width) - 1) << (8 * slot.offset + slot.bit_offset)


def _overlapping(slots: Mapping[str, Slot]) -> Iterator[str]:
    """Names of those that share a bit with another one."""
    spans = []
    for name, slot in slots.items():
        start = 8 * slot.offset + slot.bit_offset
        end = start + (8 * slot.size if slot.bit_size is None else slot.bit_size)
        if end > start:
            spans.append((start, end, name))
    spans.sort()
    furthest = (0, 0, "")
    for span in spans:
        if span[0] < furthest[1]:
            yield span[2]
            yield furthest[2]
        furthest = max(furthest, span, key=lambda one: one[1])
