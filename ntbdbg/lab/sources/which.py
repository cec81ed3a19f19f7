# SPDX-License-Identifier: MIT
"""Which of the host's guests a word means."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.lab.sources.hostguests import HostGuest

_LIST = "'ntbdbg guests' lists them"


def find_guest(which: str, guests: Sequence[HostGuest]) -> HostGuest:
    """The guest that `which` names, as `matching`.

    :raises TargetError: there is none
    :raises UsageError: there are several
    """
    found = matching(which, guests)
    if not found:
        raise TargetError(f"no guest {which!r:.60} of QEMU runs here", hint=_LIST)
    return one_of(found)


def matching(which: str, guests: Sequence[HostGuest]) -> list[HostGuest]:
    """Those that a word may mean: ``1234``, ``pid:1234``, a name, a UUID, a monitor's socket."""
    prefix, _, number = which.rpartition(":")
    if number.isdigit() and prefix in ("", "pid"):
        found = [one for one in guests if one.pid == int(number)]
        found = found or [one for one in guests if not prefix and which in (one.name, one.uuid)]
    else:
        found = [one for one in guests if which in (one.name, one.uuid)]
    if not found and os.sep in which:
        found = [one for one in guests if _offers(one, which)]
    return found


def only_foreign(guests: Sequence[HostGuest]) -> HostGuest:
    """The one guest that no lab knows.

    :raises TargetError: there is none
    :raises UsageError: there are several
    """
    found = [one for one in guests if one.lab is None]
    if not found:
        raise TargetError("no QEMU runs here that no lab knows", hint=_LIST)
    return one_of(found)


def called(guest: HostGuest) -> str:
    """A name for it that can be used in a lab: its own, or one made of its process id."""
    name = "".join(c if c.isalnum() or c in "_-." else "_" for c in (guest.name or "")[:100])
    return name if name and name[0].isalnum() and name.isascii() else f"pid{guest.pid}"


def one_of(found: Sequence[HostGuest]) -> HostGuest:
    """The only one; raises UsageError that lists them if there are several."""
    if len(found) > 1:
        names = ", ".join(f"{called(one)} (pid {one.pid})" for one in found)
        raise UsageError(
            f"several guests run here: {names}",
            hint=f"name one by its pid: ntbdbg attach pid:{found[0].pid}",
        )
    return found[0]


def _offers(guest: HostGuest, path: str) -> bool:
    monitor = guest.monitor
    if monitor is None or monitor.kind != "unix":
        return False
    return monitor.address == path or os.path.realpath(path) == os.path.realpath(monitor.address)
