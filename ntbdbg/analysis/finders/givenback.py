# SPDX-License-Identifier: MIT
"""Windows that still reach memory which its owner has given back: a write through one hits
whoever has that memory now."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.analysis.reached import inbound
from ntbdbg.analysis.verdict import LINK, Severity, Verdict
from ntbdbg.kernel.tasks.pages import PageMap
from ntbdbg.units import PAGE, format_size

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence, Scene
    from ntbdbg.kernel.tasks.pages import PageOwner
    from ntbdbg.memory.segments import AddressRange

OTHERS = {
    "free": "free",
    "slab": "of a slab cache",
    "page table": "a page table",
    "anonymous": "of a process",
    "page cache": "of a file",
}
"""What no buffer for a window is, by the kind of owner."""

MOST_PAGES = 1 << 13
"""Looked at of one guest: 32 MiB, more than all windows of two ports."""


class Stray(NamedTuple):
    """Pages of a window that are somebody else's.

    :ivar what: whose, in words
    :ivar first: GPA of the first of them
    """

    what: str
    first: int
    pages: int


def given_back(scene: Scene) -> Iterator[Verdict]:
    """A warning for each window and each kind of owner that should not be behind it."""
    if scene.link is None or scene.link.link is None:
        return
    for evidence in scene.guests:
        yield from _of_guest(evidence)


def _of_guest(evidence: Evidence) -> Iterator[Verdict]:
    guest = evidence.guest
    windows = [window for window in inbound(guest) if not window.closed] if guest else []
    if not windows or evidence.kernel is None:
        return
    owners, left = PageMap(evidence.kernel), MOST_PAGES
    for window in windows:
        for stray in _strays(owners, window.range, left):
            size = format_size(stray.pages * PAGE)
            yield Verdict(
                Severity.WARNED,
                LINK,
                f"{window.window} still reaches {size} that {evidence.name} has given back: "
                f"{stray.first:#x} is {stray.what}",
                window.window,
            )
        left -= min(left, len(_pages(window.range)))


def _strays(owners: PageMap, reached: AddressRange, most: int) -> list[Stray]:
    """By whom, in the order of their first pages."""
    found: dict[str, Stray] = {}
    for address in islice(_pages(reached), most):
        what = _words(owners.owner(address))
        if what is not None:
            known = found.get(what, Stray(what, address, 0))
            found[what] = known._replace(pages=known.pages + 1)
    return list(found.values())


def _pages(reached: AddressRange) -> range:
    return range(reached.start // PAGE * PAGE, reached.end, PAGE)


def _words(owner: PageOwner | None) -> str | None:
    words = OTHERS.get(owner.kind) if owner else None
    return f"{words} ({owner.detail})" if words and owner and owner.detail else words
