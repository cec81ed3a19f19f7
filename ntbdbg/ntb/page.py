# SPDX-License-Identifier: MIT
"""Layout of the page that the NT ports of one switch share.

The C side of the contract are ``qemu_src/include/hw/ntb/ntb_shm.h`` and, for the part of a block
that only an IDT port has, ``idt_ntb_shm.h`` beside it; names, order and sizes here are the same,
and a test compares the two field by field. `docs/shared-page.md` is the prose.

Numbers are in the byte order of the host that runs the guests; the `endian` word tells
which. Layouts are therefore made per byte order, by `layout`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

from construct import Int32ub, Int32ul, Int64ub, Int64ul, Struct

from ntbdbg.ntb import layout1

MAGIC = 0x4944544E54425357
MAJOR = 2
MINOR = 1
MAJORS = (layout1.MAJOR, MAJOR)
"""The layouts that can be read."""
ENDIAN = 0x01020304
MODEL = 0x8091
EPF_MODEL = 0x0809
"""Ports of NTB endpoint functions: `ntbdbg.ntb.epf`."""
MIN_SIZE = 0x10000
PORT_OFF = 0x2000
PORT_STRIDE = 0x1000
DEVICE_OFF = 0x600
"""Where the device area of a block begins; what is below it, every model has."""
MIN_PORTS = 2
MAX_PORTS = 6
MAX_SEGS = 16
NUM_MSG = 4
NUM_SPAD = 64
NUM_BARS = 6
LUT_BARS = 2
LUT_ENTRIES = 24
IMAGE_BASE = 0x400
IMAGE_SIZE = 0x100
LOCK_PORT = 0x100
RING_OFF = 0x10000
RING_STRIDE = 0x21000
RING_FIRST = 0x1000
"""Of the entries, in an event ring."""
RING_ENTRIES = 2048
RINGS_END = 0xD6000
LANES = 3
NOBODY = 0xFFFF_FFFF
CFG_LOOPBACK = 1 << 0
CFG_MIRROR_MW = 1 << 1
INMSG_FULL = 1 << 63
INMSG_SRC_SHIFT = 32
INMSG_SRC_MASK = 7
BAR_UNMAPPED = 0xFFFF_FFFF_FFFF_FFFF

Endian = Literal["little", "big"]


@dataclass(frozen=True)
class PageLayout:
    """The structures of the page in one byte order: `construct.Struct` each.

    :ivar common: the part of a block that every model has; None in layout 1
    :ivar idt: the device area of an IDT port; None in layout 1
    :ivar port: all that a block of an IDT port holds
    :ivar ring, event: the head of an event ring, and one entry; None in layout 1
    """

    endian: Endian
    header: Any
    segment: Any
    lut: Any
    port: Any
    common: Any = None
    idt: Any = None
    ring: Any = None
    event: Any = None


@functools.cache
def layout(endian: Endian, major: int = MAJOR) -> PageLayout:
    """The layouts for a host of byte order `endian`, of one of `MAJORS`."""
    little = endian == "little"
    u32, u64 = (Int32ul, Int64ul) if little else (Int32ub, Int64ub)
    segment, lut = _segment(u64), _lut(u32)
    if major == layout1.MAJOR:
        port = layout1.port(u32, u64, segment, lut)
        return PageLayout(endian, layout1.header(u32, u64), segment, lut, port)
    common, idt = _common(u32, u64, segment), _idt(u32, lut)
    port = Struct(*common.subcons, *idt.subcons)
    rings = _ring(u32, u64), _event(u32, u64)
    return PageLayout(endian, _header(u32, u64), segment, lut, port, common, idt, *rings)


def _header(u32: Any, u64: Any) -> Any:
    """``struct ntb_shm_header``, at offset 0."""
    return Struct(
        "magic" / u64 * '"IDTNTBSW", high byte first',
        "major" / u32 * "readers refuse any that they do not know",
        "minor" / u32 * "fields are only ever added",
        "endian" / u32 * "0x01020304 in host order",
        "hdr_size" / u32 * "bytes of this structure",
        "port_off" / u32 * "offset of the block of partition 0",
        "port_stride" / u32 * "bytes from one block to the next",
        "nports" / u32 * "configured ports",
        "model" / u32 * "PCI device id of every port; says what device areas hold",
        "switch_nonce" / u64 * "random, names this power cycle",
        "port_bitmap" / u32 * "bit n: switch port n is an NT port",
        "cfg_flags" / u32 * "bit 0: doorbells also reach their sender; 1: windows are mirrored",
        "barsetup" / u32[NUM_BARS] * "how each BAR is set up, alike on every port: BARSETUP",
        "ring_off" / u32 * "offset of the event ring of partition 0; 0: nothing is recorded",
        "ring_stride" / u32 * "bytes from one event ring to the next",
        "ring_entries" / u32 * "entries of each event ring",
        "rsvd_05c" / u32[1],
    )


def _segment(u64: Any) -> Any:
    """``struct ntb_shm_seg``: [gpa, gpa + len) lies in the RAM file at off."""
    return Struct(
        "gpa" / u64 * "guest-physical address",
        "len" / u64 * "bytes",
        "off" / u64 * "offset in the RAM file",
    )


def _lut(u32: Any) -> Any:
    """``struct idt_ntb_shm_lut``: one entry of a lookup table."""
    return Struct(
        "low" / u32 * "LUTLDATA",
        "high" / u32 * "LUTMDATA",
        "upper" / u32 * "LUTUDATA",
    )


def _common(u32: Any, u64: Any, segment: Any) -> Any:
    """``struct ntb_shm_port`` below its device area, at port_off + partition * port_stride."""
    return Struct(
        "state" / u32 * "0 free, 1 claimed, 2 attached",
        "port" / u32 * "switch port",
        "part" / u32 * "partition",
        "ivshmem_id" / u32 * "id that ivshmem-server gave",
        "incarnation" / u64 * "random, new at each attach",
        "pid" / u64 * "of the QEMU that owns the port",
        "start_ns" / u64 * "CLOCK_REALTIME at attach, ns",
        "flags" / u32 * "bit 0 RAM_SHARED, 1 IOMMU, 2 SERVER_LOST, 3 UNPLUGGED",
        "server_pid" / u32 * "pid of ivshmem-server; ivshmem_id is of this one",
        "rsvd_030" / u32[4],
        "linkup" / u32 * "1: on the link and out of reset",
        "admits" / u32 * "1: peers may write into this guest's RAM",
        "down_epoch" / u32 * "rises when windows into here must close",
        "pcicmd" / u32 * "PCI command register",
        "msi_addr" / u64 * "where MSI writes to",
        "msi_ctl" / u32 * "MSI message control; 0: there is no MSI",
        "msi_data" / u32 * "what MSI writes",
        "rsvd_060" / u32[8],
        "ack" / u32[8] * "by port q: its windows into here are closed up to this epoch",
        "rsvd_0a0" / u32[8],
        "indbellsts" / u32 * "doorbells that are set",
        "ev_linkup" / u32 * "events not taken yet; bit: partition",
        "ev_linkdn" / u32 * "events not taken yet; bit: partition",
        "ev_gsig" / u32 * "events not taken yet; bit: partition",
        "kick_pending" / u32 * "1: the eventfd has been written",
        "rsvd_0d4" / u32[11],
        "inmsg" / u64[NUM_MSG] * "data | source << 32 | FULL (bit 63)",
        "rsvd_120" / u64[4],
        "spad" / u32[NUM_SPAD] * "scratchpads",
        "ram_seq" / u32 * "odd while the RAM table is being written",
        "nseg" / u32 * "segments in use",
        "ram_dev" / u64 * "st_dev of the RAM file",
        "ram_ino" / u64 * "st_ino of the RAM file",
        "ram_size" / u64 * "bytes of the RAM file",
        "seg" / segment[MAX_SEGS] * "this guest's RAM",
        "rsvd_3e0" / u64[4],
        "bar_addr" / u64[NUM_BARS] * "where the guest mapped its BARs, all-ones: nowhere",
        "mw_open" / u32 * "bit n: window n reaches the peer now",
        "mw_trapped" / u32 * "bit n: window n is open, and some of it is copied by the device",
        "rsvd_438" / u64[9],
        "db_tx" / u64 * "doorbell writes",
        "db_rx" / u64 * "wake-ups that brought doorbell bits",
        "kicks" / u64 * "eventfd writes",
        "msi" / u64 * "interrupts raised, MSI or INTx",
        "msg_tx" / u64 * "messages sent",
        "msg_fail" / u64 * "messages refused by the receiver",
        "win_map" / u64 * "windows opened",
        "win_unmap" / u64 * "windows closed",
        "win_trap" / u64 * "accesses that trapped, closed or copied",
        "quiesce_timeouts" / u64 * "peers that did not close their windows in time",
        "rsvd_4d0" / u64[38],
    )


def _idt(u32: Any, lut: Any) -> Any:
    """``struct idt_ntb_shm_area``, the device area of model 0x8091."""
    return Struct(
        "ntctl" / u32 * "NTCTL",
        "mtbl" / u32 * "mapping-table entry of this partition",
        "pcielctlsts" / u32 * "PCIELCTLSTS",
        "rsvd_60c" / u32[1],
        "indbellmsk" / u32 * "INDBELLMSK",
        "msgstsmsk" / u32 * "MSGSTSMSK",
        "ntintsts" / u32 * "NTINTSTS as the guest would read it",
        "ntintmsk" / u32 * "NTINTMSK",
        "outmsgsts" / u32 * "MSGSTS bits 3:0",
        "semsk" / u32 * "SEMSK",
        "sepmsk" / u32 * "SEPMSK",
        "selinkupsts" / u32 * "SELINKUPSTS",
        "selinkupmsk" / u32 * "SELINKUPMSK",
        "selinkdnsts" / u32 * "SELINKDNSTS",
        "selinkdnmsk" / u32 * "SELINKDNMSK",
        "segsigsts" / u32 * "SEGSIGSTS",
        "segsigmsk" / u32 * "SEGSIGMSK",
        "swpmsgctl" / u32[NUM_MSG] * "message routes",
        "tmpctl" / u32 * "TMPCTL",
        "tmpsts" / u32 * "TMPSTS",
        "tmpalarm" / u32 * "TMPALARM",
        "tmpadj" / u32 * "TMPADJ",
        "rsvd_664" / u32[39],
        "image" / u32[IMAGE_SIZE // 4] * "registers 0x400-0x4ff",
        "lut" / lut[LUT_ENTRIES][LUT_BARS] * "lookup tables of BAR2 and BAR4",
    )


def _ring(u32: Any, u64: Any) -> Any:
    """``struct ntb_shm_ring``, at ring_off + partition * ring_stride."""
    return Struct(
        "written" / u64[LANES] * "entries ever written, by lane",
        "recording" / u32 * "1: the port's owner writes here",
        "rsvd_01c" / u32[1],
        "mono_ns" / u64 * "CLOCK_MONOTONIC when the owner joined, ns",
        "real_ns" / u64 * "CLOCK_REALTIME of the same moment, ns",
        "rsvd_030" / u64[2],
    )


def _event(u32: Any, u64: Any) -> Any:
    """``struct ntb_shm_event``, one entry of a ring."""
    return Struct(
        "seq" / u64 * "its number in its lane, from 1; 0: it is being written",
        "first_ns" / u64 * "CLOCK_MONOTONIC, ns",
        "last_ns" / u64 * "of the last of `count`",
        "count" / u32 * "so many alike, folded into one",
        "kind" / u32 * "what has happened",
        "peer" / u32 * "partition, all-ones: none in particular",
        "num" / u32 * "by kind",
        "a" / u64 * "by kind",
        "b" / u64 * "by kind",
        "rsvd_038" / u64[1],
    )


def offset_of(struct: Any, name: str) -> int:
    """Bytes from the start of a construct `Struct` of fixed size to its member `name`."""
    offset = 0
    for member in struct.subcons:
        if member.name == name:
            return offset
        offset += int(member.sizeof())
    raise KeyError(name)


@functools.cache
def port_member(endian: Endian, name: str, major: int = MAJOR) -> tuple[int, int]:
    """Offset and size in bytes of member `name` of a port block."""
    struct = layout(endian, major).port
    return offset_of(struct, name), int(getattr(struct, name).sizeof())
