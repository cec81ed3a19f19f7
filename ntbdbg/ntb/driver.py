# SPDX-License-Identifier: MIT
"""The NTB as its driver in the guest sees it: ``struct idt_ntb_dev`` and the client bound to it.

Linux keeps it in its own memory (drivers/ntb/hw/idt/ntb_hw_idt.h); nothing here looks at the
device. `ntbdbg.ntb.compare` puts both side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.tasks.pcidevices import PciDevice, find_device
from ntbdbg.ntb.clients import Client, read_client, types_of
from ntbdbg.ntb.model import WindowType

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.kernel import Kernel

DRIVER = "ntb_hw_idt"
MOST_PEERS = 64
"""IDT_MAX_NR_PEERS is 8."""

MOST_WINDOWS = 64
"""IDT_MAX_NR_MWS is 29."""

TYPES = (WindowType.DIRECT, WindowType.LUT12, WindowType.LUT24)
"""By ``enum idt_mw_type``."""


@dataclass(frozen=True)
class DriverWindow:
    """A memory window as the driver found it when it was loaded: ``struct idt_mw_cfg``.

    :ivar entry: of the BAR's lookup table, 0 for a direct window
    :ivar size_max: bytes
    """

    index: int
    kind: WindowType
    bar: int
    entry: int
    size_max: int


@dataclass(frozen=True)
class DriverPeer:
    """Another port of the switch, and the windows that it has."""

    index: int
    port: int
    partition: int
    windows: tuple[DriverWindow, ...]


@dataclass(frozen=True)
class Driver:
    """What the driver of one port knows.

    :ivar slot: of the PCI device
    :ivar switch: name of the part
    :ivar windows: outbound ones, by index
    :ivar bars: bus address of each BAR that the kernel assigned, by index
    :ivar registers: GPA of what the driver takes for its registers, None if it mapped nothing
    :ivar client_name: module or symbol of what is bound to the port, None for nothing
    :ivar client: its state, None if nothing is bound, or nothing known
    :ivar address: VA of the ``struct idt_ntb_dev``
    :ivar notes: what could not be read, a clause each
    """

    slot: str
    switch: str
    port: int
    partition: int
    peers: tuple[DriverPeer, ...]
    windows: tuple[DriverWindow, ...]
    bars: tuple[tuple[int, int], ...]
    bus_master: bool
    registers: int | None
    client_name: str | None
    client: Client | None
    address: int
    notes: tuple[str, ...] = ()

    def peer(self, index: int) -> DriverPeer | None:
        """Peer by the index that clients use."""
        return self.peers[index] if 0 <= index < len(self.peers) else None


def read_driver(kernel: Kernel) -> Driver:
    """The driver's view of the guest's first port.

    :raises KernelError: no such driver is bound to a device, or its types are not known
    :raises FaultError: its structures cannot be read
    """
    devices = find_device(kernel, DRIVER)
    if not devices:
        raise KernelError(
            f"{kernel.memory.name}: no PCI device is bound to {DRIVER}",
            hint=f"is the module loaded? 'ntbdbg modules {kernel.memory.name}'",
        )
    return _Reader(kernel, devices[0]).read()


class _Reader:
    def __init__(self, kernel: Kernel, device: PciDevice) -> None:
        self.kernel, self.device = kernel, device
        self.layouts = types_of(kernel, DRIVER, "idt_ntb_dev")
        self.window = self.layouts["idt_mw_cfg"]
        self.notes: list[str] = []

    def read(self) -> Driver:
        record = self.layouts["idt_ntb_dev"].parse(self.kernel.virtual, self.device.driver_data)
        name, client = self._client(record)
        return Driver(
            slot=self.device.slot,
            switch=self._switch(record),
            port=record.number("port"),
            partition=record.number("part"),
            peers=tuple(self._peers(record)),
            windows=self._windows(record.number("mws"), record.number("mw_cnt")),
            bars=tuple((r.index, r.start) for r in self.device.resources if r.index < 6),
            bus_master=self.device.bus_master,
            registers=self._registers(record.number("cfgspc")),
            client_name=name,
            client=client,
            address=record.address,
            notes=tuple(self.notes),
        )

    def _peers(self, record: Record) -> Iterator[DriverPeer]:
        room = record.layout.length("peers", MOST_PEERS)
        count = record.number("peer_cnt")
        if count > room:
            self.notes.append(f"it claims {count} peers where {room} have room")
        for index in range(min(count, room)):
            path = f"peers[{index}]"
            windows = self._windows(record.number(f"{path}.mws"), record.number(f"{path}.mw_cnt"))
            port, part = record.number(f"{path}.port"), record.number(f"{path}.part")
            yield DriverPeer(index, port, part, windows)

    def _windows(self, address: int, count: int) -> tuple[DriverWindow, ...]:
        if count > MOST_WINDOWS:
            self.notes.append(f"it claims {count} windows; the first {MOST_WINDOWS} are shown")
        try:
            return tuple(
                self._window(index, address + index * self.window.size)
                for index in range(min(count, MOST_WINDOWS))
            )
        except FaultError as error:
            self.notes.append(f"its windows cannot be read: {error.message}")
            return ()

    def _window(self, index: int, address: int) -> DriverWindow:
        record = self.window.parse(self.kernel.virtual, address)
        kind = record.number("type")
        return DriverWindow(
            index=index,
            kind=TYPES[kind] if kind < len(TYPES) else WindowType.RESERVED,
            bar=record.number("bar"),
            entry=record.number("idx"),
            size_max=record.number("size_max"),
        )

    def _switch(self, record: Record) -> str:
        try:
            config = self.layouts["idt_89hpes_cfg"].parse(
                self.kernel.virtual, record.number("swcfg")
            )
            raw = self.kernel.virtual.read(config.number("name"), 32)
        except FaultError:
            return "?"
        return raw.partition(b"\0")[0].decode("ascii", "backslashreplace")

    def _registers(self, address: int) -> int | None:
        try:
            return self.kernel.translate(address)
        except FaultError as error:
            self.notes.append(f"its registers are not mapped: {error.message}")
            return None

    def _client(self, record: Record) -> tuple[str | None, Client | None]:
        operations, context = record.number("ntb.ctx_ops"), record.number("ntb.ctx")
        if not operations:
            return None, None
        try:
            return read_client(self.kernel, operations, context)
        except (KernelError, FaultError) as error:
            self.notes.append(f"its client cannot be read: {error.message}")
            return "?", None
