# SPDX-License-Identifier: MIT
"""Files that tell other tools of a guest's kernel: symbols and types, from its RAM alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.mmu.virtual import read_some

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.guest import Guest

LONGEST_BANNER = 4096


@dataclass(frozen=True)
class KernelFile:
    """A file ready to be written.

    :ivar pieces: its content, in order
    :ivar symbols: how many are in it
    :ivar types: how many structures, unions and enumerations
    :ivar modules: names of those whose symbols are in it
    :ivar notes: what the user should know of it
    """

    guest: Guest
    pieces: Sequence[bytes]
    symbols: int
    types: int
    modules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.pieces))


def make_kernel_file(
    guest: Guest, form: str, path: str, version: str, *, linked: bool = False
) -> KernelFile:
    """What `guest`'s kernel tells, in one of `export.KERNEL_FORMATS`.

    :param path: where it will go; ``.xz`` and ``.gz`` are compressed
    :param version: of this program, as the file names its maker
    :param linked: of vmlinux: where it was linked, not where it lies
    :raises KernelError: the kernel is not understood, or carries no types
    """
    return _make_isf(guest, path, version) if form == "isf" else _make_vmlinux(guest, linked)


def _make_vmlinux(guest: Guest, linked: bool) -> KernelFile:
    from ntbdbg.kernel.debugfile.vmlinux import VmlinuxMaker

    made = VmlinuxMaker(guest.kernel, linked=linked).make()
    notes = tuple(made.notes)
    return KernelFile(guest, made.pieces, made.symbols, made.types, tuple(made.modules), notes)


def _make_isf(guest: Guest, path: str, version: str) -> KernelFile:
    from ntbdbg.kernel.debugfile.isf import isf

    kernel = guest.kernel
    content = isf(
        kernel.btf,
        kernel.table,
        kernel.budget,
        shift=kernel.info.kernel_offset,
        banner=_banner(kernel),
        producer={"name": "ntbdbg", "version": version},
    )
    types = len(content["user_types"]) + len(content["enums"])
    raw = json.dumps(content).encode("utf-8", "backslashreplace")
    has_more = len(kernel.info.geometry.levels) > 4
    notes = ["volatility3 reads page tables of four levels only"] * has_more
    return KernelFile(
        guest, [_compressed(path, raw)], len(content["symbols"]), types, notes=tuple(notes)
    )


def _banner(kernel: Kernel) -> bytes:
    """``linux_banner`` to its NUL, by which volatility finds the file for a memory."""
    place = kernel.symbol("linux_banner").address
    try:
        text = read_some(kernel.virtual, place, LONGEST_BANNER)
    except FaultError as error:
        raise KernelError(f"linux_banner cannot be read: {error.message}") from None
    return text.partition(b"\0")[0] + b"\0"


def _compressed(path: str, raw: bytes) -> bytes:
    if path.endswith(".xz"):
        import lzma

        return lzma.compress(raw, preset=1)
    if path.endswith(".gz"):
        import gzip

        return gzip.compress(raw, 6, mtime=0)
    return raw
