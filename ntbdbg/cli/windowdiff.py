# SPDX-License-Identifier: MIT
"""``diff --window``: what arrives through a window against what should, or what goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.operands import Comparison, Side, file_operand, plain_file
from ntbdbg.errors import UsageError
from ntbdbg.inspect.diff import Span
from ntbdbg.lab.address import AddressExpr, Window
from ntbdbg.ntb.reach import bar_window, require_open, target_of
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.ntb.model import MemoryWindow


def compare_windows(app: AppContext, first: str, second: str | None) -> Comparison:
    """What window `first` (``qemu1:mw0``) reaches, against the second operand.

    :param second: another window, an address (of the first window's own guest, or
        ``GUEST:ADDR``), a file; by default the target's window of the same index
    :raises NtbError: a window is closed; the message says why
    """
    guest, window = _parse(app, first)
    mine = _find(guest, window)
    peer = _target(guest, mine, f"{guest.name}:{window}")
    a = Side(f"{guest.name}:{window} in {peer.name}", peer.memory, guest=peer)
    if second is None:
        second = f"{peer.name}:mw{mine.index}"
    if file_operand(app, second):
        b = plain_file(second)
        b_pieces = [(0, b.room or 0, 0)]
    else:
        b, b_pieces = _other(guest, second, mine.size)
    a_pieces = [(p.offset, p.size, p.gpa) for p in mine.reached]
    spans = tuple(_overlaps(a_pieces, b_pieces))
    common = sum(span.size for span in spans)
    if common < mine.size or common < sum(size for _, size, _ in b_pieces):
        app.note(f"compared are the {format_size(common)} that both sides have")
    return Comparison(a, b, spans, common)


def _parse(app: AppContext, text: str) -> tuple[GuestLike, Window]:
    expr = AddressExpr.parse(text, app.names)
    if not isinstance(expr.base, Window) or expr.guest is None or expr.offset:
        raise UsageError(f"{text!r} is no window of a guest", hint="write it as qemu1:mw0")
    prefix = "" if expr.capture is None else f"{expr.capture}:"
    return app.guest(prefix + expr.guest), expr.base


def _find(guest: GuestLike, window: Window) -> MemoryWindow:
    link = guest.lab.read_link()
    if window.kind == "mw":
        return link.window(guest.partition, window.number, owner=guest.name)
    name = f"{guest.name}: {window}"
    return bar_window(link, guest.partition, window.number, 0, name=name)[0]


def _target(guest: GuestLike, window: MemoryWindow, name: str) -> GuestLike:
    require_open(window, name)
    return guest.lab.guest_of_partition(target_of(window, name))


def _other(guest: GuestLike, text: str, size: int) -> tuple[Side, list[tuple[int, int, int]]]:
    """The second operand as a side and pieces `(offset, size, address)`."""
    expr = AddressExpr.parse(text, guest.lab.names)
    owner = guest.owner(expr)
    if isinstance(expr.base, Window) and not expr.offset:
        window = _find(owner, expr.base)
        target = _target(owner, window, f"{owner.name}:{expr.base}")
        name = f"{owner.name}:{expr.base} in {target.name}"
        side = Side(name, target.memory, guest=target)
        return side, [(p.offset, p.size, p.gpa) for p in window.reached]
    place = owner.resolve(expr.of_its_guest(), size)
    return Side.of(place), [(0, size, place.address)]


def _overlaps(a: list[tuple[int, int, int]], b: list[tuple[int, int, int]]) -> list[Span]:
    """Spans over the window offsets that both have."""
    found = []
    for offset, size, mine in a:
        for other_offset, other_size, theirs in b:
            start = max(offset, other_offset)
            end = min(offset + size, other_offset + other_size)
            if start < end:
                found.append(
                    Span(mine + start - offset, theirs + start - other_offset, end - start)
                )
    return found
