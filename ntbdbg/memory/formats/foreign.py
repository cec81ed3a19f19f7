# SPDX-License-Identifier: MIT
"""Files that people take for guest memory and that hold none as it is, by how they begin.

Each is named, with what makes memory of it that can be read here.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ntbdbg.errors import FormatError


class Form(NamedTuple):
    """A kind of file.

    :ivar magic: the bytes at `offset`
    :ivar what: what it is
    :ivar hint: the next step, FILE being its name
    """

    magic: bytes
    what: str
    hint: str
    offset: int = 0


_MIGRATION = "start it by qemu-system-x86_64 -S -incoming 'exec:cat FILE', then dump-guest-memory"
_WINDOWS = "'vol -f FILE layerwriter' of volatility3 writes its memory; it is no Linux guest's"
_VMWARE = "'vmss2core -N6 FILE' of VMware makes a core of it and of the .vmem beside it"
_DISK = (
    "a disk has no RAM in it; a snapshot's: qemu-system-x86_64 -S -loadvm, then dump-guest-memory"
)


def _little(number: int, size: int = 4) -> bytes:
    return number.to_bytes(size, "little")


FORMS = (
    # QEMU: QEMU_VM_FILE_MAGIC, migration/savevm.c
    Form(b"QEVM", "a migration stream of QEMU (savevm, migrate to a file)", _MIGRATION),
    # libvirt: QEMU_SAVE_MAGIC, QEMU_SAVE_PARTIAL, src/qemu/qemu_saveimage.h
    Form(
        b"LibvirtQemudSave",
        "a guest saved by libvirt",
        "'virsh restore FILE --paused', then 'virsh dump --memory-only DOMAIN NEW'",
    ),
    Form(
        b"LibvirtQemudPart",
        "a guest that libvirt did not save to its end",
        "save it again: 'virsh dump --memory-only DOMAIN NEW' makes an ELF core",
    ),
    # Windows: DUMP_HEADER and DUMP_HEADER64 begin with PAGE and the kind; also QEMU's
    # include/qemu/win_dump_defs.h
    Form(b"PAGEDU64", "a crash dump of Windows (64 bits)", _WINDOWS),
    Form(b"PAGEDUMP", "a crash dump of Windows (32 bits)", _WINDOWS),
    # VMware: group headers of vmss and vmsn; volatility3, layers/vmware.py
    *(
        Form(_little(magic), "a suspended guest or snapshot of VMware (vmss, vmsn)", _VMWARE)
        for magic in (0xBED2BED0, 0xBED2BED2, 0xBED2BED3, 0xBAD1BAD1)
    ),
    # sadump: SADUMP_SIGNATURE1 and 2, makedumpfile's sadump_mod.h
    Form(
        _little(0x75646173) + _little(0x0000706D),
        "a dump of Fujitsu's sadump",
        "'makedumpfile -c -d 0 FILE NEW' makes a kdump file",
    ),
    # LKCD: DUMP_MAGIC_NUMBER and DUMP_MAGIC_LIVE, crash's lkcd_vmdump_v1.h
    *(
        Form(_little(magic, 8), "an LKCD dump, of Linux 2.4 or 2.6", "'crash' opens it")
        for magic in (0xA8190173618F23ED, 0xA8190173618F23CD)
    ),
    # Disks: QEMU, block/qcow2.h, block/vdi.c, block/vmdk.c
    Form(b"QFI\xfb", "a disk of QEMU (qcow2)", _DISK),
    Form(_little(0xBEDA107F), "a disk of VirtualBox (VDI)", _DISK, 0x40),
    Form(b"KDMV", "a disk of VMware (VMDK)", _DISK),
    Form(b"COWD", "a disk of VMware (VMDK)", _DISK),
    Form(b"# Disk Descrip", "the description of a disk of VMware (VMDK)", _DISK),
    # RFC 1952, RFC 8878, xz-file-format.txt, lz4_Frame_format.md, bzip2's own, APPNOTE.TXT
    Form(b"\x1f\x8b\x08", "compressed by gzip", "'gunzip -k FILE' unpacks it"),
    Form(b"\xfd7zXZ\0", "compressed by xz", "'unxz -k FILE' unpacks it"),
    Form(
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd",
        "'unzstd FILE' unpacks it; if it is a packed capture, name it by --from",
    ),
    Form(_little(0x184D2204), "compressed by lz4", "'unlz4 FILE NEW' unpacks it"),
    Form(_little(0x184C2102), "compressed by lz4 (legacy frames)", "'unlz4 FILE NEW' unpacks it"),
    Form(b"BZh", "compressed by bzip2", "'bunzip2 -k FILE' unpacks it"),
    Form(b"PK\x03\x04", "a zip archive", "'unzip FILE' unpacks it"),
)

HEAD = max(form.offset + len(form.magic) for form in FORMS)
"""Bytes that tell them all."""


def form_of(head: bytes) -> Form | None:
    """What a file is that begins with `head`, None for anything else."""
    forms = (f for f in FORMS if head[f.offset : f.offset + len(f.magic)] == f.magic)
    return next(forms, None)


def refuse(path: str, head: bytes) -> None:
    """Raise FormatError if the file at `path`, which begins with `head`, is one of them."""
    form = form_of(head)
    if form is not None:
        name = os.path.basename(path)
        raise FormatError(
            path,
            None,
            f"is {form.what}, not memory as it is",
            hint=f"{form.hint.replace('FILE', name)}; --machine or --segments take it for raw RAM",
        )
