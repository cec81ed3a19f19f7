# SPDX-License-Identifier: MIT
"""The shared page's bytes, checked and turned into objects.

Every value is hostile: the process that writes a block runs an untrusted guest. What makes
the page as a whole unreadable raises NtbError; what spoils one block is kept in that port's
`problems` and the rest of it is still shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntbdbg.errors import NtbError, UsageError
from ntbdbg.memory.base import Segment, SegmentMap
from ntbdbg.ntb import page
from ntbdbg.ntb.barsetup import TPART_MASK
from ntbdbg.ntb.model import (
    Doorbell,
    Link,
    LutEntry,
    MessageRegister,
    NtPort,
    PageHeader,
    PortFlags,
    PortState,
)
from ntbdbg.ntb.windows import derive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_PAGE = 1 << 20
"""Bytes; no layout needs more, whatever a corrupt header says."""

_RESTART = "restart the lab, or name the page of another one with --page"


def decode_header(data: bytes, source: str) -> PageHeader:
    """Check the page's header, of either layout.

    :param data: the page's first bytes, 0x60 of them or more

    :param source: what errors call the page
    :raises NtbError: not such a page, of another version, or sizes that make no sense
    """
    if len(data) < page.layout("little").header.sizeof():
        raise NtbError(f"{source}: {len(data)} bytes are too few for a shared page", hint=_RESTART)
    endian = _endian(data, source)
    layout = page.layout(endian, _major(data, endian, source))
    raw = layout.header.parse(data)
    _check_sizes(raw, layout, source)
    return PageHeader(
        major=raw.major,
        minor=raw.minor,
        endian=endian,
        nports=raw.nports,
        model=raw.model,
        nonce=raw.switch_nonce,
        port_bitmap=raw.port_bitmap,
        loopback=bool(raw.cfg_flags & page.CFG_LOOPBACK),
        mirror_mw=bool(raw.cfg_flags & page.CFG_MIRROR_MW),
        barsetup=tuple(raw.barsetup),
        port_off=raw.port_off,
        port_stride=raw.port_stride,
        **_rings(raw, layout),
    )


def _rings(raw: Any, layout: page.PageLayout) -> dict[str, int]:
    names = ("ring_off", "ring_stride", "ring_entries") if layout.ring else ()
    return {name: getattr(raw, name) for name in names}


def page_size(header: PageHeader) -> int:
    """Bytes from the start of the page to the end of its last port block."""
    return header.port_off + header.nports * header.port_stride


def check_whole(data: bytes, header: PageHeader, source: str) -> None:
    """Raise NtbError if `data` ends before the last port block does."""
    if len(data) < page_size(header):
        raise NtbError(
            f"{source}: ends at {len(data):#x}, before its {header.nports} port blocks do "
            f"at {page_size(header):#x}",
            hint=_RESTART,
        )


def decode_page(
    data: bytes,
    source: str,
    *,
    alive: Mapping[int, bool] | None = None,
    torn: Sequence[int] = (),
) -> Link:
    """The whole page as objects.

    :param data: the page from its start, at least `page_size` bytes
    :param alive: by partition, whether the owner lives; absent when nobody can know
    :param torn: partitions whose RAM table changed while `data` was read
    :raises NtbError: see `decode_header`; also when `data` ends before the last block
    """
    header = decode_header(data, source)
    check_whole(data, header, source)
    ports = tuple(
        _decode_port(data, header, part, None if alive is None else alive.get(part), part in torn)
        for part in range(header.nports)
    )
    if header.model == page.EPF_MODEL:
        from ntbdbg.ntb.epf.decode import windows

        return Link(source, header, ports, windows(data, header, ports))
    problems = [] if header.model == page.MODEL else [f"model is {header.model:#x}, not 0x8091"]
    return Link(source, header, ports, derive(header, ports), tuple(problems))


def _parse_block(data: bytes, header: PageHeader, part: int) -> Any:
    """A block as that of an IDT port; of other models only what all have, and LINK_UP."""
    start = header.port_off + part * header.port_stride
    struct = page.layout(header.endian, header.major).port
    block = data[start : start + struct.sizeof()]
    if header.model != page.EPF_MODEL:
        return struct.parse(block)
    from ntbdbg.ntb.epf.decode import area_of, as_registers

    raw = struct.parse(block[: page.DEVICE_OFF].ljust(len(block), b"\0"))
    raw.update(as_registers(area_of(data, header, part)))
    return raw


def _endian(data: bytes, source: str) -> page.Endian:
    mark = data[0x10:0x14]
    if mark == page.ENDIAN.to_bytes(4, "little"):
        order: page.Endian = "little"
    elif mark == page.ENDIAN.to_bytes(4, "big"):
        order = "big"
    else:
        kind = "is all zeros, no device has set it up" if not any(data) else "is not a shared page"
        raise NtbError(f"{source}: {kind} (byte-order mark {mark.hex()})", hint=_RESTART)
    if data[:8] != page.MAGIC.to_bytes(8, order):
        raise NtbError(
            f"{source}: is not a shared page (magic {data[:8].hex()})",
            hint=_RESTART,
        )
    return order


def _major(data: bytes, endian: page.Endian, source: str) -> int:
    """Which layout it is; the words that say so are in every one at the same place."""
    major, minor = (int.from_bytes(data[at : at + 4], endian) for at in (8, 12))
    if major not in page.MAJORS:
        known = " and ".join(f"{one}.x" for one in page.MAJORS)
        raise NtbError(
            f"{source}: has layout version {major}.{minor}, this ntbdbg reads {known}",
            hint="use the ntbdbg of the checkout that built this QEMU",
        )
    return major


def _check_sizes(raw: Any, layout: page.PageLayout, source: str) -> None:
    wrong = None
    if raw.hdr_size < layout.header.sizeof():
        wrong = f"hdr_size {raw.hdr_size:#x} is less than {layout.header.sizeof():#x}"
    elif not page.MIN_PORTS <= raw.nports <= page.MAX_PORTS:
        wrong = f"nports is {raw.nports}, not {page.MIN_PORTS} to {page.MAX_PORTS}"
    elif raw.port_off < raw.hdr_size or raw.port_off % 8:
        wrong = f"port_off {raw.port_off:#x} lies inside the header or is no multiple of 8"
    elif raw.port_stride < layout.port.sizeof() or raw.port_stride % 8:
        wrong = f"port_stride {raw.port_stride:#x} is less than a block or no multiple of 8"
    elif raw.port_off + raw.nports * raw.port_stride > MAX_PAGE:
        wrong = f"the port blocks would end beyond {MAX_PAGE:#x}"
    if wrong:
        raise NtbError(f"{source}: the header is corrupt: {wrong}", hint=_RESTART)


def _decode_port(
    data: bytes, header: PageHeader, part: int, alive: bool | None, torn: bool
) -> NtPort:
    raw = _parse_block(data, header, part)
    problems: list[str] = []
    state = _state(raw, problems)
    segments, segments_problem = _segments(raw, torn, state)
    if state is PortState.ATTACHED:
        problems += [segments_problem] if segments_problem else []
        problems += _foreign_bars(raw, header) if header.model == page.MODEL else []
    return NtPort(
        partition=part,
        number=_number(raw, header, part, state, problems),
        state=state,
        alive=alive if state is not PortState.FREE else None,
        ivshmem_id=raw.ivshmem_id,
        incarnation=raw.incarnation,
        pid=raw.pid,
        started_ns=raw.start_ns,
        flags=PortFlags(raw.flags & int(~PortFlags(0))),
        linkup=bool(raw.linkup & 1),
        pcicmd=raw.pcicmd,
        ntctl=raw.ntctl,
        mtbl=raw.mtbl,
        pcielctlsts=raw.pcielctlsts,
        down_epoch=raw.down_epoch,
        ack=tuple(raw.ack),
        doorbell=Doorbell(raw.indbellsts, raw.indbellmsk, raw.db_rx, raw.db_tx),
        messages=tuple(_message(raw, index) for index in range(page.NUM_MSG)),
        segments=segments,
        segments_problem=segments_problem,
        ram_size=raw.ram_size,
        bar_addr=tuple(None if a == page.BAR_UNMAPPED else a for a in raw.bar_addr),
        image=tuple(raw.image),
        lut=tuple(tuple(LutEntry(e.low, e.high, e.upper) for e in table) for table in raw.lut),
        mw_open=raw.mw_open,
        mw_trapped=raw.mw_trapped,
        problems=tuple(problems),
        block=raw,
    )


def _foreign_bars(raw: Any, header: PageHeader) -> list[str]:
    """BARSETUP registers that differ from the header in more than their target partition."""
    return [
        f"BARSETUP{bar} is {value:#010x}, the header has {expected:#010x}"
        for bar, expected in enumerate(header.barsetup)
        if ((value := raw.image[(0x470 - page.IMAGE_BASE) // 4 + 4 * bar]) ^ expected) & ~TPART_MASK
    ]


def _state(raw: Any, problems: list[str]) -> PortState:
    try:
        return PortState(raw.state)
    except ValueError:
        problems.append(f"state is {raw.state}, taken as free")
        return PortState.FREE


def _number(raw: Any, header: PageHeader, part: int, state: PortState, problems: list[str]) -> int:
    """The switch port: what the block says, or for a free one, the bitmap's `part`-th bit."""
    configured = [bit for bit in range(32) if header.port_bitmap >> bit & 1]
    expected = configured[part] if part < len(configured) else 2 * part
    if state is PortState.FREE:
        return expected
    if raw.part != part:
        problems.append(f"the block calls itself partition {raw.part}")
    if raw.port != expected:
        problems.append(f"the block calls itself port {raw.port}, the header says {expected}")
    return expected


def _message(raw: Any, index: int) -> MessageRegister:
    word, route = raw.inmsg[index], raw.swpmsgctl[index]
    return MessageRegister(
        index=index,
        data=word & 0xFFFF_FFFF,
        source=word >> page.INMSG_SRC_SHIFT & page.INMSG_SRC_MASK,
        full=bool(word & page.INMSG_FULL),
        masked=bool(raw.msgstsmsk >> 16 + index & 1),
        sent=raw.image[(0x430 - page.IMAGE_BASE) // 4 + index],
        failed=bool(raw.outmsgsts >> index & 1),
        failed_masked=bool(raw.msgstsmsk >> index & 1),
        route_partition=route >> 4 & 7,
        route_register=route & 3,
    )


def _segments(raw: Any, torn: bool, state: PortState) -> tuple[tuple[Segment, ...], str | None]:
    """The RAM table, or why it cannot be used."""
    if torn or raw.ram_seq & 1:
        return (), f"the RAM table is being rewritten (sequence {raw.ram_seq})"
    if raw.nseg > page.MAX_SEGS:
        return (), f"the RAM table claims {raw.nseg} segments, {page.MAX_SEGS} at most"
    if raw.nseg == 0:
        return (), "the RAM table is empty" if state is not PortState.FREE else None
    try:
        return tuple(SegmentMap([_segment(raw, i) for i in range(raw.nseg)])), None
    except UsageError as error:
        return (), f"the RAM table is corrupt: {error.message}"


def _segment(raw: Any, index: int) -> Segment:
    seg = raw.seg[index]
    if seg.len == 0 or seg.off + seg.len > raw.ram_size:
        raise UsageError(
            f"segment {index} ({seg.gpa:#x}, {seg.len:#x} bytes at {seg.off:#x}) is not inside "
            f"the RAM file of {raw.ram_size:#x} bytes"
        )
    return Segment(seg.gpa, seg.len, seg.off)
