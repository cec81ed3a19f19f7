# SPDX-License-Identifier: MIT
"""A stretch of a peer's guest-physical addresses, cut into RAM and gaps (§2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.memory.base import Segment, SegmentMap
from ntbdbg.ntb.model import Piece
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.ntb.model import NtPort


def cut(peer: NtPort, address: int, size: int) -> tuple[Piece, ...]:
    """What `[address, address + size)` of `peer` is, without a gap between the pieces."""
    ram = SegmentMap(peer.segments)
    end = address + size
    pieces: list[Piece] = []
    here = address
    while here < end:
        segment = ram.find(here)
        if segment is not None:
            until = min(end, segment.end)
            pieces += _of_segment(segment, address, here, until)
        else:
            until = min([end, *(s.start for s in ram if s.start > here)])
            pieces.append(Piece(here - address, until - here, here, _gap(ram, here)))
        here = until
    return tuple(pieces)


def _of_segment(segment: Segment, address: int, start: int, end: int) -> Iterator[Piece]:
    """`[start, end)` of one segment: whole pages of the RAM file are mapped, the rest copied.

    Pages are the host's, which runs the device; x86-64 hosts have `PAGE`.
    """
    file_offset = start - segment.start + segment.offset
    aligned = (start - address) % PAGE == 0 and file_offset % PAGE == 0
    size = (end - start) // PAGE * PAGE if aligned else 0
    if size:
        yield Piece(start - address, size, start)
    if start + size < end:
        rest = start + size
        yield Piece(rest - address, end - rest, rest, trapped=True)


def _gap(ram: SegmentMap, address: int) -> str:
    if len(ram) and address < ram[0].start:
        return f"is below the RAM that the peer publishes, from {ram[0].start:#x} on"
    return ram.explain(address)
