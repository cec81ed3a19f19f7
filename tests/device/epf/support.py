# SPDX-License-Identifier: MIT
"""One port of an NTB of endpoint functions, driven as drivers/ntb/hw/epf/ntb_hw_epf.c drives it."""

from __future__ import annotations

from typing import NamedTuple

from ntbdbg.ntb.epf.area import MODEL, NUM_MW, layout
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.function import ECAM, Function
from tests.device.switch import Kind, fields_of

EPF = Kind("ntb-epf-ivshmem", fields_of(layout("little").port))
VENDOR, DEVICE = 0x1957, MODEL

COMMAND, ARGUMENT, CMD_STATUS, LINK_STATUS, TOPOLOGY = 0x0, 0x4, 0x8, 0xA, 0xC
LOWER_ADDR, UPPER_ADDR, LOWER_SIZE, UPPER_SIZE = 0x10, 0x14, 0x18, 0x1C
MW_COUNT, MW1_OFFSET, SPAD_OFFSET, SPAD_COUNT = 0x20, 0x24, 0x28, 0x2C
DB_ENTRY_SIZE, DB_DATA, DB_OFFSET = 0x30, 0x34, 0xB4
SPADS, MSIX_TABLE, MSIX_PBA = 0x1000, 0x2000, 0x3000

CONFIGURE_DOORBELL, TEARDOWN_DOORBELL, CONFIGURE_MW, TEARDOWN_MW, LINK_UP, LINK_DOWN = range(1, 7)
OK, ERROR = 1, 2
USE_MSIX = 1 << 16

MSIX_CAP = 0xD0
MSIX_ENABLE, MSIX_MASK_ALL = 0x8000, 0x4000
WINDOW_SIZE = 2 << 20
"""Of either window, as it is by default."""

BAR0, BAR2, BAR4, BAR5 = 0xFE000000, 0xFE010000, 0xE0000000, 0xE8000000


class Mw(NamedTuple):
    """A translation as the page shows it."""

    addr: int
    size: int
    state: int
    reason: int


class EpfPort(Function):
    """The port of partition `part`."""

    spads = 32
    vectors = 8

    def __init__(self, qemu, page, part: int, slot: int = 1) -> None:
        super().__init__(qemu, page, part, slot)
        self.bar0, self.bar2 = BAR0 + (slot << 20), BAR2 + (slot << 20)
        self.bar4, self.bar5 = BAR4 + (slot << 26), BAR5 + (slot << 26)

    def map_bars(self) -> None:
        for at, bar in ((0x10, self.bar0), (0x18, self.bar2), (0x20, self.bar4), (0x24, self.bar5)):
            self.cfg_write(at, bar)

    # registers

    def read(self, register: int, size: int = 4) -> int:
        return self.qemu.read(self.bar0 + register, size)

    def write(self, register: int, value: int, size: int = 4) -> None:
        self.qemu.write(self.bar0 + register, value, size)

    def spad(self, index: int) -> int:
        return self.read(SPADS + 4 * index)

    def set_spad(self, index: int, value: int) -> None:
        self.write(SPADS + 4 * index, value)

    def peer_spad(self, index: int) -> int:
        return self.read(SPADS + 4 * (self.spads + index))

    def set_peer_spad(self, index: int, value: int) -> None:
        self.write(SPADS + 4 * (self.spads + index), value)

    def area(self, name: str) -> tuple[int, ...]:
        return self.page.get_all(self.part, name)

    def mw(self, index: int) -> Mw:
        """Translation `index` as this port shows it."""
        words = self.page.get_all(self.part, "mw")[3 * index : 3 * index + 3]
        return Mw(*words[:2], words[2] & 0xFFFFFFFF, words[2] >> 32)

    # commands

    def begin(self, command: int, argument: int = 0) -> None:
        self.write(ARGUMENT, argument)
        self.write(COMMAND, command)

    def status(self) -> int:
        return self.read(CMD_STATUS, 2)

    def command(self, command: int, argument: int = 0) -> int:
        """ntb_epf_send_command(): the status once there is one, which is then cleared."""
        self.begin(command, argument)
        status = eventually(self.status, f"the status of command {command}")
        self.write(CMD_STATUS, 0, 2)
        return status

    def configure_doorbell(self, count: int | None = None) -> int:
        count = self.vectors if count is None else count
        return self.command(CONFIGURE_DOORBELL, count | USE_MSIX)

    def stage(self, address: int, size: int) -> None:
        for register, value in ((LOWER_ADDR, address), (LOWER_SIZE, size)):
            self.write(register, value & 0xFFFFFFFF)
            self.write(register + 4, value >> 32)

    def set_window(self, address: int, size: int = WINDOW_SIZE, index: int = 0) -> int:
        """ntb_epf_mw_set_trans(): where the peer's window leads in this guest."""
        self.stage(address, size)
        return self.command(CONFIGURE_MW, index)

    # link and interrupts

    def link_up(self) -> bool:
        return bool(self.read(LINK_STATUS, 2) & 1)

    def sees_port(self, peer: Function) -> bool:
        """What it took in shows in the acknowledgement of a command of the peer's."""
        return bool(self.stat("state") == 2 and peer.stat("state") == 2)

    def enable_msix(self) -> None:
        """Vector n writes 0x100 + n to a word of its own."""
        for n in range(self.vectors):
            self.qemu.write(self.msi_address + 4 * n, 0)
            entry = MSIX_TABLE + 16 * n
            for offset, value in ((0, self.msi_address + 4 * n), (4, 0), (8, 0x100 + n), (12, 0)):
                self.write(entry + offset, value)
        self.cfg_write(MSIX_CAP + 2, MSIX_ENABLE, 2)

    def mask(self, vector: int, masked: bool = True) -> None:
        self.write(MSIX_TABLE + 16 * vector + 12, int(masked))

    def waiting(self) -> int:
        """The pending bits of MSI-X."""
        return self.read(MSIX_PBA)

    def raised(self) -> set[int]:
        """The vectors that came since this was asked before."""
        came = set()
        for n in range(self.vectors):
            if self.qemu.read(self.msi_address + 4 * n):
                self.qemu.write(self.msi_address + 4 * n, 0)
                came.add(n)
        return came

    def ring(self, vector: int) -> None:
        """ntb_epf_peer_db_set() of bit `vector` - 2."""
        self.qemu.write(self.bar2 + 4 * vector, 1 << vector)


def probe(port: EpfPort) -> None:
    """What ntb_hw_epf does until the device is there, and what firmware did before."""
    port.enable_msix()
    assert port.configure_doorbell() == OK


def link(a: EpfPort, b: EpfPort) -> None:
    """Both drivers loaded, the link up on both sides and quiet."""
    for port in (a, b):
        probe(port)
    for port in (a, b):
        assert port.command(LINK_UP) == OK
    eventually(lambda: a.link_up() and b.link_up(), "the link")
    for port in (a, b):
        port.settle()
        port.raised()


class EpfBench(Bench):
    """Two ports of endpoint functions, and QEMUs for them."""

    kind = EPF
    port = EpfPort


__all__ = ["DEVICE", "ECAM", "EPF", "NUM_MW", "VENDOR", "EpfBench", "EpfPort", "link", "probe"]
