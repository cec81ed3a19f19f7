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

from construct import Construct, stream_read, stream_write

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot
from ntbdbg.kernel.values.slots import MAX_NESTING, named_slots

REST = "<rest>"
"""Key of the bytes, as long as the structure, that no single member stands for; no name in C."""

MAX_ELEMENTS = 1 << 20


def form_of(shape: Shape, depth: int = 0) -> Form:
    """The construct of a shape; KernelError if it is nested or long beyond all measure."""
    if depth > MAX_NESTING:
        raise KernelError(f"{shape.name} is within more than {MAX_NESTING} others")
    if isinstance(shape, Scalar):
        return Number(shape)
    if isinstance(shape, Compound):
        return Record(shape, depth)
    if not isinstance(shape, Array) or shape.is_bytes:
        is_text = isinstance(shape, Array) and shape.is_text
        return Text(shape) if is_text else Plain(shape)
    if shape.length > MAX_ELEMENTS:
        raise KernelError(f"{shape.name} has too many elements to be taken apart")
    return Elements(shape, form_of(shape.element, depth + 1))


class Form(Construct):  # type: ignore[misc]
    """A construct of fixed size; within others it works on bytes, without a stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.size = shape.size

    def decode(self, data: bytes) -> Any:
        """The value of `data`, as many bytes as it has."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """The bytes of `value`; UsageError if it does not fit."""
        raise NotImplementedError

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return self.decode(stream_read(stream, self.size, path))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        stream_write(stream, self.encode(obj), self.size, path)
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        return self.size


class Number(Form):
    """A number; what it stands for is the shape's part."""

    def __init__(self, shape: Scalar) -> None:
        super().__init__(shape)
        self._shape = shape

    def decode(self, data: bytes) -> Any:
        return self._shape.value(int.from_bytes(data, "little"))

    def encode(self, value: Any) -> bytes:
        return self._shape.raw(value).to_bytes(self.size, "little")


class Elements(Form):
    """Elements side by side, as a list; none if they have no size, since they say nothing."""

    def __init__(self, shape: Array, element: Form) -> None:
        super().__init__(shape)
        self._element, self._length = element, shape.length if element.size else 0

    def decode(self, data: bytes) -> list[Any]:
        step, decode = self._element.size, self._element.decode
        return [decode(data[at : at + step]) for at in range(0, self._length * step, step or 1)]

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{value!r:.60} is no list of elements")
        if len(value) != self._length:
            raise UsageError(f"expected {self._length} elements, found {len(value)}")
        return b"".join(map(self._element.encode, value))


class Plain(Form):
    """Bytes; fewer than there is room for are filled up with zeros."""

    def decode(self, data: bytes) -> str | bytes:
        return data

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray):
            raise UsageError(f"{value!r:.60} is no bytes", hint="write b'…', or hex:… as text")
        if len(value) > self.size:
            raise UsageError(f"{len(value)} bytes are too many, there is room for {self.size}")
        return bytes(value).ljust(self.size, b"\0")


class Text(Plain):
    """Characters with NULs up to the end as text; anything else as bytes."""

    def decode(self, data: bytes) -> str | bytes:
        text = data.rstrip(b"\0")
        if len(text) == len(data) or b"\0" in text:
            return data
        try:
            return text.decode()
        except UnicodeDecodeError:
            return data

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str):
            return super().encode(value)
        data = value.encode()
        if b"\0" in data:
            raise UsageError(f"{value!r:.60} has a NUL within", hint="give bytes")
        if len(data) >= self.size > 0 or (data and not self.size):
            raise UsageError(
                f"{value!r:.60} is too long: {len(data)} bytes and a NUL, with room for {self.size}"
            )
        return super().encode(data)


class Record(Form):
    """A structure or union."""

    def __init__(self, shape: Compound, depth: int) -> None:
        super().__init__(shape)
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
    def _forms(self) -> dict[str, Form]:
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

    def decode(self, data: bytes) -> dict[str, Any]:
        values = {name: self._value(data, name) for name in self._slots}
        rest = int.from_bytes(data, "little") & self._rest_mask
        if rest:
            values[REST] = rest.to_bytes(self.shape.size, "little")
        return values

    def _value(self, data: bytes | bytearray, name: str) -> Any:
        slot = self._slots[name]
        piece = bytes(data[slot.offset : slot.offset + slot.size])
        if slot.bit_size is None:
            return self._forms[name].decode(piece)
        assert isinstance(slot.shape, Scalar)
        return slot.shape.value(slot.raw(piece), slot.bit_size)

    # -- values to bytes -------------------------------------------------------------------

    def encode(self, value: Any) -> bytes:
        base = self._base(value)
        data, changed = bytearray(base), []
        for name, inner in value.items():
            piece = self._piece(base, name, inner) if name != REST else None
            if piece is not None and not (name in self._shared and piece == self._old(base, name)):
                self._put(data, name, piece)
                changed.append((name, piece))
        for name, piece in changed:
            if self._old(data, name) != piece:
                raise UsageError(f"{self.shape.name}: {name} and another member contradict")
        return bytes(data)

    def _base(self, value: Any) -> bytes:
        """The bytes that the members of `value` are put into."""
        if not isinstance(value, Mapping):
            raise UsageError(f"{self.shape.name} is made from its members, not from {value!r:.60}")
        for name in value:
            if name not in self._slots and name != REST:
                raise UsageError(f"{self.shape.name} has no member {name!r:.60}")
        base = bytes(value.get(REST, b"")).ljust(self.size, b"\0")
        if len(base) > self.size:
            raise UsageError(f"{REST} of {self.shape.name} has {len(base)} bytes")
        return base

    def _piece(self, base: bytes, name: str, value: Any) -> int:
        """What a member is stored as."""
        slot = self._slots[name]
        if slot.bit_size is None:
            return int.from_bytes(self._forms[name].encode(value), "little")
        assert isinstance(slot.shape, Scalar)
        return slot.shape.raw(value, slot.bit_size)

    def _old(self, data: bytes | bytearray, name: str) -> int:
        slot = self._slots[name]
        return slot.raw(bytes(data[slot.offset : slot.offset + slot.size]))

    def _put(self, data: bytearray, name: str, piece: int) -> None:
        slot = self._slots[name]
        end = slot.offset + slot.size
        data[slot.offset : end] = slot.merged(bytes(data[slot.offset : end]), piece)


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
