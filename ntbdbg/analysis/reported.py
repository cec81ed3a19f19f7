# SPDX-License-Identifier: MIT
"""What a report shows of a lab beyond its postmortem: pages, lists, and bytes that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ntbdbg.errors import NtbdbgError
from ntbdbg.inspect.pagemap import page_changes, page_usage, stretches

if TYPE_CHECKING:
    from ntbdbg.inspect.pagemap import PageMap, Progress
    from ntbdbg.kernel.tasks.pcidevices import PciDevice
    from ntbdbg.kernel.tasks.tasks import Task
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab
    from ntbdbg.memory.segments import AddressRange
    from ntbdbg.ntb.model import Link, MemoryWindow

T = TypeVar("T")

DUMPED = 4096
"""Bytes shown of what a window reaches."""

MOST_DUMPS = 32
MOST_ROWS = 5000
"""Of each list; a report is read by people."""


@dataclass(frozen=True)
class GuestPages:
    """What of one guest's memory is drawn and listed.

    :ivar runs: of RAM, see `ntbdbg.inspect.pagemap.stretches`
    :ivar usage: what each page holds
    :ivar changes: which pages changed since an earlier capture, None without one
    """

    name: str
    runs: tuple[AddressRange, ...]
    usage: tuple[PageMap, ...]
    changes: tuple[PageMap, ...] | None = None
    tasks: tuple[Task, ...] = ()
    devices: tuple[PciDevice, ...] = ()


@dataclass(frozen=True)
class Dump:
    """Bytes worth a look. `note` says where they are and why they matter."""

    title: str
    note: str
    address: int
    data: bytes


def pages_of(lab: Lab, earlier: Lab | None, progress: Progress | None = None) -> list[GuestPages]:
    """Every guest whose memory can be read; for others the lab gets a note.

    :param earlier: what to compare with, guest by guest of the same name
    """
    found = []
    for name in lab.names:
        try:
            guest = lab.guest(name)
            old = earlier.guest(name) if earlier and name in earlier.names else None
            found.append(_pages(guest, old, progress))
        except NtbdbgError as error:
            lab.note(f"no pages of {name} are shown: {error.message}")
    return found


def _pages(guest: Guest, old: Guest | None, progress: Progress | None) -> GuestPages:
    memory = guest.memory
    changes = tuple(page_changes(old.memory, memory, progress)) if old else None
    return GuestPages(
        guest.name,
        tuple(stretches(memory)),
        tuple(page_usage(memory, progress)),
        changes,
        tasks=_some(guest, "tasks", _tasks),
        devices=_some(guest, "devices", _devices),
    )


def _tasks(guest: Guest) -> Iterable[Task]:
    from ntbdbg.kernel.tasks.tasks import TaskWalker

    return TaskWalker(guest.kernel).walk()


def _devices(guest: Guest) -> Iterable[PciDevice]:
    from ntbdbg.kernel.tasks.pcidevices import pci_devices

    return pci_devices(guest.kernel)


def _some(guest: Guest, what: str, ask: Callable[[Guest], Iterable[T]]) -> tuple[T, ...]:
    try:
        return tuple(ask(guest))[:MOST_ROWS]
    except NtbdbgError as error:
        guest.lab.note(f"{what} of {guest.name} are not listed: {error.message}")
        return ()


def dumps_of(lab: Lab) -> list[Dump]:
    """What windows reach, and the ports' blocks of the shared page."""
    if lab.link is None:
        return []
    try:
        link, page = lab.read_link(), lab.page().read()
    except NtbdbgError:
        return []  # the postmortem says why
    names = {record.index: record.name for record in lab.manifest.guests} if lab.manifest else {}
    reached = (dump for window in link.windows for dump in _reached(lab, window, names))
    return [
        *(dump for dump, _ in zip(reached, range(MOST_DUMPS), strict=False)),
        *_blocks(link, page, names),
    ]


def _reached(lab: Lab, window: MemoryWindow, names: dict[int, str]) -> Iterator[Dump]:
    target = names.get(window.translation.partition) if window.translation else None
    if target is None:
        return
    for piece in window.reached:
        owner = names.get(window.partition, f"partition {window.partition}")
        title = f"{owner}:mw{window.index}+{piece.offset:#x}"
        size = min(piece.size, DUMPED)
        try:
            data = lab.guest(target).memory.read(piece.gpa, size)
        except NtbdbgError as error:
            lab.note(f"what {title} reaches is not shown: {error.message}")
            continue
        state = "" if window.is_open else ", while it is closed"
        yield Dump(title, f"reaches {target}:{piece.gpa:#x}{state}", piece.gpa, data)


def _blocks(link: Link, page: bytes, names: dict[int, str]) -> Iterator[Dump]:
    for port in link.ports:
        start = link.header.port_off + port.partition * link.header.port_stride
        owner = names.get(port.partition, "no guest")
        title = f"port {port.number} ({owner})"
        yield Dump(
            title,
            "its block of the shared page",
            start,
            page[start : start + link.header.port_stride],
        )
