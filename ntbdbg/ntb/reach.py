# SPDX-License-Identifier: MIT
"""From a window offset to the peer's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, NtbError

if TYPE_CHECKING:
    from ntbdbg.ntb.model import Link, MemoryWindow


class Reached(NamedTuple):
    """`size` bytes at guest-physical `gpa` of the guest in `partition`."""

    partition: int
    gpa: int
    size: int


def reach(
    link: Link, partition: int, index: int, offset: int, size: int, *, name: str | None = None
) -> tuple[Reached, ...]:
    """What `[offset, offset + size)` of an outbound window is in the peer's memory.

    More than one result only where the peer's RAM table has adjoining segments: a range that
    touches a hole is a fault, not two pieces.

    :param name: what errors call the window, e.g. ``qemu1:mw0``
    :raises NtbError: no such window, or it is closed; the message says why
    :raises FaultError: a byte is beyond the window's limit or reaches no RAM; its address is
        the offset in the window
    """
    owner = name.partition(":")[0] if name else None
    window = link.window(partition, index, owner=owner)
    called = name or f"port {link.port(partition).number} mw{index}"
    require_open(window, called)
    target = target_of(window, called)
    return tuple(Reached(target, gpa, length) for gpa, length in _cut(window, offset, size, called))


def contiguous(window: MemoryWindow, offset: int) -> int:
    """Bytes of the peer's RAM that an open window reaches from `offset` on, without a gap."""
    end = offset
    for piece in window.reached:
        if piece.offset <= end < piece.offset + piece.size:
            end = piece.offset + piece.size
    return end - offset


def require_open(window: MemoryWindow, name: str) -> None:
    """Raise NtbError with every reason unless `window` is open."""
    if window.closed:
        raise NtbError(
            f"{name} is closed: {window.why_closed}",
            hint="'ntbdbg windows' shows all windows and what each one lacks",
        )


def target_of(window: MemoryWindow, name: str) -> int:
    """The partition that an open window leads to; NtbError if only the device knows it."""
    if window.translation is None:
        lenders = ", ".join(f"mw{index}" for index in window.mirrors)
        raise NtbError(
            f"{name} has no translation, the device lends it that of one of {lenders}",
            hint="x-mirror-mw takes the one programmed last, which no register tells",
        )
    return window.translation.partition


def bar_window(
    link: Link, partition: int, bar: int, offset: int, *, name: str | None = None
) -> tuple[MemoryWindow, int]:
    """The window at `offset` of a BAR, and the offset in that window.

    :param name: what errors call the BAR, e.g. ``qemu1: bar4``
    :raises NtbError: the BAR holds no window, or none there; the message says what there is
    """
    mine = link.windows_of(partition)
    inside = [window for window in mine if window.bar == bar]
    called = name or f"port {link.port(partition).number}: bar{bar}"
    if not inside:
        known = ", ".join(sorted({f"bar{w.bar}" for w in mine})) or "none"
        raise NtbError(f"{called} holds no memory window", hint=f"with one: {known}")
    if len(inside) == 1:
        return inside[0], offset
    entry, rest = divmod(offset, inside[0].aperture)
    if entry >= len(inside):
        raise NtbError(
            f"{called} has no window at {offset:#x}",
            hint=f"its {len(inside)} windows of {inside[0].aperture:#x} bytes end before that",
        )
    return inside[entry], rest


def _cut(window: MemoryWindow, offset: int, size: int, name: str) -> list[tuple[int, int]]:
    if not 0 <= offset < window.size or offset + size > window.size:
        first = offset if not 0 <= offset < window.size else window.size
        reason = f"is outside the window, which reaches {window.size:#x} bytes by its limit"
        raise FaultError(name, first, size, reason)
    found = []
    for piece in window.pieces:
        start = max(offset, piece.offset)
        end = min(offset + size, piece.offset + piece.size)
        if start >= end:
            continue
        gpa = piece.gpa + (start - piece.offset)
        if piece.gap is not None:
            raise FaultError(
                name, start, end - start, f"leads to {gpa:#x} of the peer, which {piece.gap}"
            )
        found.append((gpa, end - start))
    return found
