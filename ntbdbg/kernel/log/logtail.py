# SPDX-License-Identifier: MIT
"""Following a kernel's log: what is new since the last look, across a reboot of the guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.log.ring import KernelLog, PrintkRing

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

REBOOTED = "the guest has booted anew"

QUIET_POLLS = 25
"""Looks without news after which the kernel is looked for anew: after a reboot the old one's
remains may be whole for a while, though nothing is added to them."""


class LogTail:
    """Gives the records that came since it was asked last.

    :param find: looks for the kernel in the guest's RAM, each time anew
    :ivar notes: belongs to each answer; `REBOOTED` before the first records of another boot
    """

    def __init__(self, find: Callable[[], KernelImage]) -> None:
        self._find = find
        self._ring: PrintkRing | None = None
        self._boot: bytes | None = None
        self._next = 0
        self._quiet = 0

    def poll(self) -> KernelLog:
        """New records; none while the guest is between two kernels.

        :raises KernelError: at the first call only, if there is no log
        :raises TargetError: the guest's RAM went away
        """
        first = self._boot is None
        notes: list[str] = []
        try:
            log = self._read(notes)
        except (KernelError, FaultError):
            if first:
                raise
            log = KernelLog((), ("gone",))
        if log.notes and not log.records and not first:
            self._ring = None  # what there was is gone; the next look finds what there is
            return KernelLog((), tuple(notes))
        self._quiet = 0 if log.records else self._quiet + 1
        return KernelLog(log.records, (*notes, *log.notes))

    def _read(self, notes: list[str]) -> KernelLog:
        if self._ring is None or self._quiet >= QUIET_POLLS:
            self._ring = self._reopen(notes)
        log = self._ring.read(self._next)
        if log.records:
            self._next = log.records[-1].seq + 1
        return log

    def _reopen(self, notes: list[str]) -> PrintkRing:
        kernel = self._find()
        ring = PrintkRing(kernel.virtual, kernel.info, lambda: kernel.budget)
        # Without KASLR two boots say the same of themselves, but the last record is not there.
        again = self._boot == kernel.info.text and (
            not self._next or ring.read(self._next - 1).records
        )
        if self._boot is not None and not again:
            notes.append(REBOOTED)
            self._next = 0
        self._boot, self._quiet = kernel.info.text, 0
        return ring
