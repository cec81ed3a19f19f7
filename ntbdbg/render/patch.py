# SPDX-License-Identifier: MIT
"""Patches as lines and as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable, shorten

if TYPE_CHECKING:
    from ntbdbg.inspect.journal import Patch


def patch_line(patch: Patch, *, undone: bool = False) -> str:
    """``patch 3: qemu1:0x1000: 00 00 -> 05 00``; without number for a dry run."""
    old, new = (patch.new, patch.old) if undone else (patch.old, patch.new)
    what = f"undo {patch.number}: " if undone else f"patch {patch.number}: " * bool(patch.number)
    place = f"{printable(patch.guest)}:{patch.address:#x}"
    return f"{what}{place}: {shorten(old)} -> {shorten(new)}"


def patch_list(patches: Iterable[tuple[Patch, str]]) -> Iterator[str]:
    """A line a patch: number, local time, state, change."""
    for patch, state in patches:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(patch.time))
        change = f"{shorten(patch.old, 8)} -> {shorten(patch.new, 8)}"
        place = f"{printable(patch.guest)}:{patch.address:#x}"
        yield f"{patch.number:>4}  {when}  {state:<11}  {place}: {change}"


def patch_facts(patch: Patch) -> dict[str, Any]:
    """A patch for JSON."""
    return {
        "number": patch.number,
        "time": patch.time,
        "guest": patch.guest,
        "address": patch.address,
        "size": len(patch.new),
        "old": patch.old.hex(),
        "new": patch.new.hex(),
    }
