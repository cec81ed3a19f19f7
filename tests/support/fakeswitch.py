# SPDX-License-Identifier: MIT
"""Writes valid shared pages, as the ports of a switch would, without any QEMU.

    switch = FakeSwitch()
    switch.publish_ram(0, [Segment(0, 256 << 20, 0)])
    switch.publish_ram(1, [Segment(0, 256 << 20, 0)])
    switch.link_up()
    switch.translate(0, address=0x1000000, size=0x10000)   # mw0 of partition 0 -> partition 1
    switch.save(path)

`port(n)` is the construct container of a block: any word may be spoiled before `build`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntbdbg.memory.base import Segment
from ntbdbg.ntb import page
from tests.support.fakerings import FakeRings

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTS = (0, 2, 4, 6, 8, 12)
BAR0 = 0x800004C0
BAR2_DIRECT_2M = 0x8000015C
BAR4_LUT12_32M = 0x8000099C
BARSETUP = (BAR0, 0, BAR2_DIRECT_2M, 0, 0, 0)
BAR2_ADDRESS = 0xFE000000
DEFAULT_RAM = 256 << 20


class FakeSwitch:
    """A switch of `nports` attached ports whose guests have not enabled the link yet.

    :param barsetup: six BARSETUP registers; by default BAR0 and one direct window of 2 MiB
    """

    def __init__(
        self,
        nports: int = 2,
        *,
        endian: page.Endian = "little",
        barsetup: Sequence[int] = BARSETUP,
    ) -> None:
        self.endian = endian
        self.layout = page.layout(endian)
        self.header = self._blank(self.layout.header)
        _set(
            self.header,
            magic=page.MAGIC,
            major=page.MAJOR,
            minor=page.MINOR,
            endian=page.ENDIAN,
            hdr_size=self.layout.header.sizeof(),
            port_off=page.PORT_OFF,
            port_stride=page.PORT_STRIDE,
            nports=nports,
            model=page.MODEL,
            switch_nonce=0x1234567890ABCDEF,
            port_bitmap=sum(1 << port for port in PORTS[:nports]),
            barsetup=list(barsetup),
        )
        self.ports = [self._new_port(part) for part in range(nports)]
        self.rings: FakeRings | None = None

    def _blank(self, struct: Any) -> Any:
        return struct.parse(bytes(struct.sizeof()))

    def _new_port(self, part: int) -> Any:
        port = self._blank(self.layout.port)
        _set(
            port,
            state=2,
            port=PORTS[part],
            part=part,
            ivshmem_id=part,
            incarnation=0x1000 + part,
            pid=os.getpid(),
            start_ns=1_700_000_000_000_000_000,
            flags=1,
            linkup=1,
            pcielctlsts=0x00420000,
            ntintmsk=0xBB,
            semsk=0xFFFFFFFF,
            sepmsk=0xFFFFFFFF,
            ram_seq=2,
        )
        for bar, setup in enumerate(self.header.barsetup):
            port.image[_word(0x470) + 4 * bar] = setup
            used = setup >> 31 and bar != 0
            port.bar_addr[bar] = BAR2_ADDRESS + bar * 0x100000 if used else page.BAR_UNMAPPED
        port.bar_addr[0] = 0xFEB00000
        port.bar_addr[2] = BAR2_ADDRESS
        self._publish(port, [Segment(0, DEFAULT_RAM, 0)])
        return port

    def port(self, part: int) -> Any:
        """The block of `part`; change any word by its C name."""
        return self.ports[part]

    def record(self) -> FakeRings:
        """Give the page event rings, empty at first; write events into them."""
        self.rings = self.rings or FakeRings(self.endian)
        return self.rings

    def publish_ram(
        self,
        part: int,
        segments: Sequence[Segment],
        *,
        size: int | None = None,
        device: int = 0,
        inode: int = 0,
    ) -> None:
        """Say where `part` has RAM; `size` is that of its RAM file."""
        port = self.ports[part]
        self._publish(port, segments, size)
        _set(port, ram_dev=device, ram_ino=inode)

    def _publish(self, port: Any, segments: Sequence[Segment], size: int | None = None) -> None:
        for index, segment in enumerate(segments[: page.MAX_SEGS]):
            _set(port.seg[index], gpa=segment.start, len=segment.size, off=segment.offset)
        port.nseg = len(segments)
        port.ram_size = max((s.offset + s.size for s in segments), default=0)
        if size is not None:
            port.ram_size = size

    def link_up(self, *parts: int) -> None:
        """What the driver does to enable its link: BME, CPEN, mapping table (default: all)."""
        for part in parts or range(len(self.ports)):
            port = self.ports[part]
            _set(port, pcicmd=0x0006, ntctl=2, mtbl=1 | part << 17, ntintmsk=0xB0)
            port.image[_word(0x400)] = 2
        self.update_open()

    def link_down(self, part: int) -> None:
        """NTCTL and the mapping-table entry cleared."""
        _set(self.ports[part], ntctl=0, mtbl=0)
        self.ports[part].image[_word(0x400)] = 0
        self.update_open()

    def translate(
        self,
        part: int,
        *,
        address: int,
        size: int,
        target: int | None = None,
        bar: int = 2,
    ) -> None:
        """Program the direct window in `bar` as ``idt_ntb_peer_mw_set_trans`` does."""
        port = self.ports[part]
        target = (1 - part) % len(self.ports) if target is None else target
        at = _word(0x470) + 4 * bar
        limit = port.bar_addr[bar] + size if size else 0
        port.image[at] = port.image[at] & ~0xE000 | target << 13
        port.image[at + 1] = limit & 0xFFFFFFFF
        port.image[at + 2] = address & 0xFFFFFFFF
        port.image[at + 3] = address >> 32
        if port.image[at] >> 1 & 3 == 2 and bar + 1 < page.NUM_BARS:
            port.image[at + 5] = limit >> 32
        self.update_open()

    def translate_entry(
        self, part: int, entry: int, *, address: int, target: int | None = None, bar: int = 4
    ) -> None:
        """Program a lookup-table entry as ``idt_ntb_peer_mw_set_trans`` does."""
        target = (1 - part) % len(self.ports) if target is None else target
        found = self.ports[part].lut[bar // 2 - 1][entry]
        _set(found, low=address & 0xFFFFFFFF, high=address >> 32, upper=1 << 31 | target)
        self.update_open()

    def clear_entry(self, part: int, entry: int, *, bar: int = 4) -> None:
        """``idt_ntb_peer_mw_clear_trans``."""
        _set(self.ports[part].lut[bar // 2 - 1][entry], low=0, high=0, upper=0)
        self.update_open()

    def ring(self, part: int, bits: int) -> None:
        """Doorbell bits arrive at `part`."""
        self.ports[part].indbellsts |= bits
        self.ports[part].db_rx += 1

    def clear_doorbell(self, part: int, bits: int = 0xFFFFFFFF) -> None:
        """The guest of `part` acknowledges bits."""
        self.ports[part].indbellsts &= ~bits & 0xFFFFFFFF

    def send(self, part: int, index: int, data: int, *, source: int) -> None:
        """A message from partition `source` arrives in register `index` of `part`."""
        self.ports[part].inmsg[index] = page.INMSG_FULL | source << 32 | data
        self.ports[source].image[_word(0x430) + index] = data
        self.ports[source].msg_tx += 1

    def detach(self, part: int) -> None:
        """The port becomes free again, its block all zeros."""
        self.ports[part] = self._blank(self.layout.port)
        self.update_open()

    def update_open(self) -> None:
        """Set `mw_open` and `mw_trapped` to what the registers mean: the device agrees."""
        from ntbdbg.ntb.decode import decode_page

        for window in decode_page(self.build(), "fake").windows:
            port = self.ports[window.partition]
            bit = 1 << window.index
            trapped = window.is_open and window.is_trapped
            port.mw_open = port.mw_open | bit if window.is_open else port.mw_open & ~bit
            port.mw_trapped = port.mw_trapped | bit if trapped else port.mw_trapped & ~bit

    def build(self, size: int = page.MIN_SIZE) -> bytes:
        """The page's bytes."""
        data = bytearray(size)
        header = self.layout.header.build(self.header)
        data[: len(header)] = header
        for part, port in enumerate(self.ports):
            start = self.header.port_off + part * self.header.port_stride
            block = self.layout.port.build(port)
            data[start : start + len(block)] = block
        return bytes(data) if self.rings is None else self.rings.into(bytes(data))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page into `path`, in place if it exists, as the ports do."""
        path = Path(path)
        data = self.build()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)
        return path


def _set(container: Any, **values: object) -> None:
    """construct's Container.update takes no keywords."""
    container.update(values)


def _word(offset: int) -> int:
    """Index into `image` of the register at `offset`."""
    return (offset - page.IMAGE_BASE) // 4
