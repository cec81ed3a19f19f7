# SPDX-License-Identifier: MIT
"""How the structures of printk's ring buffer are laid out, as VMCOREINFO tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

LARGEST = 4096
"""Bytes; none of these structures comes near."""

INFO_FIELDS = {"seq": 8, "ts_nsec": 8, "text_len": 2, "caller_id": 4}


@dataclass(frozen=True)
class RingLayout:
    """Byte offsets and sizes on a 64-bit kernel.

    :ivar prb: VA of the pointer to the ring
    :ivar fields: (offset, size) by name: `state_var`, `begin` and `next` in a `struct prb_desc`,
        the others in a `struct printk_info`
    :ivar packed: offset of the byte pair facility, flags and level; None if not where it was
    """

    prb: int
    count_bits: int
    descs: int
    infos: int
    head_id: int
    tail_id: int
    size_bits: int
    data: int
    desc_size: int
    info_size: int
    fields: Mapping[str, tuple[int, int]]
    packed: int | None

    @classmethod
    def of(cls, info: Vmcoreinfo) -> RingLayout:
        """The layout in the kernel that `info` describes; KernelError if it does not say."""
        told = _Told(info)
        fields = _fields(told)
        ring = told.offset("printk_ringbuffer.desc_ring")
        text = told.offset("printk_ringbuffer.text_data_ring")
        return cls(
            prb=told.symbol("prb"),
            count_bits=ring + told.offset("prb_desc_ring.count_bits"),
            descs=ring + told.offset("prb_desc_ring.descs"),
            infos=ring + told.offset("prb_desc_ring.infos"),
            head_id=ring + told.offset("prb_desc_ring.head_id"),
            tail_id=ring + told.offset("prb_desc_ring.tail_id"),
            size_bits=text + told.offset("prb_data_ring.size_bits"),
            data=text + told.offset("prb_data_ring.data"),
            desc_size=told.size("prb_desc"),
            info_size=told.size("printk_info"),
            fields=fields,
            packed=_packed(told),
        )

    def ring_address(self, memory: PhysicalMemory) -> int:
        """VA of the ring in use: the kernel starts with one and may move to a larger one."""
        return memory.word(self.prb)

    def part(self, raw: bytes, name: str) -> bytes:
        """The bytes of a field."""
        offset, size = self.fields[name]
        return raw[offset : offset + size]

    def number(self, raw: bytes, name: str) -> int:
        """The value of a field."""
        return int.from_bytes(self.part(raw, name), "little")

    def severity(self, info: bytes) -> tuple[int | None, int | None]:
        """(level, facility) of a `struct printk_info`; level shares its byte with 5 flags."""
        if self.packed is None:
            return None, None
        facility, flags = info[self.packed], info[self.packed + 1]
        return flags >> 5, facility


def _fields(told: _Told) -> dict[str, tuple[int, int]]:
    info = {name: (told.offset(f"printk_info.{name}"), size) for name, size in INFO_FIELDS.items()}
    device = told.offset("printk_info.dev_info")
    for name in ("subsystem", "device"):
        offset = device + told.offset(f"dev_printk_info.{name}")
        info[name] = offset, told.length(f"printk_info_{name}")
    block = told.offset("prb_desc.text_blk_lpos")
    desc = {"state_var": (told.offset("prb_desc.state_var"), 8)} | {
        name: (block + told.offset(f"prb_data_blk_lpos.{name}"), 8) for name in ("begin", "next")
    }
    for struct, fields in (("printk_info", info), ("prb_desc", desc)):
        if told.size(struct) < max(offset + size for offset, size in fields.values()):
            raise told.damaged(f"SIZE({struct})", told.size(struct))
    return info | desc


def _packed(told: _Told) -> int | None:
    """Not told: ``u16 text_len; u8 facility; u8 flags:5, level:3; u32 caller_id``."""
    length = told.offset("printk_info.text_len")
    fits = told.offset("printk_info.caller_id") == length + 4
    return length + 2 if fits and length + 4 <= told.size("printk_info") else None


class _Told:
    """VMCOREINFO's numbers, none of them missing or absurd."""

    def __init__(self, info: Vmcoreinfo) -> None:
        self.info = info

    def symbol(self, name: str) -> int:
        return self._needed(self.info.symbol(name), f"SYMBOL({name})", 1 << 64)

    def offset(self, name: str) -> int:
        return self._needed(self.info.offset(name), f"OFFSET({name})")

    def size(self, name: str) -> int:
        return self._needed(self.info.size(name), f"SIZE({name})")

    def length(self, name: str) -> int:
        return self._needed(self.info.length(name), f"LENGTH({name})")

    def _needed(self, value: int | None, key: str, limit: int = LARGEST) -> int:
        if value is None:
            raise KernelError(
                f"Linux {self.info.release} does not say in VMCOREINFO where its log is (no {key})",
                hint="kernels since 5.10 with CONFIG_PRINTK do; `search` may find its text",
            )
        if not 0 <= value < limit:
            raise self.damaged(key, value)
        return value

    def damaged(self, key: str, value: int) -> KernelError:
        return KernelError(
            f"VMCOREINFO of Linux {self.info.release} is damaged: {key} is {value:#x}",
            hint="`search` may still find text of the log",
        )
