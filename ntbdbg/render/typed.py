# SPDX-License-Identifier: MIT
"""Values of C types: one line a member, indented as they are nested, and as JSON.

Plain lines, not a table of rich: a structure may have a thousand members.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable, shorten

if TYPE_CHECKING:
    from ntbdbg.kernel.values.fields import Field

WIDEST_NAME, WIDEST_VALUE = 36, 28
"""Columns; what is longer shifts the rest of its line."""

NUMBERS = 8
"""Elements of an array on one line."""


def shown_fields(fields: Sequence[Field]) -> tuple[list[Field], int]:
    """Without members that are zero, and structures of which nothing is left; how many lack."""
    kept: list[Field] = []
    hidden, following = 0, -1
    alive: set[int] = set()  # depths at which something is kept, since what is less deep
    for field in reversed(fields):
        if following > field.depth and field.has_members:
            keep = any(depth > field.depth for depth in alive)
        else:
            keep = not field.is_zero
            hidden += not keep
        alive = {depth for depth in alive if depth <= field.depth}
        if keep:
            kept.append(field)
            alive.add(field.depth)
        following = field.depth
    kept.reverse()
    return kept, hidden


def typed_lines(title: str, fields: Sequence[Field], *, omitted: int = 0) -> Iterator[str]:
    """The lines of a decoded value.

    :param omitted: members left out by the caller
    """
    yield printable(title)
    rows = [_row(field, _is_open(fields, at)) for at, field in enumerate(fields)]
    names = min(max((len(name) for _, name, _, _ in rows), default=0), WIDEST_NAME)
    values = min(max((len(value) for _, _, value, _ in rows), default=0), WIDEST_VALUE)
    offsets = max((len(offset) for offset, *_ in rows), default=0)
    for offset, name, value, rest in rows:
        yield f"{offset:<{offsets}}  {name:<{names}}  {value:<{values}}  {rest}".rstrip()
    if omitted:
        yield f"{omitted} members that are 0 are left out (--all)"


def _is_open(fields: Sequence[Field], at: int) -> bool:
    """Whether members of this field follow it, or it has none at all."""
    following = fields[at + 1 : at + 2]
    return not fields[at].size or any(field.depth > fields[at].depth for field in following)


def _row(field: Field, is_open: bool) -> tuple[str, str, str, str]:
    bits = ""
    if field.bit_size is not None and field.bit_offset is not None:
        bits = f":{field.bit_offset}" + (
            f"-{field.bit_offset + field.bit_size - 1}" * (field.bit_size > 1)
        )
    indent = "  " * field.depth
    meaning = "" if field.kind == "enum" else field.meaning
    rest = "  ".join(word for word in (field.type_name, printable(meaning)) if word)
    name = field.name or field.path
    return f"+{field.offset:#06x}{bits}", indent + printable(name), field_text(field, is_open), rest


def field_text(field: Field, is_open: bool = False) -> str:
    """The value of a field in one line; of one that has members, a mark.

    :param is_open: whether its members are shown below it
    """
    value = field.value
    if field.kind in ("struct", "union"):
        return "{}" if is_open else "{…}"
    if field.kind == "array":
        return "[]" if is_open else "[…]"
    if isinstance(value, bytes):
        return shorten(value)
    if isinstance(value, tuple):
        dots = " …" if len(value) > NUMBERS or field.meaning else ""
        return " ".join(map(_number, value[:NUMBERS])) + dots
    if isinstance(value, str):
        return '"' + printable(value) + '"'
    if value is None:
        return "-"
    if field.kind == "bool" and value in (0, 1):
        return "true" if value else "false"
    if field.kind == "enum" and field.meaning:
        return f"{printable(field.meaning)} ({value})"
    if field.kind == "pointer":
        return f"{value:#x}" if value else "NULL"
    return _number(value)


def _number(value: int | float) -> str:
    """Whole numbers as C writes them, in hexadecimal from where that is easier to read."""
    if isinstance(value, float):
        return repr(value)
    return hex(value) if abs(value) >= 1 << 32 else str(value)


def typed_facts(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The fields for JSON (docs/json.md)."""
    return [_facts(field) for field in fields]


def _facts(field: Field) -> dict[str, Any]:
    value = field.value
    facts: dict[str, Any] = {
        "path": field.path,
        "depth": field.depth,
        "address": field.base + field.offset,
        "offset": field.offset,
        "size": field.size,
        "type": field.type_name,
        "kind": field.kind,
        "value": value.hex() if isinstance(value, bytes) else _finite(value),
        "meaning": field.meaning,
    }
    if field.bit_size is not None:
        facts |= {"bit_offset": field.bit_offset, "bit_size": field.bit_size}
    return facts


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return [_finite(item) for item in value] if isinstance(value, tuple) else value
