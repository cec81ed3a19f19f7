# SPDX-License-Identifier: MIT
"""A port as a PCI function: configuration space, reset, and what the page says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.device.deadline import eventually

if TYPE_CHECKING:
    from tests.device.qtest import Qemu
    from tests.device.switch import Page

ECAM = 0xB0000000
RESET_CONTROL = 0xCF9
ALL_ONES = 0xFFFFFFFF

PCI_COMMAND = 0x04
COMMAND_MEMORY = 0x2
COMMAND_MASTER = 0x4


class Function:
    """The port of partition `part`, in `slot` of its guest's root bus."""

    def __init__(self, qemu: Qemu, page: Page, part: int, slot: int = 1) -> None:
        self.qemu = qemu
        self.page = page
        self.part = part
        self.config = ECAM + slot * 8 * 0x1000
        self._cf8 = 0x80000000 | slot << 11
        self.msi_address = 0x200000 + slot * 0x1000

    def setup(self) -> None:
        """What firmware does: configuration space, BARs, decoding on."""
        self.find_config()
        self.map_bars()
        self.cfg_write(PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2)

    def map_bars(self) -> None:
        """Give every BAR its address."""
        raise NotImplementedError

    def sees_port(self, peer: Function) -> bool:
        """Whether this port has taken in that `peer` has attached."""
        raise NotImplementedError

    def find_config(self) -> None:
        self.qemu.outl(0xCF8, 0x80000060)
        self.qemu.outl(0xCFC, ECAM | 1)

    def cfg_read(self, offset: int, size: int = 4) -> int:
        return self.qemu.read(self.config + offset, size)

    def cfg_write(self, offset: int, value: int, size: int = 4) -> None:
        self.qemu.write(self.config + offset, value, size)

    def reset(self) -> None:
        """System reset; returns when it is over and configuration is done again."""
        self.find_config()
        self.cfg_write(PCI_COMMAND, COMMAND_MEMORY, 2)
        self.qemu.command(f"outb {RESET_CONTROL:#x} 0x6")

        def command_cleared() -> bool:
            self.qemu.outl(0xCF8, self._cf8 | PCI_COMMAND)
            return self.qemu.inl(0xCFC) & 0xFFFF == 0

        eventually(command_cleared, "the end of the reset")

    def stat(self, name: str) -> int:
        return self.page.get(self.part, name)

    def settle(self) -> None:
        """Wait until this port has taken in all that others did before this call."""
        eventually(
            lambda: not self.stat("kick_pending"), f"partition {self.part} to answer its kick"
        )
        self.cfg_read(0)  # served by the thread that answers kicks, so after it

    def window_open(self, index: int = 0) -> bool:
        return bool(self.stat("mw_open") >> index & 1)

    def window_trapped(self, index: int = 0) -> bool:
        return bool(self.stat("mw_trapped") >> index & 1)
