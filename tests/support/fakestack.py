# SPDX-License-Identifier: MIT
"""Stacks and ORC tables in a fake guest.

stacks = FakeStacks(guest)
work = stacks.function("do_work", sp=16)            # pushed 8 bytes besides the return address
stacks.function("kthread", sp=8, kind="end")
stacks.block(task, [work + 9, …])                   # it gave up its CPU in do_work, called by …
stacks.finish()
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from tests.support.fakekernel import FakeGuest, FakeStruct

OLD = """
struct orc_entry { short sp_offset; short bp_offset; unsigned short sp_reg : 4;
    unsigned short bp_reg : 4; unsigned short type : 2; unsigned short end : 1; };
"""
NEW = """
struct orc_entry { short sp_offset; short bp_offset; unsigned short sp_reg : 4;
    unsigned short bp_reg : 4; unsigned short type : 3; unsigned short signal : 1; };
"""
FRAME = """
struct inactive_task_frame { unsigned long r15, r14, r13, r12, bx, bp, ret_addr; };
"""
KINDS = {
    "old": {"call": 0, "regs": 1, "iret": 2, "end": 0, "undefined": 0},
    "new": {"undefined": 0, "end": 1, "call": 2, "regs": 3, "iret": 4},
}
KINDS["newer"] = KINDS["new"]
_REGISTERS = ("undefined", "prev_sp", "dx", "di", "bp", "sp", "r10", "r13", "bp@", "sp@")
REGISTERS = {
    "old": _REGISTERS,
    "new": _REGISTERS,
    "newer": (
        *("undefined", "ax", "dx", "sp", "bp", "di", "r10", "r13", "prev_sp"),
        *("sp@", "bp@"),
    ),
}
PT_REGS = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
    *("rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
)


class FakeStacks:
    """Adds functions with unwind entries to `guest`.

    :param form: ``old`` (6.1), ``new`` (6.4) or ``newer`` (7.3)
    """

    def __init__(self, guest: FakeGuest, form: str = "old") -> None:
        self.guest, self.form = guest, form
        self._entries: list[tuple[int, bytes]] = []

    def function(
        self,
        name: str,
        *,
        sp: int = 8,
        sp_reg: str = "sp",
        bp: int = 0,
        bp_reg: str = "undefined",
        kind: str = "call",
    ) -> int:
        """A function of 64 bytes with one entry; gives its VA."""
        va = self.guest.function(name, 64)
        self.entry(va, sp=sp, sp_reg=sp_reg, bp=bp, bp_reg=bp_reg, kind=kind)
        return va

    def entry(
        self, va: int, *, sp: int, sp_reg: str, bp: int = 0, bp_reg: str = "undefined", kind: str
    ) -> None:
        if kind in ("end", "undefined"):
            sp_reg = "undefined"
        bits = REGISTERS[self.form].index(sp_reg) | REGISTERS[self.form].index(bp_reg) << 4
        bits |= KINDS[self.form][kind] << 8
        if self.form == "old" and kind == "end":
            bits |= 1 << 10
        self._entries.append((va, struct.pack("<hhH", sp, bp, bits)))

    def stack(self, words: Sequence[int], size: int = 4096) -> int:
        """A stack with these words at its top; gives the VA of the first one."""
        base = self.guest.alloc(size, align=4096)
        top = base + size - 8 * len(words)
        self.guest.space.write(top, struct.pack(f"<{len(words)}Q", *words))
        return top

    def block(self, task: FakeStruct, words: Sequence[int], *, bp: int = 0) -> int:
        """Let `task` have given up its CPU: the first word is where it goes on; its stack's VA."""
        top = self.stack([0, 0, 0, 0, 0, bp, *words])
        task["thread.sp"] = top
        return top

    def regs(self, values: Mapping[str, int]) -> list[int]:
        """The words of a struct pt_regs."""
        return [values.get(name, 0) for name in PT_REGS]

    def finish(self) -> None:
        """Write the tables; the guest must not be complete yet."""
        guest, entries = self.guest, sorted(self._entries)
        ips = guest.data("__start_orc_unwind_ip", 4 * len(entries))
        table = guest.data("__start_orc_unwind", 6 * len(entries))
        offsets = [va - (ips + 4 * index) for index, (va, _) in enumerate(entries)]
        guest.space.write(ips, struct.pack(f"<{len(offsets)}i", *offsets))
        guest.space.write(table, b"".join(raw for _, raw in entries))
        guest.symbol("__stop_orc_unwind_ip", ips + 4 * len(entries))
        guest.symbol("__stop_orc_unwind", table + 6 * len(entries))
        guest.types.declare((OLD if self.form == "old" else NEW) + FRAME)
