# SPDX-License-Identifier: MIT
"""Modules of a guest as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.kernel.modules.modules import Module


class ModuleLine(NamedTuple):
    """A module with its taints in letters."""

    module: Module
    taints: str


class ModuleTable:
    """One line a module, as /proc/modules has them."""

    def __init__(self, lines: Sequence[ModuleLine]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        titles = ("MODULE", "SIZE", "BASE", "STATE", "TAINTS", "USED", "BY")
        table = plain_table(*titles, right=("SIZE", "USED"))
        for module, taints in self.lines:
            users = [printable(user) for user in module.users]
            users += ["[permanent]"] if module.is_permanent else []
            table.add_row(
                printable(module.name),
                str(module.size),
                f"{module.base:#x}",
                module.state,
                taints or "-",
                str(module.references),
                ", ".join(users) or "-",
            )
        yield table


def module_facts(line: ModuleLine) -> dict[str, Any]:
    """One module for JSON."""
    module = line.module
    return {
        "name": module.name,
        "size": module.size,
        "base": module.base,
        "state": module.state,
        "taints": line.taints,
        "references": module.references,
        "users": list(module.users),
        "permanent": module.is_permanent,
        "address": module.address,
        "regions": [region._asdict() for region in module.regions],
    }
