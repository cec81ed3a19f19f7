# SPDX-License-Identifier: MIT
"""``.debug_frame``: how a debugger gets from a function to its caller, told by the kernel's ORC.

Source: DWARF version 4, section 6.4; registers as the ABI for x86-64 numbers them. ORC tells of
the stack pointer and the frame pointer only, so what other registers were in a caller is said
to be unknown. A run of rows of one kind is one entry (FDE): a CIE has what is common to a kind.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

from ntbdbg.kernel.debugfile.dies import sleb, uleb
from ntbdbg.kernel.stacks.orc import OrcEntry
from ntbdbg.kernel.stacks.unwind import PT_REGS

RBP, RSP, RIP = 6, 7, 16
NUMBERS = {
    "rax": 0,
    "rdx": 1,
    "rcx": 2,
    "rbx": 3,
    "rsi": 4,
    "rdi": 5,
    "rbp": RBP,
    "rsp": RSP,
    **{f"r{number}": number for number in range(8, 16)},
    "rip": RIP,
}
WORD = 8
MOST_ROWS = 64
"""Of one FDE; a debugger goes through all of them up to the one it needs."""

LAST = 4096
"""Bytes for which the last row of a table holds; where it ends, nothing says."""

FARTHEST = 1 << 32
"""Bytes from one row to the next."""

_ADVANCE1, _ADVANCE2, _ADVANCE4 = 0x02, 0x03, 0x04
_EXTENDED, _UNDEFINED, _SAME, _DEFINE = 0x05, 0x07, 0x08, 0x0C
_BY_EXPRESSION, _EXPRESSION, _OFFSET = 0x0F, 0x10, 0x80
_BREG0, _DEREF, _PLUS, _CONSTS = 0x70, 0x06, 0x22, 0x11

_NO_CIE = 0xFFFF_FFFF
_FDE = struct.Struct("<IIQQ")
_VERSION = 1
_WORD_DOWN = 0x78
"""-8 as SLEB128: saved registers are given in words below the frame's address (CFA)."""

_BASES = {"sp": RSP, "bp": RBP, "ax": 0, "dx": 1, "di": 5, "r10": 10, "r13": 13}
_SAVED = {"call": 0, "regs": WORD * len(PT_REGS), "iret": WORD * 5}
"""Bytes of saved registers between where ORC's stack pointer leads, and the CFA."""

_INTERRUPTED = frozenset({"regs", "iret"})

END = OrcEntry("end", "undefined", 0, "undefined", 0)


def build_frames(tables: Iterable[Iterable[tuple[int, OrcEntry]]]) -> bytes:
    """The section.

    :param tables: rows of vmlinux and of each module: VA, and what holds from there on
    """
    frames = _Frames()
    for table in tables:
        frames.add(table)
    return bytes(frames.data)


class _Frames:
    def __init__(self) -> None:
        self.data = bytearray()
        self._kinds = {kind: self._common(kind) for kind in ("call", "regs", "iret", "end")}
        self._known: dict[OrcEntry, bytes] = {}

    def add(self, rows: Iterable[tuple[int, OrcEntry]]) -> None:
        run: list[tuple[int, OrcEntry]] = []
        for address, entry in rows:
            entry = entry if _is_known(entry) else END
            if run and address <= run[-1][0]:
                continue  # out of order: nobody could find it
            if run and not _continues(run, address, entry):
                self._write(run, address)
                run = []
            if not run or entry != run[-1][1]:
                run.append((address, entry))
        if run:
            self._write(run, run[-1][0] + LAST)

    def _write(self, run: list[tuple[int, OrcEntry]], end: int) -> None:
        start, first = run[0]
        words = bytearray(first.kind in _INTERRUPTED) + self._row(first)  # no augmentation data
        for (before, _), (address, entry) in itertools.pairwise(run):
            words += _advance(address - before) + self._row(entry)
        words += bytes(-(len(words) + _FDE.size) % WORD)
        size = _FDE.size - 4 + len(words)
        self.data += _FDE.pack(size, self._kinds[first.kind], start, end - start) + words

    def _row(self, entry: OrcEntry) -> bytes:
        if entry not in self._known:
            self._known[entry] = b"" if entry.kind == "end" else _frame(entry) + _pointer(entry)
        return self._known[entry]

    def _common(self, kind: str) -> int:
        """A CIE; gives where it is."""
        place = len(self.data)
        # S: of interrupted code, so its address is not behind a call; z: it could have data.
        is_signal = kind in _INTERRUPTED
        head = bytes([_VERSION]) + b"zS\0"[2 * (not is_signal) :] + bytes([1, _WORD_DOWN, RIP])
        rules = bytes(is_signal) + _rules(kind)
        body = struct.pack("<I", _NO_CIE) + head + rules
        body += bytes(-(len(body) + 4) % WORD)
        self.data += struct.pack("<I", len(body)) + body
        return place


def _is_known(entry: OrcEntry) -> bool:
    return entry.kind in _SAVED and (entry.sp_base in _BASES or entry.sp_base in ("sp@", "bp@"))


def _continues(run: list[tuple[int, OrcEntry]], address: int, entry: OrcEntry) -> bool:
    """Whether a row belongs to the same FDE."""
    near = address - run[-1][0] < FARTHEST
    return near and entry.kind == run[0][1].kind and len(run) < MOST_ROWS


def _rules(kind: str) -> bytes:
    """What holds in all frames of a kind, whatever their rows say."""
    if kind == "end":
        return bytes([_DEFINE, RSP, WORD, _UNDEFINED, RIP])
    if kind == "iret":
        return _saved("rip", 5) + _saved("rsp", 2)
    if kind == "regs":
        depth = len(PT_REGS)
        known = (name for name in PT_REGS if name in NUMBERS)
        return b"".join(_saved(name, depth - PT_REGS.index(name)) for name in known)
    unknown = [number for number in range(RIP) if number not in (RBP, RSP)]
    return _saved("rip", 1) + b"".join(bytes([_UNDEFINED, number]) for number in unknown)


def _saved(name: str, words: int) -> bytes:
    """A register is saved so many words below the CFA."""
    return bytes([_EXTENDED, NUMBERS[name]]) + uleb(words)


def _frame(entry: OrcEntry) -> bytes:
    """Where the CFA is."""
    more, base = _SAVED[entry.kind], entry.sp_base
    if base in ("sp", "bp") and entry.sp_offset + more >= 0:
        return bytes([_DEFINE, _BASES[base]]) + uleb(entry.sp_offset + more)
    if base in _BASES:
        offset = entry.sp_offset if base in ("sp", "bp") else 0
        return _expression(_register(_BASES[base], offset + more))
    if base == "sp@":
        return _expression(_register(RSP, 0) + bytes([_DEREF]) + _plus(entry.sp_offset + more))
    assert base == "bp@", base
    return _expression(_register(RBP, entry.sp_offset) + bytes([_DEREF]) + _plus(more))


def _pointer(entry: OrcEntry) -> bytes:
    """Where the caller's frame pointer is."""
    if entry.kind == "regs":
        return b""
    if entry.bp_base == "prev_sp":
        below = _SAVED[entry.kind] - entry.bp_offset
        if below >= 0 and below % WORD == 0:
            return bytes([_OFFSET | RBP]) + uleb(below // WORD)
    if entry.bp_base == "bp":
        where = _register(RBP, entry.bp_offset)
        return bytes([_EXPRESSION, RBP]) + uleb(len(where)) + where
    return bytes([_SAME, RBP])


def _expression(words: bytes) -> bytes:
    return bytes([_BY_EXPRESSION]) + uleb(len(words)) + words


def _register(number: int, offset: int) -> bytes:
    return bytes([_BREG0 + number]) + sleb(offset)


def _plus(offset: int) -> bytes:
    return bytes([_CONSTS]) + sleb(offset) + bytes([_PLUS])


def _advance(step: int) -> bytes:
    if step < 1 << 6:
        return bytes([0x40 | step])
    if step < 1 << 8:
        return struct.pack("<BB", _ADVANCE1, step)
    if step < 1 << 16:
        return struct.pack("<BH", _ADVANCE2, step)
    return struct.pack("<BI", _ADVANCE4, step)
