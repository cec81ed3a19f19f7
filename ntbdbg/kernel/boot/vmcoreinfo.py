# SPDX-License-Identifier: MIT
"""VMCOREINFO: the few hundred facts a Linux kernel keeps in RAM about itself, for crash tools.

A page of text, ``KEY=VALUE`` lines, written by ``crash_save_vmcoreinfo_init`` (kernel
``kernel/vmcore_info.c``; ``kernel/crash_core.c`` before 6.9) and kept a second time as an ELF
note. Described in ``Documentation/admin-guide/kdump/vmcoreinfo.rst``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ntbdbg.arch.base import MASK
from ntbdbg.arch.known import DEFAULT, of_vmcoreinfo
from ntbdbg.errors import KernelError
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.arch.base import Architecture, Geometry

FIRST_KEY = b"OSRELEASE="

LONGEST_VALUE = 256
"""Characters; the longest real one is a release or a build id."""

_LINE = re.compile(r"([A-Z][A-Z0-9_-]*(?:\([\w.]+\))?)=([\x20-\x7e]*)")
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,5})(?:\.\d{1,5})?[\w.+~-]*")


@dataclass(frozen=True)
class Vmcoreinfo:
    """What one kernel says of itself.

    :ivar address: GPA of the text, None where a dump has it as a note
    :ivar values: every line, key to value: ``{"SYMBOL(_stext)": "ffffffff81000000", …}``
    :ivar text: the lines as they are in RAM, without what follows them
    """

    address: int | None
    values: Mapping[str, str]
    text: bytes = field(repr=False, compare=False, default=b"")

    @classmethod
    def parse(cls, address: int | None, page: bytes) -> Vmcoreinfo | None:
        """The text at the start of `page`, or None if it is none.

        Vendors add lines of their own, which are passed over if they are not understood; and the
        kernel cuts the last one where its page is full (``vmcoreinfo_append_str``).

        :param page: at most 4096 bytes are looked at; the text ends at the first NUL
        """
        text = page[:PAGE].partition(b"\0")[0]
        text = text[: text.rfind(b"\n") + 1]
        matches = map(_LINE.fullmatch, text.decode("latin-1").split("\n"))
        values = {m[1]: m[2] for m in matches if m is not None and len(m[2]) <= LONGEST_VALUE}
        whole = text.startswith(FIRST_KEY) and _RELEASE.fullmatch(values.get("OSRELEASE", ""))
        return cls(address, values, text) if whole else None

    @property
    def place(self) -> str:
        """Where the text is, in words."""
        return "in the dump's notes" if self.address is None else f"at {self.address:#x}"

    @property
    def release(self) -> str:
        """As ``uname -r`` says it: ``6.1.0-56-amd64``."""
        return self.values["OSRELEASE"]

    @property
    def build_id(self) -> str | None:
        """GNU build id in hexadecimal; None before 5.14."""
        value = self.values.get("BUILD-ID", "").lower()
        return value if re.fullmatch(r"[0-9a-f]{8,64}", value) else None

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor number: ``(6, 1)``. For messages; code asks structures."""
        match = _RELEASE.fullmatch(self.release)
        assert match is not None
        return int(match[1]), int(match[2])

    @property
    def kernel_offset(self) -> int:
        """Bytes by which KASLR moved the image; 0 without KASLR."""
        return _hexadecimal(self.values.get("KERNELOFFSET")) or 0

    @property
    def phys_base(self) -> int:
        """x86-64's: where the image is mapped to, less where it was linked for; may be < 0."""
        return self.needed_number("phys_base")

    @cached_property
    def arch(self) -> Architecture:
        """Its architecture, by the key that only its kernels have; else the most usual one."""
        return of_vmcoreinfo(self.values) or DEFAULT

    @property
    def geometry(self) -> Geometry:
        """The form of its page tables."""
        return self.arch.geometry(self)

    @property
    def swapper_pg_dir(self) -> int:
        """VA of the kernel's own top page table."""
        address = self.symbol("swapper_pg_dir")
        if address is None:
            raise self._lacks("SYMBOL(swapper_pg_dir)")
        return address

    @property
    def page_table_root(self) -> int:
        """GPA of the kernel's own top page table."""
        return self.image_to_physical(self.swapper_pg_dir)

    def image_to_physical(self, address: int) -> int:
        """GPA of a VA in the kernel image, which lies in one piece in physical memory."""
        return address - self.arch.image_offset(self) & MASK

    def symbol(self, name: str) -> int | None:
        """VA of a symbol, or None if it is not told."""
        return self.symbols.get(name)

    def number(self, name: str) -> int | None:
        """A constant or variable, or None."""
        return _decimal(self.values.get(f"NUMBER({name})"))

    def offset(self, member: str) -> int | None:
        """Byte offset of ``list_head.next``, or None."""
        return _decimal(self.values.get(f"OFFSET({member})"))

    def size(self, name: str) -> int | None:
        """``sizeof`` a structure in bytes, or None."""
        return _decimal(self.values.get(f"SIZE({name})"))

    def length(self, name: str) -> int | None:
        """Elements of an array, or None."""
        return _decimal(self.values.get(f"LENGTH({name})"))

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """VA of every symbol that it tells."""
        found = {}
        for key, value in self.values.items():
            address = _hexadecimal(value) if key.startswith("SYMBOL(") else None
            if address is not None:
                found[key[7:-1]] = address
        return found

    def needed_number(self, name: str) -> int:
        """As `number`; KernelError if it is not told."""
        value = self.number(name)
        if value is None:
            raise self._lacks(f"NUMBER({name})")
        return value

    def _lacks(self, key: str) -> KernelError:
        return KernelError(
            f"VMCOREINFO of Linux {self.release} {self.place} lacks {key}",
            hint="only x86-64 kernels since 4.13 tell it",
        )


def _decimal(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"-?\d{1,20}", text):
        return None
    return int(text)


def _hexadecimal(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,16}", text):
        return None
    return int(text, 16)
