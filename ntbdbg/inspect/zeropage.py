# SPDX-License-Identifier: MIT
"""Linux' x86 boot parameters ("zero page") and the memory map in them.

Layout: Linux 6.1 ``arch/x86/include/uapi/asm/bootparam.h`` and
``Documentation/x86/zero-page.rst``; a test compares it with the header of the C library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from construct import Array, Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from ntbdbg.arch.signs import ZERO_PAGE
from ntbdbg.arch.x86.e820 import MAGIC_OFFSET, ZERO_PAGE_SIZE, looks_filled
from ntbdbg.inspect.search import search
from ntbdbg.inspect.value import literal

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

SIZE = ZERO_PAGE_SIZE
MAX_CANDIDATES = 4096
"""Magics looked at before a search is given up; a guest may be full of them."""

u8, u16, u32, u64 = Int8ul, Int16ul, Int32ul, Int64ul

E820_ENTRY = Struct(
    "addr" / u64 * "start",
    "size" / u64 * "bytes",
    "type" / u32 * "kind of memory",
)

SETUP_HEADER = Struct(
    "setup_sects" / u8 * "size of the real-mode code in sectors",
    "root_flags" / u16,
    "syssize" / u32 * "size of the protected-mode code in 16-byte units",
    "ram_size" / u16,
    "vid_mode" / u16,
    "root_dev" / u16,
    "boot_flag" / u16 * "0xaa55",
    "jump" / u16,
    "header" / u32 * '"HdrS"',
    "version" / u16 * "boot protocol, major in the high byte",
    "realmode_swtch" / u32,
    "start_sys_seg" / u16,
    "kernel_version" / u16,
    "type_of_loader" / u8 * "high digit: boot loader (0xb: QEMU)",
    "loadflags" / u8 * "bit 0 loaded high, 1 KASLR, 5 quiet, 6 keep segments, 7 can use heap",
    "setup_move_size" / u16,
    "code32_start" / u32,
    "ramdisk_image" / u32 * "initrd: address",
    "ramdisk_size" / u32 * "initrd: bytes",
    "bootsect_kludge" / u32,
    "heap_end_ptr" / u16,
    "ext_loader_ver" / u8,
    "ext_loader_type" / u8,
    "cmd_line_ptr" / u32 * "kernel command line: address",
    "initrd_addr_max" / u32,
    "kernel_alignment" / u32,
    "relocatable_kernel" / u8,
    "min_alignment" / u8 * "power of two",
    "xloadflags" / u16,
    "cmdline_size" / u32 * "longest command line",
    "hardware_subarch" / u32,
    "hardware_subarch_data" / u64,
    "payload_offset" / u32,
    "payload_length" / u32,
    "setup_data" / u64 * "list of struct setup_data: address",
    "pref_address" / u64 * "preferred load address",
    "init_size" / u32 * "memory needed while starting",
    "handover_offset" / u32,
    "kernel_info_offset" / u32,
)

EFI_INFO = Struct(
    "efi_loader_signature" / u32,
    "efi_systab" / u32,
    "efi_memdesc_size" / u32,
    "efi_memdesc_version" / u32,
    "efi_memmap" / u32,
    "efi_memmap_size" / u32,
    "efi_systab_hi" / u32,
    "efi_memmap_hi" / u32,
)

BOOT_PARAMS = Struct(
    "screen_info" / Bytes(0x40),
    "apm_bios_info" / Bytes(0x14),
    "_pad2" / Bytes(4),
    "tboot_addr" / u64,
    "ist_info" / Bytes(0x10),
    "acpi_rsdp_addr" / u64 * "ACPI root pointer: address",
    "_pad3" / Bytes(8),
    "hd0_info" / Bytes(16),
    "hd1_info" / Bytes(16),
    "sys_desc_table" / Bytes(16),
    "olpc_ofw_header" / Bytes(16),
    "ext_ramdisk_image" / u32 * "high half",
    "ext_ramdisk_size" / u32 * "high half",
    "ext_cmd_line_ptr" / u32 * "high half",
    "_pad4" / Bytes(112),
    "cc_blob_address" / u32,
    "edid_info" / Bytes(128),
    "efi_info" / EFI_INFO,
    "alt_mem_k" / u32,
    "scratch" / u32,
    "e820_entries" / u8 * "entries of e820_table in use",
    "eddbuf_entries" / u8,
    "edd_mbr_sig_buf_entries" / u8,
    "kbd_status" / u8,
    "secure_boot" / u8,
    "_pad5" / Bytes(2),
    "sentinel" / u8 * "0xff: the boot loader was careless",
    "_pad6" / Bytes(1),
    "hdr" / SETUP_HEADER,
    "_pad7" / Bytes(0x290 - 0x1F1 - SETUP_HEADER.sizeof()),
    "edd_mbr_sig_buffer" / u32[16],
    "e820_table" / Array(128, E820_ENTRY),
    "_pad8" / Bytes(48),
    "eddbuf" / Bytes(6 * 82),
    "_pad9" / Bytes(276),
)


def find_boot_params(
    memory: PhysicalMemory, progress: Callable[[int, int], None] | None = None
) -> list[int]:
    """Addresses of everything that looks like a filled-in zero page, lowest first.

    The kernel keeps a copy in its data; the boot loader's own, below 1 MiB, may be half
    overwritten. The header inside a kernel image is not taken: it has no memory map.
    """
    return list(_candidates(memory, progress))


def _candidates(
    memory: PhysicalMemory, progress: Callable[[int, int], None] | None
) -> Iterator[int]:
    hits = search(memory, literal(ZERO_PAGE), limit=MAX_CANDIDATES, progress=progress)
    for hit in hits:
        start = hit.address - MAGIC_OFFSET
        segment = memory.segments.find(start) if start >= 0 else None
        if segment and start + SIZE <= segment.end and looks_filled(memory.read(start, SIZE)):
            yield start
