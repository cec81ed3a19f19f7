# SPDX-License-Identifier: MIT
"""Damage that knows what it hits: fields of BTF, of kallsyms, of VMCOREINFO.

A random byte is mostly noise that a check finds. These lies are well-formed: an array of 2^32
elements, a structure within itself, a symbol that stands where another one is.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from ntbdbg.budget import Budget
from ntbdbg.kernel.btf.format import ITEM_WORDS, TYPE_WORDS, Kind
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.symbols.kallsyms import load_kallsyms, needed_symbols

Edit = tuple[int, bytes]
"""VA, and what is written there."""

SIZES = (0, 1, 4, 7, 256, 4000, 1 << 16, 1 << 20, 1 << 28, 0x7FFF_FFFF, 0xFFFF_FFFF)
WALKED = (
    *("task_struct", "signal_struct", "list_head", "rq", "kthread", "worker", "thread_struct"),
    *("module", "module_layout", "module_memory", "mod_kallsyms", "module_use", "taint_flag"),
    *("pci_dev", "pci_bus", "device", "resource", "device_driver", "kobject", "timekeeper"),
    *("idt_ntb_dev", "idt_ntb_peer", "idt_mw_cfg", "pp_ctx", "tool_ctx", "perf_ctx", "ntb_dev"),
    *("orc_entry", "inactive_task_frame", "page", "slab", "kmem_cache", "uts_namespace"),
    *("new_utsname", "btf_module", "btf", "printk_ringbuffer", "tk_read_base"),
)
"""Structures that commands take apart."""

ASKED = (
    *("init_task", "modules", "pci_root_buses", "runqueues", "__per_cpu_offset", "init_uts_ns"),
    *("__start_BTF", "__stop_BTF", "__cpu_possible_mask", "__cpu_online_mask", "linux_banner"),
    *("__start_orc_unwind", "__stop_orc_unwind", "__start_orc_unwind_ip", "panic_cpu", "tk_core"),
    *("__stop_orc_unwind_ip", "_text", "_end", "_stext", "taint_flags", "jiffies_64", "pp_ops"),
    *("saved_command_line", "_totalram_pages", "btf_modules", "boot_params", "vmemmap_base"),
)


class TypeEdits:
    """Of the BTF of vmlinux."""

    def __init__(self, kernel: Kernel) -> None:
        self._btf = kernel.btf
        self._start = kernel.symbol("__start_BTF").address
        self._types = self._start + int.from_bytes(self._btf.data[4:8], "little")
        self._known = list(self._interesting())

    def edits(self, chance: random.Random) -> list[Edit]:
        """One lie about one type, or about all of them."""
        if chance.random() < 0.05:
            at = chance.randrange(0, 24, 4)
            return [(self._start + at, _word(chance.choice((*SIZES, 0xEB9F, 0x1_EB9F))))]
        number = chance.choice(self._known)
        change = chance.choice((self._head, self._item, self._item, self._size))
        return [change(chance, number)]

    def _interesting(self) -> Iterator[int]:
        """Types that are walked, what their members are, and some others."""
        for name in WALKED:
            for number in self._btf.all_by_name(Kind.STRUCT, name):
                yield number
                yield from (member.type for member in self._btf.members(number) if member.type)
        yield from range(1, len(self._btf), max(1, len(self._btf) // 64))

    def _place(self, number: int, word: int) -> int:
        return self._types + 4 * (self._btf._row(number)[1] + word)

    def _head(self, chance: random.Random, number: int) -> Edit:
        """Its name, kind, flag or number of items."""
        entry = self._btf.entry(number)
        kind, length, flag = int(entry.kind), entry.length, entry.flag
        what = chance.randrange(4)
        if what == 0:
            return self._place(number, 0), _word(chance.randrange(1 << 16))
        if what == 1:
            kind = chance.randrange(1, 32)
        elif what == 2:
            length = chance.choice((0, 1, length + 1, 0xFFFF))
        else:
            flag = not flag
        return self._place(number, 1), _word(kind << 24 | length | flag << 31)

    def _size(self, chance: random.Random, number: int) -> Edit:
        """Its size, or what it leads to; an array's length."""
        if self._btf.kind(number) is Kind.ARRAY:
            return self._place(number, TYPE_WORDS + 2), _word(chance.choice(SIZES))
        types = (number, chance.randrange(len(self._btf)))
        return self._place(number, 2), _word(chance.choice((*SIZES, *types)))

    def _item(self, chance: random.Random, number: int) -> Edit:
        """A word of one member or enumerator: its name, type or offset."""
        entry = self._btf.entry(number)
        width = ITEM_WORDS.get(entry.kind, 0)
        if not width or not entry.length:
            return self._size(chance, number)
        item, word = chance.randrange(entry.length), chance.randrange(width)
        other = chance.choice((number, chance.choice(self._known), chance.randrange(1 << 14)))
        value = chance.choice((*SIZES, 8 * chance.choice(SIZES) & 0xFF_FFFF, other))
        return self._place(number, TYPE_WORDS + width * item + word), _word(value)


class SymbolEdits:
    """Of kallsyms."""

    def __init__(self, kernel: Kernel) -> None:
        self._places = needed_symbols(kernel.info)
        known = load_kallsyms(kernel.virtual, kernel.info, Budget())
        self._offsets = struct.unpack(f"<{known.tables.count}I", known.tables.offsets)
        self._spelled = {name[1:]: index for index, name in enumerate(known.names)}
        self._asked = [self._spelled[name] for name in ASKED if name in self._spelled]
        self._size = len(known.tables.names)

    def edits(self, chance: random.Random) -> list[Edit]:
        """A symbol that is elsewhere, or a table that contradicts itself."""
        if chance.random() < 0.6:
            index = chance.choice(self._asked)
            other = chance.choice((*self._asked, chance.randrange(len(self._offsets))))
            offset = self._offsets[other] + chance.choice((0, 0, 1, 8, 4096, 1 << 28))
            value = chance.choice((offset, offset, chance.getrandbits(32)))
            return [(self._places["offsets"] + 4 * index, _word(value))]
        what = chance.choice(("num_syms", "names", "token_table", "token_index"))
        if what == "num_syms":
            count = len(self._offsets)
            return [(self._places[what], _word(chance.choice((*SIZES, count - 1, count + 1))))]
        if what == "token_index":
            at = 2 * chance.randrange(256)
            return [(self._places[what] + at, struct.pack("<H", chance.getrandbits(16)))]
        room = self._size if what == "names" else 256
        return [(self._places[what] + chance.randrange(room), chance.randbytes(1))]


class TextEdits:
    """Of VMCOREINFO, wherever copies of it lie: GPAs, not VAs."""

    VALUES = (
        *("0", "1", "-1", "4096", "ffffffffffffffff", "ffffffff81000000", "18446744073709551616"),
        *("", "zzz", "0x10", "9" * 5000, "\x00", "\xff"),
    )

    def __init__(self, text: bytes) -> None:
        self._lines = text.decode("latin-1").split("\n")
        self._size = len(text)

    def text(self, chance: random.Random) -> bytes:
        """Another one of the same length, with a line changed, gone, or there twice."""
        lines = list(self._lines)
        at = chance.randrange(len(lines))
        key, _, value = lines[at].partition("=")
        what = chance.randrange(5)
        if what == 0:
            del lines[at]
        elif what == 1:
            lines.insert(chance.randrange(len(lines)), lines[at])
        elif what == 2:
            lines[at] = f"{key}={chance.choice(lines).partition('=')[2]}"
        elif what == 3 and value[:1].isalnum():
            moved = chance.choice("0123456789abcdef") + value[1:]
            lines[at] = f"{key}={moved}"
        else:
            lines[at] = f"{key}={chance.choice(self.VALUES)}"
        made = "\n".join(lines).encode("latin-1")
        return made[: self._size].ljust(self._size, b"\0")


def _word(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFF_FFFF)
