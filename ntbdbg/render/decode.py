# SPDX-License-Identifier: MIT
"""Decoded structures: one line a member, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable, shorten
from ntbdbg.units import short_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.inspect.structs import Member, StructDef, Value


class StructView:
    """The members of one structure.

    :param base: what the offsets count from, shown in the title only
    :param omitted: members left out by the caller
    """

    def __init__(
        self, title: str, base: int, members: Sequence[Member], *, omitted: int = 0
    ) -> None:
        self.title = title
        self.base = base
        self.members = members
        self.omitted = omitted

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(printable(self.title), style="bold")
        table = plain_table("OFFSET", "NAME", "VALUE", "MEANING")
        for member in self.members:
            value = value_text(member.value, member.size)
            table.add_row(f"+{member.offset:#05x}", member.path, value, member.meaning)
        yield table
        if self.omitted:
            words = f"{self.omitted} members that are 0 or padding are left out (--all)"
            yield Text(words, style="dim")


class RangeTable:
    """The BIOS memory map: a line each of its ranges."""

    def __init__(self, title: str, members: Sequence[Member]) -> None:
        self.title = title
        self.ranges: dict[str, dict[str, Member]] = {}
        for member in members:
            entry, dot, name = member.path.rpartition(".")
            if dot:
                self.ranges.setdefault(entry, {})[name] = member

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(printable(self.title), style="bold")
        table = plain_table("ENTRY", "FROM", "TO", "SIZE", "KIND", right=("ENTRY", "SIZE"))
        for number, parts in enumerate(self.ranges.values()):
            start, size = (int(parts[name].value) for name in ("addr", "size"))  # type: ignore[arg-type]
            last = (start + max(size, 1) - 1) % (1 << 64)
            kind = parts["type"]
            words = kind.meaning or value_text(kind.value, kind.size)
            table.add_row(
                str(number), f"{start:#011x}", f"{last:#011x}", short_size(size), printable(words)
            )
        yield table


def value_text(value: Value, size: int) -> str:
    """Numbers in hexadecimal (and decimal from 10 on), bytes in hex, their start if long."""
    if isinstance(value, bytes):
        return shorten(value)
    if isinstance(value, tuple):
        return " ".join(f"{item:#x}" for item in value[:8]) + (" …" if len(value) > 8 else "")
    return f"{value:#x}" + (f" ({value})" if 9 < value < 1 << 32 else "")


class StructList:
    """The structures there are."""

    def __init__(self, definitions: Iterable[StructDef]) -> None:
        self.definitions = definitions

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = plain_table("STRUCT", "WHERE", "WHAT", "LAYOUT FROM")
        for item in self.definitions:
            table.add_row(item.name, item.place, item.doc, item.source)
        yield table


def struct_list_facts(definitions: Iterable[StructDef]) -> dict[str, Any]:
    """The document of ``decode --list --json``."""
    fields = ("name", "place", "doc", "source")
    return {"structs": [{name: getattr(d, name) for name in fields} for d in definitions]}


def struct_facts(title: str, base: int, members: Sequence[Member]) -> dict[str, Any]:
    """One part of ``decode --json`` (docs/json.md); padding is left out."""
    return {
        "title": title,
        "address": base,
        "members": [
            {
                "offset": member.offset,
                "size": member.size,
                "name": member.path,
                "value": member.value,
                "meaning": member.meaning,
            }
            for member in members
            if not member.is_padding
        ],
    }
