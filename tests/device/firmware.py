# SPDX-License-Identifier: MIT
"""A ROM whose only program is a loop, so that a real vCPU works on the device without pause."""

from __future__ import annotations

from tests.device.port import WINDOW_SIZE

PROGRESS = 0x300000  # where the writing loop counts its turns

READ = bytes.fromhex("8b03 ebfc")  # load from [ebx], again
# inc eax; edx = eax modulo the window; store at [ebx + edx]; store at PROGRESS; again
WRITE_WINDOW = (
    bytes.fromhex("40 89c2 81e2")
    + (WINDOW_SIZE - 4).to_bytes(4, "little")
    + bytes.fromhex("890413 a3")
    + PROGRESS.to_bytes(4, "little")
    + bytes.fromhex("ebed")
)


def looping_rom(address: int, loop: bytes) -> bytes:
    """64 KiB that enter 32-bit mode with `address` in EBX and run `loop`."""
    rom = bytearray(0x10000)
    base = 0x1_0000_0000 - len(rom)
    code = bytes.fromhex("fa 662e0f01164000 0f20c0 0c01 0f22c0")  # cli, lgdt, CR0.PE
    code += b"\x66\xea" + (base + 0x18).to_bytes(4, "little") + b"\x08\x00"
    code += bytes.fromhex("66b81000 8ed8 31c0 bb") + address.to_bytes(4, "little") + loop
    assert len(code) <= 0x40
    rom[: len(code)] = code
    rom[0x40:0x46] = (23).to_bytes(2, "little") + (base + 0x50).to_bytes(4, "little")
    rom[0x58:0x68] = bytes.fromhex("ffff0000009acf00 ffff00000092cf00")
    rom[0xFFF0:0xFFF3] = bytes.fromhex("e90d00")
    return bytes(rom)
