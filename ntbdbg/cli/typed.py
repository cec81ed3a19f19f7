# SPDX-License-Identifier: MIT
"""``decode`` of the kernel's own types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.units import counted

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.typed import TypedPlace


_KEYWORD = re.compile(r"(?:\w+:)?(?:struct|union|enum) ")

MOST_CHOICES = 8
"""Types of one name that are listed."""


class Reach(NamedTuple):
    """How much is shown; see the options of ``decode``."""

    depth: int | None
    follow: int
    elements: int
    everything: bool


def show_typed(app: AppContext, target: str, what: str, address: str | None, reach: Reach) -> None:
    """The type `what` at `address`, or the variable `what`."""
    from ntbdbg.render.typed import shown_fields, typed_facts, typed_lines

    guest = app.guest(target)
    with app.stillness():
        found = _find(guest, what, address)
        elements = 1 << 16 if app.json else reach.elements
        fields = list(found.fields(depth=reach.depth, elements=elements, follow=reach.follow))
    if found.choices:
        app.note(_choices(found))
    if app.json:
        app.emit("decode", _facts(target, found) | {"fields": typed_facts(fields)})
        return
    is_value = len(fields) == 1 and not fields[0].has_members
    shown, omitted = (fields, 0) if reach.everything or is_value else shown_fields(fields)
    for line in typed_lines(_title(found), shown, omitted=omitted):
        app.write(line)


def _find(guest: Guest, what: str, address: str | None) -> TypedPlace:
    from ntbdbg.errors import UsageError
    from ntbdbg.lab.typed import find_typed, put_type

    if address is None and _KEYWORD.match(what):
        raise UsageError(
            f"where is {what}?", hint=f"say its address: decode {guest.name} '{what}' ADDR"
        )
    return find_typed(guest, what) if address is None else put_type(guest, what, address)


def _choices(found: TypedPlace) -> str:
    taken, *others = (
        f"'{label}'" + (f" ({size} bytes)" if size is not None else "")
        for label, size in found.choices
    )
    shown = ", ".join(others[:MOST_CHOICES]) + (", …" if len(others) > MOST_CHOICES else "")
    return f"{len(found.choices)} types are called so; taken: {taken}; to choose another: {shown}"


def _title(found: TypedPlace) -> str:
    place = found.place
    via = f", through {place.via}" if place.via else ""
    where = f"{place.guest.name}:{place.address:#x}{via}"
    return f"{found.name}: {found.shape.name} at {where}, {counted(found.size, 'byte')}"


def _facts(target: str, found: TypedPlace) -> dict[str, object]:
    place = found.place
    return {
        "target": target,
        "name": found.name,
        "type": found.shape.name,
        "guest": place.guest.name,
        "address": place.address,
        "space": "va" if place.is_virtual else "pa",
        "via": place.via,
        "size": found.size,
        "choices": [{"type": label, "size": size} for label, size in found.choices],
    }
