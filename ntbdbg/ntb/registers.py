# SPDX-License-Identifier: MIT
"""Registers of an NT port: offset, access, reset value, fields.

Names follow Linux ``drivers/ntb/hw/idt/ntb_hw_idt.h`` without its ``IDT_NT_`` and
``IDT_SW_`` prefixes. `docs/registers.md` is the same table for reading; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ntbdbg.errors import UsageError
from ntbdbg.ntb import regfields as bits
from ntbdbg.ntb.regfields import Field


@dataclass(frozen=True)
class Register:
    """A 32-bit register.

    :ivar offset: in BAR0 and configuration space; above 0xfff in the switch's global space,
        as its own guest reaches it by GASAADDR
    :ivar access: ``RO``, ``RW``, ``W1C``, ``WO`` (reads as zero)
    :ivar reset: value after reset; None where it depends on the port
    :ivar basic: shown without ``--all``
    """

    name: str
    offset: int
    access: str
    reset: int | None
    doc: str
    fields: tuple[Field, ...] = ()
    basic: bool = False


def _messages() -> list[Register]:
    found = []
    for n in range(4):
        doc = f"outbound message {n}: a write sends, reads give the last one written"
        found.append(Register(f"OUTMSG{n}", 0x430 + 4 * n, "RW", 0, doc, basic=True))
    for n in range(4):
        doc = f"inbound message {n}; kept when its status is cleared"
        found.append(Register(f"INMSG{n}", 0x440 + 4 * n, "RO", 0, doc, basic=True))
    for n in range(4):
        source = (Field("PART", 2, 0, "partition"),)
        doc = f"partition that sent INMSG{n}; at reset the lowest other one"
        found.append(Register(f"INMSGSRC{n}", 0x450 + 4 * n, "RO", None, doc, source, basic=True))
    return found


def _bars() -> list[Register]:
    found = []
    for n in range(6):
        at = 0x470 + 16 * n
        setup = f"BAR {n}: kind and size; only TPART may be written"
        limit = f"BAR {n}: end of the window, bus address; after a 64-bit BAR its high half"
        found += [
            Register(f"BARSETUP{n}", at, "RW", None, setup, bits.BARSETUP),
            Register(f"BARLIMIT{n}", at + 4, "RW", 0, limit),
            Register(f"BARLTBASE{n}", at + 8, "RW", 0, f"BAR {n}: translation, low half"),
            Register(f"BARUTBASE{n}", at + 12, "RW", 0, f"BAR {n}: translation, high half"),
        ]
    return found


def _switch_events() -> list[Register]:
    names = {
        "SELINKUPSTS": (0x3EC0C, "W1C", 0, "ports whose link came up", bits.PORT_BITS),
        "SELINKUPMSK": (0x3EC10, "RW", 0xFFFFFFFF, "1: masked", bits.PORT_BITS),
        "SELINKDNSTS": (0x3EC14, "W1C", 0, "ports whose link went down", bits.PORT_BITS),
        "SELINKDNMSK": (0x3EC18, "RW", 0xFFFFFFFF, "1: masked", bits.PORT_BITS),
        "SEGSIGSTS": (0x3EC30, "W1C", 0, "partitions that signalled", bits.PARTITION_BITS),
        "SEGSIGMSK": (0x3EC34, "RW", 0xFFFFFFFF, "1: masked", bits.PARTITION_BITS),
    }
    head = [
        Register("SEMSK", 0x3EC04, "RW", 0xFFFFFFFF, "events, 1: masked", bits.SWITCH_EVENTS),
        Register("SEPMSK", 0x3EC08, "RW", 0xFFFFFFFF, "partitions, 1: masked", bits.PARTITION_BITS),
    ]
    return head + [Register(name, *rest) for name, rest in names.items()]


def _routes() -> list[Register]:
    doc = "where this port's OUTMSG{0} goes; offset of partition 0, + 4 for each further one"
    return [
        Register(f"SWPMSGCTL{n}", 0x3EE00 + 0x20 * n, "RW", 0, doc.format(n), bits.ROUTE)
        for n in range(4)
    ]


def _temperature() -> list[Register]:
    return [
        Register("TMPCTL", 0x3F1D4, "RW", 1 << 31, "temperature sensor", bits.TEMPERATURE_CONTROL),
        Register("TMPSTS", 0x3F1D8, "RO", 0, "temperatures", bits.TEMPERATURE_STATUS),
        Register("TMPALARM", 0x3F1DC, "RW", 0, "temperature alarms", bits.TEMPERATURE_ALARM),
        Register("TMPADJ", 0x3F1E0, "RW", 0, "temperature offset", bits.TEMPERATURE_OFFSET),
    ]


REGISTERS: tuple[Register, ...] = (
    Register("PCICMDSTS", 0x004, "RW", 0, "PCI command and status", bits.COMMAND, basic=True),
    Register("PCIELCTLSTS", 0x050, "RO", 0x00420000, "PCIe link", bits.LINK_STATUS),
    Register("NTCTL", 0x400, "RW", 0, "NT endpoint control", bits.NTCTL, basic=True),
    Register(
        "NTINTSTS", 0x404, "W1C", 0, "interrupt causes, not masked", bits.INTERRUPTS, basic=True
    ),
    Register("NTINTMSK", 0x408, "RW", 0xBB, "interrupts, 1: masked", bits.INTERRUPTS, basic=True),
    Register("NTSDATA", 0x40C, "RW", 0, "signal data"),
    Register("NTGSIGNAL", 0x410, "WO", 0, "a write of 1 signals all ports"),
    Register("NTIERRORMSK0", 0x414, "RW", 0, "internal error mask 0"),
    Register("NTIERRORMSK1", 0x418, "RW", 0, "internal error mask 1"),
    Register("OUTDBELLSET", 0x420, "WO", 0, "a write sets doorbells of the other ports"),
    Register("INDBELLSTS", 0x428, "W1C", 0, "doorbells that are set", basic=True),
    Register("INDBELLMSK", 0x42C, "RW", 0, "doorbells, 1: masked", basic=True),
    *_messages(),
    Register("MSGSTS", 0x460, "W1C", 0, "message status", bits.MSG_STATUS, basic=True),
    Register("MSGSTSMSK", 0x464, "RW", 0, "message status, 1: masked", bits.MSG_STATUS, basic=True),
    *_bars(),
    Register("NTMTBLADDR", 0x4D0, "RW", 0, "index into the mapping table"),
    Register("NTMTBLSTS", 0x4D4, "W1C", 0, "bit 0: a write was refused"),
    Register(
        "NTMTBLDATA",
        0x4D8,
        "RW",
        0,
        "mapping-table entry of this partition",
        bits.MAPPING_ENTRY,
        basic=True,
    ),
    Register("REQIDCAP", 0x4DC, "RO", 0, "requester id of whoever reads"),
    Register("LUTOFFSET", 0x4E0, "RW", 0, "lookup table: entry and BAR"),
    Register("LUTLDATA", 0x4E4, "RW", 0, "lookup table: address, low half"),
    Register("LUTMDATA", 0x4E8, "RW", 0, "lookup table: address, high half"),
    Register("LUTUDATA", 0x4EC, "RW", 0, "lookup table: partition, valid; a write commits"),
    Register("NTUEEM", 0x4F0, "RO", 0, "uncorrectable error emulation"),
    Register("NTCEEM", 0x4F4, "RO", 0, "correctable error emulation"),
    *_switch_events(),
    *_routes(),
    *_temperature(),
)

BY_NAME: Mapping[str, Register] = MappingProxyType({r.name: r for r in REGISTERS})


def find(name: str) -> Register:
    """The register called `name`, in any case, with or without ``IDT_NT_``; UsageError if none."""
    bare = name.upper().removeprefix("IDT_NT_").removeprefix("IDT_SW_")
    if bare in BY_NAME:
        return BY_NAME[bare]
    import difflib

    close = difflib.get_close_matches(bare, BY_NAME, n=3) or ["NTCTL", "INDBELLSTS", "MSGSTS"]
    raise UsageError(f"no register {name!r:.40}", hint=f"there are {', '.join(close)}, …")
