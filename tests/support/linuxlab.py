# SPDX-License-Identifier: MIT
"""A lab whose guests hold fake kernels, each at addresses of its own.

with LinuxLab(tmp_path / "run", page=page) as lab:
    lab.monkeypatch(monkeypatch)
    lab.linux["qemu1"].symbols["jiffies_64"]         # VA
    lab.physical("qemu1", "jiffies_64")              # GPA
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntbdbg.memory import Segment
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakeqmp import REGISTERS
from tests.support.fakeswitch import FakeSwitch

MIB = 1 << 20
KASLR = {"qemu1": 0x1C00_0000, "qemu2": 0x0A20_0000}
JIFFIES = 0x1_0000_1234
SCATTERED = 0xFFFF_C900_0000_0000
"""VA of three pages that are no neighbours in RAM."""

SCATTERED_SIZE = 0x3000
SCATTERED_BYTES = bytes(range(256)) * (SCATTERED_SIZE // 256)


class LinuxLab(FakeLab):
    """As FakeLab; `linux` has the FakeGuest of each guest.

    :param furnish: adds more to a guest before it is complete, by name
    """

    def __init__(
        self, root: Path, *, furnish: Callable[[str, FakeGuest], None] | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.linux: dict[str, FakeGuest] = {}
        for name, kaslr in KASLR.items():
            guest = FakeGuest(kaslr=kaslr)
            _furnish(name, guest)
            if furnish:
                furnish(name, guest)
            guest.save(self.ram_path(name))
            self.linux[name] = guest
            if name in self.qmp:
                # As a real one: its processor translates by the kernel's own tables.
                root = f"CR3={guest.space.root:016x}"
                self.qmp[name].registers = re.sub("CR3=[0-9a-f]+", root, REGISTERS)

    def physical(self, guest: str, symbol: str) -> int:
        """GPA of a symbol."""
        linux = self.linux[guest]
        return linux.physical(linux.symbols[symbol])


def page_with_window(address: int, size: int) -> bytes:
    """The shared page of a link where qemu1's window 0 reaches `[address, +size)` of qemu2."""
    switch = FakeSwitch()
    for part in (0, 1):
        switch.publish_ram(part, [Segment(MIB, 15 * MIB, MIB)])
    switch.link_up()
    switch.translate(0, address=address, size=size)
    return switch.build()


def _furnish(name: str, guest: FakeGuest) -> None:
    guest.variable("init_uts_ns_copy", "struct uts_namespace")["name.nodename"] = name.encode()
    guest.number("jiffies_64", JIFFIES)
    guest.data("huge_table", 0x1800)
    guest.function("idle_loop", 48, kind="T")
    guest.function("idle_loop.isra.0", 32)
    guest.percpu("cpu_number", "unsigned int", 0xC0, 0xC1)
    guest.symbol("__per_cpu_end", guest.symbols["cpu_number"] + 4, "A")
    at = guest.vmalloc(SCATTERED_SIZE)
    assert at == SCATTERED
    guest.space.write(at, SCATTERED_BYTES)
