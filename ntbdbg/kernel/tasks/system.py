# SPDX-License-Identifier: MIT
"""A kernel at a glance: what it is, how long it runs, its memory and CPUs, whether it is well."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.alive.clock import Clocks, read_clocks
from ntbdbg.kernel.alive.liveness import in_use
from ntbdbg.kernel.alive.sysstate import NO_CPU, number, system_state
from ntbdbg.kernel.log.ring import PrintkRing
from ntbdbg.kernel.log.troubles import Trouble, panic_lines, troubles
from ntbdbg.kernel.modules.taints import taint_letters
from ntbdbg.kernel.tasks.tasks import CpuTask, TaskWalker
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.log.ring import KernelLog, LogRecord

T = TypeVar("T")

LONGEST_TEXT = 4096
UTS_FIELD = 65
"""Bytes of each of the six texts of ``struct new_utsname`` (__NEW_UTS_LEN + 1)."""

BANNER = re.compile(r"(?=Linux version )")
COMMAND_LINE = re.compile(r"Kernel command line: ")
"""How the log has them (``init/main.c``), in its first records."""

FIRST_RECORDS = 200
LOG_LINE = 900
"""Characters; longer records may have been cut (``PRINTKRB_RECORD_MAX``, 1024 with its prefix)."""

MOST_TROUBLE = 8
"""Lines, the newest."""


@dataclass(frozen=True)
class SystemInfo:
    """All of it; what could not be found out is None or empty, and `notes` say why.

    :ivar release: as ``uname -r``
    :ivar version: as ``uname -v``
    :ivar nodename: as ``uname -n``
    :ivar banner: first line of its log, without the newline
    :ivar command_line: what the boot loader gave it
    :ivar kernel_offset: bytes by which KASLR moved it
    :ivar clocks: how long it runs, and what it takes for the time of day
    :ivar memory_total: bytes it manages, as MemTotal of /proc/meminfo
    :ivar memory_free: bytes, as MemFree
    :ivar cpus: what each CPU that is online runs
    :ivar taints: letters, see `taints.MEANINGS`
    :ivar system_state: ``running``, ``restart``, …: see `sysstate`
    :ivar in_use: whether a processor uses its page tables, None if nobody knows
    :ivar panicked: whether it has, by its own word, else by its log; None if neither can be read
    :ivar panic_cpu: the CPU that panicked, None if none has, or nobody knows which
    :ivar trouble: the newest lines of its log that tell of panics, oopses, hangs, warnings
    :ivar number: of this kernel among all in this RAM, from 1 on
    :ivar others: further kernels in this RAM, and their `other_numbers`
    :ivar notes: a clause for each thing that is not known
    """

    release: str
    version: str | None
    nodename: str | None
    banner: str | None
    command_line: str | None
    build_id: str | None
    kernel_offset: int
    phys_base: int
    clocks: Clocks | None
    memory_total: int | None
    memory_free: int | None
    cpus_online: tuple[int, ...]
    cpus: tuple[CpuTask, ...]
    taints: str | None
    system_state: str | None
    in_use: bool | None
    panicked: bool | None
    panic_cpu: int | None
    oops_in_progress: bool | None
    trouble: tuple[Trouble, ...]
    number: int
    others: tuple[Vmcoreinfo, ...]
    other_numbers: tuple[int, ...]
    notes: tuple[str, ...]


def system_info(kernel: KernelImage, log: KernelLog | None = None) -> SystemInfo:
    """Look at everything once.

    :param log: its log, where it was read already
    """
    asked = _Asking(kernel)
    info = kernel.info
    records = _records(asked, log)
    uts = asked.of("uname", lambda: _uts(kernel)) or (None,) * 6
    panic = asked.of("panic", lambda: number(kernel, "panic_cpu"))
    oops = asked.of("oops", lambda: number(kernel, "oops_in_progress"))
    pages = asked.of("memory", lambda: asked.number("_totalram_pages"))
    free = asked.of("free memory", lambda: _free_pages(kernel))
    used = in_use([kernel])
    return SystemInfo(
        release=info.release,
        version=uts[3],
        nodename=uts[1],
        banner=asked.either("banner", lambda: _banner(asked), _logged(records, BANNER)),
        command_line=asked.either(
            "command line", lambda: _command_line(asked), _logged(records, COMMAND_LINE)
        ),
        build_id=info.build_id,
        kernel_offset=info.kernel_offset,
        phys_base=info.phys_base,
        clocks=asked.of("uptime", lambda: read_clocks(kernel)),
        memory_total=None if pages is None else pages * PAGE,
        memory_free=None if free is None else free * PAGE,
        cpus_online=tuple(asked.of("CPUs", kernel.online_cpus) or ()),
        cpus=tuple(asked.of("running tasks", lambda: TaskWalker(kernel).cpus()) or ()),
        taints=asked.of("taints", lambda: taint_letters(kernel, asked.number("tainted_mask"))),
        system_state=asked.of("state", lambda: system_state(kernel)),
        in_use=used[0] if used else None,
        panicked=_panicked(panic, records),
        panic_cpu=None if panic == NO_CPU else panic,
        oops_in_progress=None if oops is None else bool(oops),
        trouble=tuple(troubles(records or ())[-MOST_TROUBLE:]),
        number=kernel.number,
        others=tuple(kernel.others),
        other_numbers=tuple(kernel.other_numbers),
        notes=tuple(asked.notes),
    )


class _Asking:
    """Questions of which each may fail by itself."""

    def __init__(self, kernel: KernelImage) -> None:
        self.kernel = kernel
        self.notes: list[str] = []

    def of(self, what: str, answer: Callable[[], T]) -> T | None:
        try:
            return answer()
        except (KernelError, FaultError) as error:
            reason = error.message.removeprefix(f"{self.kernel.memory.name}: ")
            self.notes.append(f"{what}: {reason}")
            return None

    def either(self, what: str, answer: Callable[[], T], other: T | None) -> T | None:
        """`answer`, else what the log has, which needs no excuse."""
        before = len(self.notes)
        found = self.of(what, answer)
        if found is None and other is not None:
            del self.notes[before:]
            return other
        return found

    def number(self, name: str) -> int:
        """A global ``unsigned long`` or ``atomic_long_t``."""
        raw = self.kernel.virtual.read(self.kernel.symbol(name).address, 8)
        return int.from_bytes(raw, "little")

    def text(self, what: str, address: int) -> str:
        """Characters to the first NUL, without newlines at the end.

        :raises FaultError: not even the first of them can be read
        """
        from ntbdbg.kernel.mmu.virtual import read_some

        raw = read_some(self.kernel.virtual, address, LONGEST_TEXT)
        if not raw:
            self.kernel.virtual.check(address, 1)
            self.kernel.virtual.read(address, 1)
        text, end, _ = raw.partition(b"\0")
        if not end:
            self.notes.append(f"{what}: only its first {len(text)} bytes can be read")
        return text.decode("utf-8", "backslashreplace").rstrip("\n")


def _uts(kernel: KernelImage) -> tuple[str, ...]:
    """sysname, nodename, release, version, machine, domainname."""
    namespace = kernel.info.symbol("init_uts_ns")
    if namespace is None:
        namespace = kernel.symbol("init_uts_ns").address
    raw = kernel.virtual.read(
        namespace + (kernel.info.offset("uts_namespace.name") or 0), 6 * UTS_FIELD
    )
    fields = struct.unpack(f"{UTS_FIELD}s" * 6, raw)
    return tuple(f.partition(b"\0")[0].decode("utf-8", "backslashreplace") for f in fields)


def _banner(asked: _Asking) -> str:
    return asked.text("banner", asked.kernel.symbol("linux_banner").address)


def _command_line(asked: _Asking) -> str:
    return asked.text("command line", asked.number("saved_command_line"))


def _records(asked: _Asking, log: KernelLog | None) -> tuple[LogRecord, ...] | None:
    """What is left of the log, None if not one record can be read."""
    found = log or asked.of("log", lambda: read_log(asked.kernel))
    if found is not None and not found.records:
        asked.notes.append("log: " + ("; ".join(found.notes) or "it has no record"))
    return found.records if found is not None and found.records else None


def _logged(records: Sequence[LogRecord] | None, start: re.Pattern[str]) -> str | None:
    """What of the first records follows `start`; None if it is not there, or perhaps not whole."""
    for record in (records or ())[:FIRST_RECORDS]:
        found = start.match(record.text)
        if found and len(record.text) < LOG_LINE:
            return record.text[found.end() :]
    return None


def _panicked(panic_cpu: int | None, records: Sequence[LogRecord] | None) -> bool | None:
    if panic_cpu is not None:
        return panic_cpu != NO_CPU
    return None if records is None else bool(panic_lines(records))


def read_log(kernel: KernelImage) -> KernelLog:
    """All that is left of its log.

    :raises KernelError, FaultError: it cannot be read
    """
    return PrintkRing(kernel.virtual, kernel.info, lambda: kernel.budget).read()


def _free_pages(kernel: KernelImage) -> int:
    """``global_zone_page_state(NR_FREE_PAGES)``: without what CPUs keep for themselves."""
    index = kernel.info.number("NR_FREE_PAGES") or 0
    address = kernel.symbol("vm_zone_stat").address + 8 * index
    return max(0, kernel.virtual.word(address, signed=True))
