# SPDX-License-Identifier: MIT
"""What verdicts are made of: guests and link, each part looked at when it is first asked for.

Nothing here fails on account of a guest: a part that cannot be read is None, and `problems` says
why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ntbdbg.analysis.backtraces import Backtraces
from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.log.incidents import incidents
from ntbdbg.kernel.tasks.system import read_log, system_info
from ntbdbg.lab.hosttime import HOST, HostTime

if TYPE_CHECKING:
    from ntbdbg.analysis.ntbview import NtbViews
    from ntbdbg.analysis.postmortem import LinkStory
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.kernel.log.incidents import Incident
    from ntbdbg.kernel.log.ring import KernelLog
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.kernel.tasks.system import SystemInfo
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.place import LabLike

T = TypeVar("T")


class Evidence:
    """One guest.

    :param state: QEMU's run state, or what else `ntbdbg.analysis.summary` says of the guest
    :param opened: gives the guest
    :ivar problems: what could not be read, with its reason
    """

    def __init__(self, name: str, state: str, opened: Callable[[], Guest]) -> None:
        self.name, self.state = name, state
        self.problems: list[str] = []
        self._opened = opened

    @cached_property
    def guest(self) -> Guest | None:
        """None if its memory cannot be opened."""
        return self.attempt("memory", self._opened)

    @cached_property
    def kernel(self) -> Kernel | None:
        """None if none is understood there."""
        guest = self.guest
        return self.attempt("kernel", lambda: guest.kernel) if guest else None

    @cached_property
    def log(self) -> KernelLog | None:
        """All that is left of the kernel's log."""
        return self._ask("log", read_log)

    @cached_property
    def info(self) -> SystemInfo | None:
        """The kernel at a glance."""
        return self._ask("system", lambda kernel: system_info(kernel, self.log))

    @cached_property
    def modules(self) -> tuple[Module, ...] | None:
        """Those loaded."""
        return self._ask("modules", lambda kernel: tuple(kernel.modules()))

    @cached_property
    def traces(self) -> Backtraces | None:
        """Stacks of CPUs and tasks."""
        guest = self.guest
        return self._ask("backtraces", lambda _: Backtraces(guest)) if guest else None

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """What its log tells of trouble, the oldest first."""
        return tuple(incidents(self.log.records)) if self.log else ()

    @property
    def ran(self) -> bool:
        """Whether its kernel runs, or ran when it was captured: it did not panic, nor end."""
        info = self.info
        return info is not None and info.panic_cpu is None and info.in_use is not False

    @property
    def clock_ns(self) -> int:
        """Nanoseconds since its boot, as of its last tick; 0 if nobody knows."""
        if self.info and self.info.clocks:
            return self.info.clocks.boottime_ns
        records = self.log.records if self.log else ()
        return records[-1].time_ns if records else 0

    def attempt(self, what: str, ask: Callable[[], T]) -> T | None:
        """What `ask` gives, or None and one problem more."""
        try:
            return ask()
        except NtbdbgError as error:
            self.problems.append(f"{what}: {error.message}")
            return None

    def _ask(self, what: str, ask: Callable[[Kernel], T]) -> T | None:
        kernel = self.kernel
        return self.attempt(what, lambda: ask(kernel)) if kernel else None


@dataclass(frozen=True)
class Scene:
    """All that was looked at.

    :ivar guests: those that verdicts are wanted of
    :ivar link: None if nothing is to be said of it
    :ivar views: drivers beside their devices, None if they were not compared
    :ivar time: the host's clocks, for what looks twice
    """

    lab: LabLike
    guests: tuple[Evidence, ...]
    link: LinkStory | None = None
    views: NtbViews | None = None
    time: HostTime = HOST
