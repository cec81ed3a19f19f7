# SPDX-License-Identifier: MIT
"""What a patch stores and where: bytes at an address, or a value in a member of known type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.inspect.value import is_raw, parse_value
from ntbdbg.lab.address import AddressExpr

if TYPE_CHECKING:
    from ntbdbg.lab.place import Address, GuestLike, Place

Value = bytes | str


def patch_bytes(
    guest: GuestLike, address: Address, data: Value, expect: Value | None
) -> tuple[Place, bytes, bytes | None]:
    """Where to store, what, and what must be there before.

    :param data: bytes, a value such as ``u32:5``, or a bare one where the type is known
    :param expect: likewise, or None
    :raises UsageError: no value, or none for that type
    """
    values = [one for one in (data, expect) if isinstance(one, str)]
    if values and _is_name(guest, address):
        bare = any(not is_raw(one) for one in values)
        if bare or "." in str(address) or "[" in str(address):
            return _typed(guest, str(address), data, expect)
    new = parse_value(data) if isinstance(data, str) else data
    old = parse_value(expect) if isinstance(expect, str) else expect
    return guest.resolve(address, len(new)), new, old


def _is_name(guest: GuestLike, address: Address) -> bool:
    if not isinstance(address, str):
        return False
    expr = AddressExpr.parse(address, guest.lab.names)
    return isinstance(expr.base, str) and not expr.offset


def _typed(
    guest: GuestLike, name: str, data: Value, expect: Value | None
) -> tuple[Place, bytes, bytes | None]:
    from ntbdbg.inspect.typedvalue import typed_value
    from ntbdbg.lab.typed import find_typed

    found = find_typed(guest, name)
    kernel = found.place.guest.kernel
    now = found.read()

    def stored(value: Value) -> bytes:
        if isinstance(value, bytes):
            return value
        return typed_value(found.slot, now, value, lambda symbol: kernel.lookup(symbol).address)

    return found.place, stored(data), None if expect is None else stored(expect)
