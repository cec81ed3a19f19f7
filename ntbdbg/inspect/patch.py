# SPDX-License-Identifier: MIT
"""Changing a guest's memory so that it can be taken back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError, RefusedError
from ntbdbg.inspect.journal import Patch
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment

if TYPE_CHECKING:
    from ntbdbg.inspect.journal import Journal

SHOWN = 16
"""Bytes that messages quote."""


def prepare(
    memory: RamFile, address: int, new: bytes, *, now: float, expect: bytes | None = None
) -> Patch:
    """The patch that would store `new` at `address`; changes nothing.

    :param now: seconds since the epoch
    :param expect: bytes that must be there, of any length
    :raises FaultError: no RAM there
    :raises RefusedError: other bytes than `expect` are there
    """
    if expect is not None:
        found = memory.read(address, len(expect))
        if found != expect:
            raise RefusedError(
                f"{memory.name}:{address:#x} holds {_quote(found)}, not {_quote(expect)}: "
                "nothing was changed",
                hint="look at it with 'ntbdbg dump', or leave out --expect",
            )
    return Patch(
        number=0,
        time=now,
        guest=memory.name,
        path=memory.file.path,
        identity=memory.file.identity,
        segments=tuple(
            Segment(start, size, start - segment.start + segment.offset)
            for segment, start, size in memory.segments.pieces(address, len(new))
        ),
        address=address,
        old=memory.read(address, len(new)),
        new=new,
        owners=memory.file.owners,
    )


def apply(memory: RamFile, patch: Patch, journal: Journal, *, above: int = 0) -> Patch:
    """Journal a prepared `patch`, then store its bytes; gives it with its number.

    :param above: the number is higher than this one
    """
    with journal.patching(patch, above=above) as numbered:
        memory.write(patch.address, patch.new)
    return numbered


def state(patch: Patch) -> str:
    """``applied``, ``undone``, ``overwritten`` since, or ``gone`` with its RAM file."""
    if patch.undone:
        return "undone"
    try:
        with contextlib.closing(_memory(patch)) as memory:
            now = memory.read(patch.address, len(patch.new))
    except NtbdbgError:
        return "gone"
    return "applied" if now == patch.new else "overwritten"


def pick(patches: list[Patch], number: int | None) -> Patch:
    """Patch `number`, or the last one that still can be undone.

    :raises RefusedError: there is none, or it was undone already
    """
    if number is not None:
        return _numbered(patches, number)
    for patch in reversed(patches):
        if state(patch) in ("applied", "overwritten"):
            return patch
    raise RefusedError("there is nothing to undo", hint=_LIST)


def undo(patch: Patch, journal: Journal, *, force: bool = False) -> bytes:
    """Put the old bytes back; gives those that were there.

    :param force: also if the bytes changed since
    :raises RefusedError: they changed since, and neither `force` nor chance made them old again
    :raises TargetError: the RAM file is gone or another one
    """
    with contextlib.closing(_memory(patch)) as memory:
        found = memory.read(patch.address, len(patch.new))
        if found not in (patch.new, patch.old) and not force:
            raise RefusedError(
                f"{patch.guest}:{patch.address:#x} changed since patch {patch.number}: it holds "
                f"{_quote(found)}, not {_quote(patch.new)}; nothing was changed",
                hint="undo later patches first, or overwrite it with --force",
            )
        with journal.undoing(patch, found):
            memory.write(patch.address, patch.old)
    return found


_LIST = "'ntbdbg patch --list' shows all patches"


def _numbered(patches: list[Patch], number: int) -> Patch:
    found = [patch for patch in patches if patch.number == number]
    if not found:
        raise RefusedError(f"there is no patch {number}", hint=_LIST)
    if len(found) > 1:  # of journals that did not know of each other
        raise RefusedError(f"{len(found)} patches have number {number}", hint=_LIST)
    if found[0].undone:
        raise RefusedError(f"patch {number} was undone already", hint=_LIST)
    return found[0]


def _memory(patch: Patch) -> RamFile:
    file = CheckedFile(patch.path, patch.guest, "RAM file", patch.identity, owners=patch.owners)
    return RamFile(patch.path, patch.segments, name=patch.guest, file=file)


def _quote(data: bytes) -> str:
    more = "…" if len(data) > SHOWN else ""
    return data[:SHOWN].hex(" ") + more
