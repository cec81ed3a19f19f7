# SPDX-License-Identifier: MIT
"""One NT port, driven as drivers/ntb/hw/idt/ntb_hw_idt.c drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.device.function import ALL_ONES, COMMAND_MASTER, Function
from tests.device.function import COMMAND_MEMORY as COMMAND_MEMORY
from tests.device.function import ECAM as ECAM
from tests.device.function import PCI_COMMAND as PCI_COMMAND

if TYPE_CHECKING:
    from tests.device.qtest import Qemu
    from tests.device.switch import Page

BAR0 = 0xFE000000
BAR2 = 0xE0000000
BAR4 = 0xE8000000
BAR_SPACING = 0x01000000
BAR4_SPACING = 0x04000000

COMMAND_INTX_DISABLE = 0x400
STATUS_INTERRUPT = 0x8
MSI_CAP = 0xD0
MSI_ENABLE = 0x1

NTCTL = 0x400
NTINTSTS = 0x404
NTINTMSK = 0x408
NTSDATA = 0x40C
NTGSIGNAL = 0x410
OUTDBELLSET = 0x420
INDBELLSTS = 0x428
INDBELLMSK = 0x42C
OUTMSG0 = 0x430
INMSG0 = 0x440
INMSGSRC0 = 0x450
MSGSTS = 0x460
MSGSTSMSK = 0x464
BARSETUP0 = 0x470
BARSETUP2 = 0x490
BARLIMIT2 = 0x494
BARLTBASE2 = 0x498
BARUTBASE2 = 0x49C
BARLIMIT3 = 0x4A4
BARSETUP4 = 0x4B0
NTMTBLADDR = 0x4D0
NTMTBLSTS = 0x4D4
NTMTBLDATA = 0x4D8
REQIDCAP = 0x4DC
LUTOFFSET = 0x4E0
LUTLDATA = 0x4E4
LUTMDATA = 0x4E8
LUTUDATA = 0x4EC
LUT_VALID = 1 << 31
GASAADDR = 0xFF8
GASADATA = 0xFFC

IDPROTDIS = 0x1
CPEN = 0x2
MSG, DBELL, SEVENT = 0x1, 0x2, 0x8
INT_ALL = 0xBB

SWPORTSTS = 0x3E204
SWPARTSTS = 0x3E104
SESTS = 0x3EC00
SEMSK = 0x3EC04
SEPMSK = 0x3EC08
SELINKUPSTS = 0x3EC0C
SELINKUPMSK = 0x3EC10
SELINKDNSTS = 0x3EC14
SELINKDNMSK = 0x3EC18
SEGSIGSTS = 0x3EC30
SEGSIGMSK = 0x3EC34
GDBELLSTS = 0x3EC3C
GODBELLMSK = 0x3ED00
GIDBELLMSK = 0x3ED80
SWPMSGCTL = 0x3EE00
TMPCTL = 0x3F1D4
TMPSTS = 0x3F1D8
TMPALARM = 0x3F1DC
TMPADJ = 0x3F1E0
TSSLOPE = 0x3F1E4

PORTS = (0, 2, 4, 6, 8, 12)
WINDOW_SIZE = 2 << 20
"""Of the direct window and of each of the lookup table, as they are by default."""


def image_address(port: int, offset: int) -> int:
    """Global address of a register of another port's NT function."""
    return 0x1000 + port * 0x2000 + offset


class Port(Function):
    """A port of one switch, `part` its partition."""

    def __init__(self, qemu: Qemu, page: Page, part: int, slot: int = 1) -> None:
        super().__init__(qemu, page, part, slot)
        self.number = PORTS[part]
        self.bar0 = BAR0 + slot * BAR_SPACING // 16
        self.bar2 = BAR2 + slot * BAR_SPACING
        self.bar4 = BAR4 + slot * BAR4_SPACING

    def map_bars(self) -> None:
        self.cfg_write(0x10, self.bar0)
        self.move_window(self.bar2)
        self.cfg_write(0x20, self.bar4)
        self.cfg_write(0x24, 0)

    def move_window(self, address: int) -> None:
        self.bar2 = address
        self.cfg_write(0x18, address & ALL_ONES)
        self.cfg_write(0x1C, address >> 32)

    # registers

    def read(self, register: int, size: int = 4) -> int:
        return self.qemu.read(self.bar0 + register, size)

    def write(self, register: int, value: int, size: int = 4) -> None:
        self.qemu.write(self.bar0 + register, value, size)

    def gasa_read(self, address: int) -> int:
        self.write(GASAADDR, address)
        return self.read(GASADATA)

    def gasa_write(self, address: int, value: int) -> None:
        self.write(GASAADDR, address)
        self.write(GASADATA, value)

    # link

    def init_link_events(self, nports: int = 2) -> None:
        """idt_init_link() and idt_init_isr()"""
        for register in (SELINKUPSTS, SELINKDNSTS, SEGSIGSTS):
            self.gasa_write(register, ALL_ONES)
        parts = ~((1 << nports) - 1) & ALL_ONES
        ports = ~sum(1 << port for port in PORTS[:nports]) & ALL_ONES
        self.gasa_write(SEPMSK, parts)
        self.gasa_write(SELINKUPMSK, ports)
        self.gasa_write(SELINKDNMSK, ports)
        self.gasa_write(SEGSIGMSK, parts)
        self.gasa_write(SEMSK, ~0x23 & ALL_ONES)
        self.write(NTINTMSK, self.read(NTINTMSK) & ~(MSG | DBELL | SEVENT))

    def link_enable(self) -> None:
        """idt_ntb_local_link_enable()"""
        self.write(NTCTL, CPEN)
        self.set_mapping(1 | self.part << 17)
        self.signal()

    def link_disable(self) -> None:
        """idt_ntb_local_link_disable()"""
        self.write(NTCTL, 0)
        self.set_mapping(0)
        self.signal()

    def set_mapping(self, value: int) -> None:
        self.write(NTMTBLADDR, self.part)
        self.write(NTMTBLDATA, value)

    def signal(self) -> None:
        self.write(NTGSIGNAL, 1)
        self.gasa_write(SEGSIGSTS, 1 << self.part)

    def link_up(self, peer: Port) -> bool:
        """idt_ntb_link_is_up() for one peer"""
        self.write(NTMTBLADDR, self.part)
        local = (
            self.read(PCI_COMMAND) & COMMAND_MASTER
            and self.read(NTCTL) & CPEN
            and self.read(NTMTBLDATA) & 1
        )
        self.write(NTMTBLADDR, peer.part)
        return bool(
            local
            and self.gasa_read(SWPORTSTS + 0x20 * peer.number) & 0x10
            and self.gasa_read(image_address(peer.number, PCI_COMMAND)) & COMMAND_MASTER
            and self.gasa_read(image_address(peer.number, NTCTL)) & CPEN
            and self.read(NTMTBLDATA) & 1
        )

    def sees_port(self, peer: Port) -> bool:
        return bool(self.gasa_read(SWPORTSTS + 0x20 * peer.number) & 0x10)

    # interrupts

    def enable_msi(self, data: int = 0x4321) -> None:
        self.qemu.write(self.msi_address, 0)
        self.cfg_write(MSI_CAP + 4, self.msi_address)
        self.cfg_write(MSI_CAP + 8, 0)
        self.cfg_write(MSI_CAP + 12, data, 2)
        self.cfg_write(MSI_CAP + 2, 1, 2)

    def take_msi(self) -> int:
        """The data of the last message since this was asked before, or 0."""
        data = self.qemu.read(self.msi_address)
        if data:  # one that comes between read and write is told by the registers
            self.qemu.write(self.msi_address, 0)
        return data

    def intx(self) -> bool:
        return bool(self.cfg_read(0x06, 2) & STATUS_INTERRUPT)

    def quiet(self) -> None:
        """Take all events so far, as the driver's interrupt thread does."""
        self.settle()
        for register in (SELINKUPSTS, SELINKDNSTS, SEGSIGSTS):
            self.gasa_write(register, ALL_ONES)
        self.write(NTINTSTS, SEVENT)
        self.take_msi()

    # messages and windows

    def send_message(self, register: int, to_part: int, to_register: int, data: int) -> None:
        """idt_ntb_peer_msg_write()"""
        self.gasa_write(SWPMSGCTL + 4 * self.part + 0x20 * register, to_register | to_part << 4)
        self.write(OUTMSG0 + 4 * register, data)

    def set_window(
        self,
        target: int,
        size: int | None = None,
        part: int | None = None,
        limit: int | None = None,
    ) -> None:
        """idt_ntb_peer_mw_set_trans() for window 0"""
        part = 1 - self.part if part is None else part
        limit = self.bar2 + (WINDOW_SIZE if size is None else size) if limit is None else limit
        self.write(BARSETUP2, self.read(BARSETUP2) & ~0xE000 | part << 13)
        self.write(BARLTBASE2, target & ALL_ONES)
        self.write(BARUTBASE2, target >> 32)
        self.write(BARLIMIT2, limit & ALL_ONES)
        self.write(BARLIMIT3, limit >> 32)

    def set_entry(
        self, entry: int, target: int, part: int | None = None, bar: int = 4, valid: bool = True
    ) -> None:
        """idt_ntb_peer_mw_set_trans() for a window of a lookup table"""
        part = 1 - self.part if part is None else part
        self.write(LUTOFFSET, entry | bar << 8)
        self.write(LUTLDATA, target & ALL_ONES)
        self.write(LUTMDATA, target >> 32)
        self.write(LUTUDATA, LUT_VALID * valid | part)

    def clear_entry(self, entry: int, bar: int = 4) -> None:
        """idt_ntb_peer_mw_clear_trans()"""
        self.write(LUTOFFSET, entry | bar << 8)
        for register in (LUTLDATA, LUTMDATA, LUTUDATA):
            self.write(register, 0)
