# SPDX-License-Identifier: MIT
"""Layout 1 of the shared page, which QEMU wrote in ntbdbg 0.1.0: the blocks were IDT's alone.

Captures of that time still hold it. Members that layout 2 has as well keep their names there,
so whoever asks for one by name need not know which of the two is before him.
"""

from __future__ import annotations

from typing import Any

from construct import Struct

MAJOR = 1
NUM_MSG = 4
NUM_BARS = 6
MAX_SEGS = 16
IMAGE_WORDS = 64
LUT_BARS = 2
LUT_ENTRIES = 24


def header(u32: Any, u64: Any) -> Any:
    """The header, at offset 0."""
    return Struct(
        "magic" / u64 * '"IDTNTBSW", high byte first',
        "major" / u32 * "readers refuse any other",
        "minor" / u32 * "fields are only ever added",
        "endian" / u32 * "0x01020304 in host order",
        "hdr_size" / u32 * "bytes of this structure",
        "port_off" / u32 * "offset of the block of partition 0",
        "port_stride" / u32 * "bytes from one block to the next",
        "nports" / u32 * "configured ports",
        "model" / u32 * "PCI device id of the switch",
        "switch_nonce" / u64 * "random, names this power cycle",
        "port_bitmap" / u32 * "bit n: switch port n is an NT port",
        "cfg_flags" / u32 * "bit 0: doorbells also reach their sender; 1: windows are mirrored",
        "barsetup" / u32[NUM_BARS] * "BARSETUP registers, alike on every port",
    )


def port(u32: Any, u64: Any, segment: Any, lut: Any) -> Any:
    """The block of a partition, at port_off + partition * port_stride."""
    return Struct(
        "state" / u32 * "0 free, 1 claimed, 2 attached",
        "port" / u32 * "switch port: 0, 2, 4, 6, 8, 12",
        "part" / u32 * "partition",
        "ivshmem_id" / u32 * "id that ivshmem-server gave",
        "incarnation" / u64 * "random, new at each attach",
        "pid" / u64 * "of the QEMU that owns the port",
        "start_ns" / u64 * "CLOCK_REALTIME at attach, ns",
        "flags" / u32 * "bit 0 RAM_SHARED, 1 IOMMU, 2 SERVER_LOST",
        "server_pid" / u32 * "pid of ivshmem-server; ivshmem_id is of this one",
        "rsvd_030" / u32[4],
        "linkup" / u32 * "1: on the link and out of reset",
        "pcicmd" / u32 * "PCI command register",
        "ntctl" / u32 * "NTCTL",
        "mtbl" / u32 * "mapping-table entry of this partition",
        "pcielctlsts" / u32 * "PCIELCTLSTS",
        "down_epoch" / u32 * "rises when windows into here must close",
        "rsvd_058" / u32[10],
        "ack" / u32[8] * "by port q: its windows into here are closed up to this epoch",
        "rsvd_0a0" / u32[8],
        "indbellsts" / u32 * "INDBELLSTS",
        "ev_linkup" / u32 * "events not taken yet; bit: switch port",
        "ev_linkdn" / u32 * "events not taken yet; bit: switch port",
        "ev_gsig" / u32 * "events not taken yet; bit: partition",
        "kick_pending" / u32 * "1: the eventfd has been written",
        "rsvd_0d4" / u32[11],
        "inmsg" / u64[NUM_MSG] * "data | source << 32 | FULL (bit 63)",
        "rsvd_120" / u64[4],
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
        "mw_open" / u32 * "bit n: window n reaches the peer now",
        "mw_trapped" / u32 * "bit n: window n is open, and some of it is copied by the device",
        "rsvd_17c" / u32[1],
        "ram_seq" / u32 * "odd while the RAM table is being written",
        "nseg" / u32 * "segments in use",
        "ram_dev" / u64 * "st_dev of the RAM file",
        "ram_ino" / u64 * "st_ino of the RAM file",
        "ram_size" / u64 * "bytes of the RAM file",
        "seg" / segment[MAX_SEGS] * "this guest's RAM",
        "rsvd_320" / u32[16],
        "swpmsgctl" / u32[NUM_MSG] * "message routes",
        "tmpctl" / u32 * "TMPCTL",
        "tmpsts" / u32 * "TMPSTS",
        "tmpalarm" / u32 * "TMPALARM",
        "tmpadj" / u32 * "TMPADJ",
        "bar_addr" / u64[NUM_BARS] * "where the guest mapped its BARs, all-ones: nowhere",
        "rsvd_3b0" / u32[20],
        "image" / u32[IMAGE_WORDS] * "registers 0x400-0x4ff",
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
        "rsvd_550" / u64[22],
        "lut" / lut[LUT_ENTRIES][LUT_BARS] * "lookup tables of BAR2 and BAR4",
    )
