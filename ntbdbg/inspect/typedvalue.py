# SPDX-License-Identifier: MIT
"""Values for members whose type is known, as users write them: no ``u32:`` needed.

5  -1  0x10        numbers that fit the type
BUSY               an enumerator, by name
true  false        truth
1.5                floating-point numbers
init_task  NULL    pointers, by the symbol they shall lead to, or by number
qemu2              characters; they get the NUL that C wants
1,2,3              arrays of numbers: every element
"""

from __future__ import annotations

from collections.abc import Callable

from ntbdbg.errors import UsageError
from ntbdbg.inspect.value import EXAMPLES, is_raw, parse_value
from ntbdbg.kernel.program.codec import stored
from ntbdbg.kernel.values.shape import Array, Scalar, Slot
from ntbdbg.units import parse_number

AddressOf = Callable[[str], int]

_TRUTH = {"true": 1, "false": 0, "yes": 1, "no": 0}


def typed_value(slot: Slot, old: bytes, text: str, address_of: AddressOf) -> bytes:
    """The bytes of `slot`, now `old`, with the value that `text` stands for in it.

    ``u32:5``, ``hex:…``, ``str:…`` and ``@file`` are the bytes they stand for, at its start.

    :param address_of: gives the address of a symbol
    :raises UsageError: `text` is no value for that type
    """
    if not is_raw(text):
        return stored(slot, old, _value(slot, text, address_of))
    data = parse_value(text)
    if slot.bit_size is not None or len(data) > slot.size:
        where = f"{slot.bit_size} bits" if slot.bit_size is not None else f"{slot.size} bytes"
        raise UsageError(
            f"{len(data)} bytes do not fit {slot.shape.name} of {where}",
            hint="a bare value takes the size of the member: 5",
        )
    return data


def _value(
    slot: Slot, text: str, address_of: AddressOf
) -> int | float | str | list[int | float | str]:
    shape = slot.shape
    if isinstance(shape, Scalar):
        return _scalar(shape, text, address_of)
    if isinstance(shape, Array) and shape.is_text:
        return text
    if isinstance(shape, Array) and isinstance(shape.element, Scalar) and not shape.is_bytes:
        element = shape.element
        return [_scalar(element, word.strip(), address_of) for word in text.split(",")]
    raise UsageError(
        f"{text!r:.60} is no value for {shape.name}",
        hint="write its bytes as hex:…" if isinstance(shape, Array) else "name one of its members",
    )


def _scalar(shape: Scalar, text: str, address_of: AddressOf) -> int | float | str:
    if shape.kind == "float":
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{text!r:.60} is no value for {shape.name}") from None
    if shape.kind == "bool" and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if shape.kind == "enum" and text in shape.names.values():
        return text
    digits = text.removeprefix("-")
    if digits[:1].isdigit():
        number = parse_number(digits, what="value")
        return -number if text.startswith("-") else number
    if shape.kind == "pointer":
        return 0 if text == "NULL" else address_of(text)
    if shape.kind == "enum":
        return text  # refused by the shape, which lists those there are
    raise UsageError(f"{text!r:.60} is no value for {shape.name}", hint=f"a number, or {EXAMPLES}")
