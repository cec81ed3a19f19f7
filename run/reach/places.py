# SPDX-License-Identifier: MIT
"""Where a file is: on this host, or in a guest as ``1:/path``. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from run.base.errors import UsageError

#: a guest by number or by the launcher's name; ``./1:x`` is a file of the host
_IN_GUEST = re.compile(r"(\d+|qemu\d*):(.*)", re.DOTALL)

_HOW = "python3 run cp FILE 1:/path, or python3 run cp 1:/path FILE"


@dataclass(frozen=True)
class Place:
    """One operand of `cp`.

    :param guest: as typed, None for this host
    """

    guest: str | None
    path: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Read an operand; raises UsageError where it names nothing."""
        match = _IN_GUEST.fullmatch(text)
        place = cls(match[1], match[2]) if match else cls(None, text)
        if not place.path:
            raise UsageError(f"{text!r:.60} names no file", hint=_HOW)
        return place

    @property
    def name(self) -> str:
        """The last part of its path, by which it is called elsewhere."""
        return self.path.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Copies:
    """What one `cp` does: all of `sources` into, or as, `target`.

    :param guest: the one that takes part
    :param out: from the guest to this host
    """

    guest: str
    out: bool
    sources: tuple[Place, ...]
    target: Place


def plan(operands: Sequence[str]) -> Copies:
    """Who copies what where; raises UsageError unless one side is this host."""
    if len(operands) < 2:
        raise UsageError("cp wants what to copy, and where to", hint=_HOW)
    *sources, target = map(Place.of, operands)
    guests = {source.guest for source in sources}
    if len(guests) > 1:
        raise UsageError("what is copied at once lies in one place", hint="one 'cp' for each")
    (source_guest,) = guests
    if source_guest is not None and target.guest is not None:
        raise UsageError("from guest to guest goes by way of this host", hint="cp it here first")
    guest = source_guest if source_guest is not None else target.guest
    if guest is None:
        raise UsageError("neither side is a guest", hint=_HOW)
    for source in sources:
        if not source.name or source.name in (".", ".."):
            raise UsageError(
                f"{source.path!r:.60} has no name of its own", hint="name the folder itself"
            )
    return Copies(guest, source_guest is not None, tuple(sources), target)
