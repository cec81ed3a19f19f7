# SPDX-License-Identifier: MIT
"""Labels behind the lines of a dump or a comparison, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable
from ntbdbg.units import label

if TYPE_CHECKING:
    from ntbdbg.analysis.labels import Label

MOST_SYMBOLS = 3
"""Symbols named on one line."""


def label_text(labels: Sequence[Label]) -> str:
    """``init_uts_ns+0x40``, ``slab kmalloc-64  qemu2:mw0+0x1000``: what a line holds, in order.

    :param labels: of the line; offsets are those of its first byte, and of what starts in it
    """
    symbols = [label(one.symbol, one.offset) for one in labels if one.symbol]
    owners = dict.fromkeys(one.owner for one in labels if one.owner)
    windows = {window: offset for one in reversed(labels) for window, offset in one.windows}
    more = ", …" if len(symbols) > MOST_SYMBOLS else ""
    parts = [
        ", ".join(symbols[:MOST_SYMBOLS]) + more,
        ", ".join(owner for owner in owners if owner),
        *(label(window, offset) for window, offset in windows.items()),
    ]
    return printable("  ".join(part for part in parts if part))


def label_facts(labels: Iterable[Label]) -> list[dict[str, Any]]:
    """The list ``labels`` of JSON documents (docs/json.md); what nobody knows is left out."""
    return [
        {
            "address": label.start,
            "size": label.end - label.start,
            "symbol": label.symbol,
            "offset": label.offset if label.symbol else None,
            "owner": label.owner,
            "windows": [{"window": name, "offset": offset} for name, offset in label.windows],
        }
        for label in labels
        if label.says_something
    ]
