# SPDX-License-Identifier: MIT
"""What a C type looks like in memory: numbers, arrays, structures; no drgn in it.

`ntbdbg.kernel.program.shapes` makes shapes of drgn's types; display (`fields`), binary form
(`forms`) and member paths (`slots`) work on shapes. Byte order is little-endian, as x86's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from ntbdbg.errors import UsageError

Number = int | float | bool | str | bytes

_FLOATS = {2: "<e", 4: "<f", 8: "<d"}


class Shape:
    """A type without bytes of its own: a function, ``void``, a structure only declared.

    No dataclass, nor what follows: making those takes a while, and each decode waits for it.

    :ivar name: in C: ``struct list_head``, ``char [16]``
    :ivar size: bytes
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size


class Scalar(Shape):
    """One number.

    :ivar kind: ``int``, ``char``, ``bool``, ``enum``, ``float`` or ``pointer``
    :ivar names: of an enumeration's values; of several names of one value the first
    :ivar pointee: what a pointer leads to
    """

    def __init__(
        self,
        name: str,
        size: int,
        kind: str,
        is_signed: bool = False,
        names: Mapping[int, str] | None = None,
        pointee: Callable[[], Shape] | None = None,
    ) -> None:
        super().__init__(name, size)
        self.kind = kind
        self.is_signed = is_signed
        self.names = names or {}
        self.pointee = pointee

    def number(self, raw: int, bits: int | None = None) -> int | float:
        """The value of `raw`, an unsigned number of `bits` (by default all of its size)."""
        if self.kind == "float" and self.size in _FLOATS:
            data = raw.to_bytes(self.size, "little")
            return float(struct.unpack(_FLOATS[self.size], data)[0])
        width = bits or 8 * self.size
        return raw - (1 << width) if self.is_signed and raw >> (width - 1) & 1 else raw

    def value(self, raw: int, bits: int | None = None) -> Number:
        """As `number`, with enumerators by name and truth as True and False.

        What such a value cannot hold (a bool of 7, the payload of a NaN) stays a number or
        bytes, so that `raw` is always got back.
        """
        number = self.number(raw, bits)
        if self.kind == "float":
            exact = isinstance(number, int) or self._float(number) == raw
            return number if exact else raw.to_bytes(self.size, "little")
        if self.kind == "bool" and raw in (0, 1):
            return bool(raw)
        assert isinstance(number, int)
        return self.names.get(number, number) if self.kind == "enum" else number

    def raw(self, value: Number, bits: int | None = None) -> int:
        """The unsigned number that `value` is stored as.

        :raises UsageError: it does not fit, or is no enumerator's name
        """
        width = bits or 8 * self.size
        if isinstance(value, str):
            value = self._named(value)
        if isinstance(value, bytes) and len(value) == self.size and not bits:
            return int.from_bytes(value, "little")
        if self.kind == "float" and self.size in _FLOATS and isinstance(value, int | float):
            return self._float(float(value))
        if not isinstance(value, int):
            raise UsageError(f"{value!r:.60} is no value for {self.name}")
        low, high = (-(1 << width - 1), 1 << width - 1) if self.is_signed else (0, 1 << width)
        if not low <= value < high:
            kind = f"{self.name}:{bits}" if bits else self.name
            raise UsageError(f"{value} does not fit {kind}", hint=f"it holds {low} to {high - 1}")
        return value & ((1 << width) - 1)

    @cached_property
    def _values(self) -> dict[str, int]:
        return {name: number for number, name in self.names.items()}

    def _named(self, name: str) -> int:
        if name in self._values:
            return self._values[name]
        known = ", ".join(list(self._values)[:8]) + (", …" if len(self._values) > 8 else "")
        raise UsageError(
            f"{name!r:.60} is no value for {self.name}",
            hint=f"it knows {known}" if known else "give a number",
        )

    def _float(self, value: float) -> int:
        try:
            return int.from_bytes(struct.pack(_FLOATS[self.size], value), "little")
        except OverflowError:
            raise UsageError(f"{value!r} does not fit {self.name}") from None


class Array(Shape):
    """Elements side by side.

    :ivar length: 0 if it is flexible: as long as its memory is
    """

    def __init__(
        self, name: str, size: int, element: Shape, length: int, is_flexible: bool = False
    ) -> None:
        super().__init__(name, size)
        self.element = element
        self.length = length
        self.is_flexible = is_flexible

    @property
    def is_text(self) -> bool:
        """Whether C means characters by it."""
        return isinstance(self.element, Scalar) and self.element.kind == "char"

    @property
    def is_bytes(self) -> bool:
        """Whether it is shown in hexadecimal: bytes without a sign, or characters."""
        element = self.element
        if not isinstance(element, Scalar) or element.size != 1:
            return False
        return element.kind == "char" or (element.kind == "int" and not element.is_signed)

    @property
    def is_plain(self) -> bool:
        """Whether its elements are numbers."""
        return isinstance(self.element, Scalar)


class Slot(NamedTuple):
    """Where something of a known shape lies.

    :ivar name: of a member; empty if it is anonymous
    :ivar offset: bytes from the start of what holds it
    :ivar bit_offset: of a bit field: from `offset` on; it may reach over some bytes
    :ivar bit_size: of a bit field, None if it is none
    """

    name: str
    shape: Shape
    offset: int
    bit_offset: int = 0
    bit_size: int | None = None

    @property
    def size(self) -> int:
        """Bytes from `offset` that hold it."""
        if self.bit_size is None:
            return self.shape.size
        return (self.bit_offset + self.bit_size + 7) // 8

    def raw(self, data: bytes) -> int:
        """The unsigned number in `data`, the bytes that hold it."""
        number = int.from_bytes(data, "little")
        if self.bit_size is None:
            return number
        return number >> self.bit_offset & ((1 << self.bit_size) - 1)

    def merged(self, data: bytes, raw: int) -> bytes:
        """`data`, the bytes that hold it, with the unsigned number `raw` put in."""
        if self.bit_size is None:
            return raw.to_bytes(self.size, "little")
        mask = ((1 << self.bit_size) - 1) << self.bit_offset
        others = int.from_bytes(data, "little") & ~mask
        return (others | raw << self.bit_offset & mask).to_bytes(self.size, "little")

    def moved(self, offset: int) -> Slot:
        """The same, `offset` bytes further on."""
        return self._replace(offset=self.offset + offset)


class Compound(Shape):
    """A structure or union.

    :ivar kind: ``struct`` or ``union``
    :ivar find_slots: gives its members, in order; called once
    """

    def __init__(
        self, name: str, size: int, kind: str, find_slots: Callable[[], list[Slot]]
    ) -> None:
        super().__init__(name, size)
        self.kind = kind
        self.find_slots = find_slots

    @cached_property
    def slots(self) -> list[Slot]:
        """Its members, anonymous ones among them."""
        return self.find_slots()
