# SPDX-License-Identifier: MIT
"""A printk ring buffer in a fake guest, filled by the rules of kernel/printk/printk_ringbuffer.c.

    log = FakeLog(guest, records=64, size=4096)
    log.add("Linux version 6.1.0", at=0.0, level=5)
    log.add("half a li", finished=False)           # pr_cont without a newline yet
    log.desc(0)["text_blk_lpos.begin"] = 1 << 63   # hostile

Old records go when ids or bytes are used up; a block that does not fit before the end of the
ring starts again at its beginning. Ids and positions begin near their overflow, as the kernel's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.support.fakekernel import FakeGuest, FakeStruct

TYPES = """
struct dev_printk_info { char subsystem[16]; char device[48]; };
struct printk_info {
    u64 seq; u64 ts_nsec; u16 text_len; u8 facility; u8 flags:5; u8 level:3; u32 caller_id;
    struct dev_printk_info dev_info;
};
struct prb_data_blk_lpos { unsigned long begin, next; };
struct prb_desc { atomic_long_t state_var; struct prb_data_blk_lpos text_blk_lpos; };
struct prb_desc_ring {
    unsigned int count_bits; struct prb_desc *descs; struct printk_info *infos;
    atomic_long_t head_id, tail_id, last_finalized_id;
};
struct prb_data_ring { unsigned int size_bits; char *data; atomic_long_t head_lpos, tail_lpos; };
struct printk_ringbuffer {
    struct prb_desc_ring desc_ring; struct prb_data_ring text_data_ring; atomic_long_t fail;
};
"""
OFFSETS = {
    "printk_ringbuffer": ("desc_ring", "text_data_ring", "fail"),
    "prb_desc_ring": ("count_bits", "descs", "infos", "head_id", "tail_id"),
    "prb_desc": ("state_var", "text_blk_lpos"),
    "prb_data_blk_lpos": ("begin", "next"),
    "printk_info": ("seq", "ts_nsec", "text_len", "caller_id", "dev_info"),
    "dev_printk_info": ("subsystem", "device"),
    "prb_data_ring": ("size_bits", "data"),
}
WORD = (1 << 64) - 1
ID_MASK = (1 << 62) - 1
RESERVED, COMMITTED, FINALIZED, REUSABLE = range(4)
EMPTY, FAILED = (3, 3), (1, 1)
"""Positions that stand for no block: of an empty line, of a record whose text was lost."""


@dataclass
class _Live:
    id: int
    begin: int


class FakeLog:
    """The ring of `guest`.

    :param records: how many the ring can hold, a power of two
    :param size: bytes of its text ring, a power of two
    :param exact_fit: as since Linux 6.19: a block that ends where the ring does is no wrap
    """

    def __init__(
        self, guest: FakeGuest, *, records: int = 64, size: int = 4096, exact_fit: bool = False
    ) -> None:
        self.guest, self.records, self.size, self.exact_fit = guest, records, size, exact_fit
        guest.types.declare(TYPES)
        self.text = guest.data("__log_buf", size, kind="b")
        self.descs = guest.data("_printk_rb_static_descs", records * 24)
        self.infos = guest.data("_printk_rb_static_infos", records * self._size("printk_info"))
        self.ring = guest.variable("printk_rb_static", "struct printk_ringbuffer")
        guest.number("prb", self.ring.address)
        self._live: list[_Live] = []
        self._next_id = -(records + 1) + 1 & ID_MASK
        self._lpos = -size & WORD
        self._seq = 0
        self.ring["desc_ring.count_bits"] = records.bit_length() - 1
        self.ring["desc_ring.descs"] = self.descs
        self.ring["desc_ring.infos"] = self.infos
        self.ring["text_data_ring.size_bits"] = size.bit_length() - 1
        self.ring["text_data_ring.data"] = self.text
        self._set_ids(tail=self._next_id - 1 & ID_MASK)
        # The descriptor that is there before the first record.
        self.desc(-1)["state_var.counter"] = REUSABLE << 62 | self._next_id - 1 & ID_MASK
        guest.extra += self._vmcoreinfo()

    def add(
        self,
        text: str | bytes,
        *,
        at: float = 0.0,
        level: int = 6,
        facility: int = 0,
        caller: int = 1,
        subsystem: str = "",
        device: str = "",
        continued: bool = False,
        finished: bool = True,
        lost: bool = False,
    ) -> FakeStruct:
        """A record; gives its printk_info.

        :param at: seconds since boot
        :param continued: LOG_CONT, the start of a pr_cont of its own
        :param finished: else committed only, so that more may be appended
        :param lost: its text did not fit
        """
        raw = text.encode() if isinstance(text, str) else text
        position = self._lpos
        begin, after = FAILED if lost else EMPTY if not raw else self._block(len(raw))
        if len(self._live) == self.records:
            self._drop()
        number, self._next_id = self._next_id, self._next_id + 1 & ID_MASK
        self._live.append(_Live(number, position))
        if begin & 1 == 0:
            start = 0 if (begin ^ after - 1) & WORD & -self.size else begin % self.size
            self.guest.space.write(self.text + start, struct.pack("<Q", number) + raw)
        info = self.info(number % self.records)
        info.set(seq=self._seq, ts_nsec=round(at * 1e9), text_len=len(raw), caller_id=caller)
        info.set(facility=facility, level=level, flags=8 * continued | 2)
        info["dev_info.subsystem"] = subsystem.encode()
        info["dev_info.device"] = device.encode()
        self._seq += 1
        desc = self.desc(number % self.records)
        desc.set(**{"text_blk_lpos.begin": begin, "text_blk_lpos.next": after})
        desc["state_var.counter"] = (FINALIZED if finished else COMMITTED) << 62 | number
        self._set_ids()
        return info

    def desc(self, index: int) -> FakeStruct:
        """Descriptor `index` of the ring."""
        return self.guest.at(self.descs + index % self.records * 24, "struct prb_desc")

    def info(self, index: int) -> FakeStruct:
        """printk_info `index` of the ring."""
        place = self.infos + index % self.records * self._size("printk_info")
        return self.guest.at(place, "struct printk_info")

    def _block(self, length: int) -> tuple[int, int]:
        """Positions of a new block; drops what it overwrites."""
        size = -(-(8 + length) // 8) * 8
        assert size <= self.size // 2, "the kernel would have cut it"
        begin, after = self._lpos, self._lpos + size & WORD
        last = after - 1 if self.exact_fit else after
        if (begin ^ last) & WORD & -self.size:
            after = (after & -self.size) + size & WORD
        while self._live and (after - self._live[0].begin & WORD) > self.size:
            self._drop()
        self._lpos = after
        return begin, after

    def _drop(self) -> None:
        oldest = self._live.pop(0)
        self.desc(oldest.id % self.records)["state_var.counter"] = REUSABLE << 62 | oldest.id

    def _set_ids(self, tail: int | None = None) -> None:
        first = self._live[0].id if self._live else self._next_id - 1 & ID_MASK
        self.ring["desc_ring.head_id.counter"] = self._next_id - 1 & ID_MASK
        self.ring["desc_ring.tail_id.counter"] = first if tail is None else tail
        self.ring["text_data_ring.head_lpos.counter"] = self._lpos

    def _size(self, name: str) -> int:
        return self.guest.types[f"struct {name}"].size

    def _vmcoreinfo(self) -> list[str]:
        types = self.guest.types
        symbols = {"prb": self.guest.symbols["prb"], "printk_rb_static": self.ring.address}
        return [
            *(f"SYMBOL({name})={va:x}" for name, va in symbols.items()),
            *(f"SIZE({name})={self._size(name)}" for name in OFFSETS),
            *(
                f"OFFSET({name}.{member})={types[f'struct {name}'].find(member)[0]}"
                for name, members in OFFSETS.items()
                for member in members
            ),
            "LENGTH(printk_info_subsystem)=16",
            "LENGTH(printk_info_device)=48",
            "OFFSET(atomic_long_t.counter)=0",
        ]
