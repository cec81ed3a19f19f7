# SPDX-License-Identifier: MIT
"""Writes what guests of other architectures leave in RAM: device trees, kernel images, VMCOREINFO.

From the specifications (Devicetree 0.4 chapter 5; Linux' booting.rst of arm64, boot-image-header of
riscv); it shares nothing with what reads it.
"""

from __future__ import annotations

import struct

STEP = 2 << 20

MACHINES = {
    "arm64": ("linux,dummy-virt", "arm,cortex-a72", 0x4000_0000),
    "riscv64": ("riscv-virtio,qemu", "riscv", 0x8000_0000),
}
"""Of QEMU's machine ``virt``: compatible of it and of its processors, where RAM begins."""

_OWN_KEYS = {
    "arm64": (
        "NUMBER(VA_BITS)=52\nNUMBER(kimage_voffset)=0xffffa15182800000\n"
        "NUMBER(PHYS_OFFSET)=0x40000000\nKERNELOFFSET=215142a00000\n"
        "NUMBER(KERNELPACMASK)=0xfff0000000000000\n"
    ),
    "riscv64": (
        "NUMBER(phys_ram_base)=2147483648\nNUMBER(VA_BITS)=57\n"
        "NUMBER(KERNEL_LINK_ADDR)=0xffffffff80000000\n"
        "NUMBER(va_kernel_pa_offset)=0xfffffffeffe00000\n"
    ),
}
_RELEASES = {"arm64": "6.12.117-arm64", "riscv64": "6.12.117-riscv64"}


def vmcoreinfo(architecture: str) -> bytes:
    """The text that a kernel of it keeps, shortened."""
    return (
        f"OSRELEASE={_RELEASES[architecture]}\nPAGESIZE=4096\n"
        "SYMBOL(init_uts_ns)=ffffffff81d69cc8\nOFFSET(uts_namespace.name)=0\n"
        "SYMBOL(swapper_pg_dir)=ffffffff81dcb000\nSYMBOL(_stext)=ffffffff80002000\n"
        + _OWN_KEYS[architecture]
    ).encode()


def image(architecture: str) -> bytes:
    """The 64 bytes that its kernel image begins with."""
    if architecture == "arm64":
        return struct.pack("<2I6Q4sI", 0x91005A4D, 0, 0, 0x26D0000, 0xA, 0, 0, 0, b"ARM\x64", 0x40)
    head = struct.pack("<2I3Q2IQ", 0x5A4D, 0, 0x200000, 0x1F00000, 0, 2, 0, 0)
    return head + b"RISCV\0\0\0" + b"RSC\x05" + bytes(4)


def device_tree(architecture: str, memory: list[tuple[int, int]]) -> bytes:
    """A flattened tree with a machine, a processor and RAM."""
    machine, processor, _ = MACHINES[architecture]
    strings = b""
    out = b""

    def word(value: int) -> None:
        nonlocal out
        out += struct.pack(">I", value)

    def begin(name: str) -> None:
        nonlocal out
        word(1)
        out += name.encode() + b"\0"
        out += bytes(-len(out) % 4)

    def prop(name: str, value: bytes) -> None:
        nonlocal out, strings
        word(3)
        out += struct.pack(">II", len(value), len(strings)) + value
        out += bytes(-len(out) % 4)
        strings += name.encode() + b"\0"

    begin("")
    prop("compatible", machine.encode() + b"\0")
    prop("#address-cells", struct.pack(">I", 2))
    prop("#size-cells", struct.pack(">I", 2))
    begin("cpus")
    begin("cpu@0")
    prop("compatible", processor.encode() + b"\0")
    word(2)
    word(2)
    word(4)
    for base, size in memory:
        begin(f"memory@{base:x}")
        prop("reg", struct.pack(">QQ", base, size))
        prop("device_type", b"memory\0")
        word(2)
    word(2)
    word(9)
    at = 40 + 16
    total = at + len(out) + len(strings)
    head = struct.pack(
        ">10I", 0xD00DFEED, total, at, at + len(out), 40, 17, 16, 0, len(strings), len(out)
    )
    return head + bytes(16) + out + strings
