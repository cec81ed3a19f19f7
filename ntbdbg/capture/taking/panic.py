# SPDX-License-Identifier: MIT
"""Waiting for a guest of a lab to panic or to die, without holding anything of it.

Who tells: run.json, into which the launcher writes what pvpanic reported (QEMU's
GUEST_PANICKED) and how a QEMU ended; and the kernel's own state in the guest's RAM, where it
is understood. No monitor is asked, so nobody else is kept from it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError, TargetError

if TYPE_CHECKING:
    from ntbdbg.kernel.log.panicwatch import PanicWatch
    from ntbdbg.lab.lab import Lab

INTERVAL = 0.2
"""Seconds between two looks."""

SETTLE = 1.5
"""Seconds from the first sign of a panic on, in which the kernel says why and stops its CPUs."""


class PanicWait:
    """Looks at all guests of a lab that is opened anew whenever its run.json changes.

    :param opener: opens the lab
    :raises TargetError: nothing would tell: no run.json, and no kernel that is understood
    """

    def __init__(
        self, opener: Callable[[], Lab], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._opener, self._clock = opener, clock
        self._watches: dict[str, PanicWatch] = {}
        self._living: set[str] = set()
        self._lab = self._opened()
        self._stamp = self._read_stamp()
        if self._lab.manifest is None:
            self._check_bare()

    def close(self) -> None:
        """Give the lab back."""
        self._lab.close()

    def sign(self) -> str | None:
        """What happened, as a clause; None if nothing did.

        :raises TargetError: the lab was stopped
        """
        self._refresh()
        manifest = self._lab.manifest
        for record in manifest.guests if manifest else ():
            if record.panicked is not None and record.is_alive():
                return f"{record.name} panicked"
            if record.name in self._living and not record.is_alive():
                self._check_left()
                return f"QEMU of {record.name} ended"
        for name, watch in self._watches.items():
            with contextlib.suppress(TargetError):
                if watch.panics():
                    return f"{name} panicked"
        return None

    def _refresh(self) -> None:
        """Open the lab again if run.json says something new."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        path = self._lab.path
        self._lab.close()
        self._lab, self._stamp = self._opened(), stamp
        if self._lab.path != path:
            raise _stopped()

    def _opened(self) -> Lab:
        lab = self._opener()
        self._watches = dict(self._watch_all(lab))
        records = lab.manifest.guests if lab.manifest else ()
        self._living |= {record.name for record in records if record.is_alive()}
        return lab

    def _read_stamp(self) -> tuple[int, int] | None:
        path = self._lab.path
        if path is None:
            return None
        try:
            status = os.stat(path)
        except FileNotFoundError:
            raise _stopped() from None
        return status.st_ino, status.st_mtime_ns

    def _watch_all(self, lab: Lab) -> list[tuple[str, PanicWatch]]:
        from ntbdbg.kernel.kernel import Kernel
        from ntbdbg.kernel.log.panicwatch import PanicWatch

        found = []
        for name in lab.names:
            with contextlib.suppress(NtbdbgError):
                memory = lab.guest(name).memory
                found.append((name, PanicWatch(memory, Kernel.open, clock=self._clock)))
        return found

    def _check_bare(self) -> None:
        for watch in self._watches.values():
            with contextlib.suppress(TargetError):
                watch.panics()
        if not any(watch.understood for watch in self._watches.values()):
            raise TargetError(
                "nothing would tell of a panic: there is no run.json, and no kernel is understood",
                hint="the run.json of a lab tells, and a kernel built with CONFIG_KALLSYMS_ALL",
            )

    def _check_left(self) -> None:
        """Raise TargetError if a QEMU ended because its lab is being stopped."""
        records = self._lab.manifest.guests if self._lab.manifest else ()
        if not any(os.path.exists(record.ram.path) for record in records):
            raise _stopped()


def _stopped() -> TargetError:
    return TargetError("the lab was stopped before a guest panicked", hint="start it again")
