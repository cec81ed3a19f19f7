# SPDX-License-Identifier: MIT
"""What a kernel lacks of what guests, the link and ntbdbg want, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from run.guest.bzimage import BzImage
from run.guest.choice import OwnKernel
from run.guest.ownmodules import Module

#: without these a guest does not come up, or nobody gets into it
_WANTED = (
    *("64BIT", "BINFMT_ELF", "BINFMT_SCRIPT", "BLK_DEV_INITRD", "RD_ZSTD", "DEVTMPFS", "PROC_FS"),
    *("SYSFS", "TMPFS", "UNIX98_PTYS", "SERIAL_8250_CONSOLE", "PCI_MSI", "INET", "UNIX"),
    *("VIRTIO_PCI", "VIRTIO_NET"),
)

#: the driver of the port; its name is in a kernel that has it built in
DRIVER = "ntb_hw_idt"

NTB_HINT = (
    "set CONFIG_NTB, CONFIG_NTB_IDT, CONFIG_NTB_TOOL and CONFIG_NTB_PINGPONG to m, build, and give"
    " the folder, or the installed modules with --modules"
)

#: what only a kernel with BTF, and one that writes VMCOREINFO, has among its bytes
_TYPES, _VMCOREINFO = b"\0.BTF\0", b"SYMBOL(%s)=%lx"


@dataclass(frozen=True)
class KernelFacts:
    """What there is in a kernel; None where it could not be looked at.

    :param name: how the user named it
    :param lacking: options that its configuration has not set
    """

    name: str
    ntb: bool | None
    types: bool | None
    vmcoreinfo: bool | None
    lacking: tuple[str, ...] = ()

    def notes(self) -> Iterator[str]:
        """One line for each thing that will not work."""
        if self.lacking:
            options = ", ".join(f"CONFIG_{name}" for name in self.lacking)
            yield f"{self.name}: not set are {options}; the guest may not come up without"
        if self.types is None:
            yield (
                f"{self.name}: compressed in a way that is not known here, so what is in it was not"
                " looked at; give the folder in which it was built, or build with"
                " CONFIG_KERNEL_ZSTD=y"
            )
        if self.vmcoreinfo is False:
            yield (
                f"{self.name}: no VMCOREINFO in it, so ntbdbg will find no kernel in the guest's"
                " RAM; set CONFIG_KEXEC=y and build it anew"
            )
        if self.types is False:
            yield (
                f"{self.name}: no BTF in it, so ntbdbg will know its symbols but no types; set"
                " CONFIG_DEBUG_INFO_BTF=y and build it anew"
            )


def find_facts(
    choice: OwnKernel,
    bzimage: BzImage,
    vmlinux: Path | None,
    config: Path | None,
    modules: Iterable[Module],
) -> KernelFacts:
    """Look into a kernel and its modules.

    :param vmlinux: the kernel unpacked, None where that cannot be done
    """
    data = vmlinux.read_bytes() if vmlinux is not None else None
    has_module = any(module.name == DRIVER for module in modules)
    built_in = None if data is None else f"{DRIVER}\0".encode() in data
    return KernelFacts(
        name=str(choice),
        ntb=True if has_module else built_in,
        types=None if data is None else _TYPES in data,
        vmcoreinfo=None if data is None else _VMCOREINFO in data,
        lacking=tuple(_lacking(config)) if config is not None else (),
    )


def _lacking(config: Path) -> Iterator[str]:
    lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    there = {line.partition("=")[0] for line in lines if line.endswith(("=y", "=m"))}
    return (name for name in _WANTED if f"CONFIG_{name}" not in there)
