# SPDX-License-Identifier: MIT
"""Memory of other architectures than x86-64, told by what is in it.

It is named and refused: at a PC's addresses, or in a dump for x86-64, it would be plausible and
wrong. Sources: ``Documentation/arch/arm64/booting.rst``, ``…/riscv/boot-image-header.rst``;
``arch/arm64/kernel/vmcore_info.c``, ``arch/riscv/kernel/vmcore_info.c``; ELF's e_machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.arch.known import by_elf
from ntbdbg.arch.signs import ARM64_IMAGE, DEVICE_TREE, RISCV_IMAGE, Read, foreign_heads
from ntbdbg.errors import FormatError, PathLike

if TYPE_CHECKING:
    from ntbdbg.arch.devicetree import DeviceTree

ARM64, RISCV64 = "arm64", "riscv64"
QEMU_VIRT = {ARM64: 0x4000_0000, RISCV64: 0x8000_0000}
"""Where RAM begins on QEMU's machine ``virt`` (``hw/arm/virt.c``, ``hw/riscv/virt.c``)."""

_ELF_MACHINES = {
    3: "i386", 8: "mips", 20: "powerpc", 21: "powerpc64", 22: "s390", 40: "arm", 43: "sparc64",
    183: ARM64, 243: "riscv", 258: "loongarch",
}  # fmt: skip
_UTSNAME_MACHINES = {"aarch64": ARM64}
_OTHER_MACHINES = frozenset(
    [
        "riscv64",
        "riscv32",
        "s390x",
        "ppc64",
        "ppc64le",
        "ppc",
        "loongarch64",
        "mips64",
        "mips",
        "sparc64",
        "ia64",
        "alpha",
        "parisc64",
        "armv7l",
        "i386",
        "i486",
        "i586",
        "i686",
    ]
)
"""What ``uname -m`` tells of further kernels that write such dumps."""

_VMCOREINFO_KEYS = {
    b"NUMBER(kimage_voffset)": ARM64,
    b"NUMBER(va_kernel_pa_offset)": RISCV64,
    b"NUMBER(phys_ram_base)": RISCV64,
}


class Foreign(NamedTuple):
    """Memory of another architecture.

    :ivar architecture: its name
    :ivar sign: what tells
    :ivar memory: where RAM lies, as ``(address, size)``, as far as that is known
    """

    architecture: str
    sign: str
    memory: tuple[tuple[int, int], ...] = ()

    def segments(self, size: int) -> str:
        """What ``--segments`` is to be told of `size` bytes of RAM in one file; "" if not known."""
        memory = self.memory
        if not memory and self.architecture in QEMU_VIRT:
            memory = ((QEMU_VIRT[self.architecture], size),)
        if sum(part for _, part in memory) != size:
            return ""
        starts = [sum(part for _, part in memory[:index]) for index in range(len(memory))]
        return ",".join(
            f"{base:#x}:{part:#x}:{start:#x}"
            for (base, part), start in zip(memory, starts, strict=True)
        )


def of_elf(machine: int) -> str | None:
    """The architecture of an ELF file by its e_machine; None for x86-64, or if it tells none."""
    if machine == 0 or by_elf(machine) is not None:
        return None
    return _ELF_MACHINES.get(machine, f"e_machine {machine}")


def of_utsname(machine: bytes) -> str | None:
    """As ``uname -m`` tells it; None for x86-64, or if it tells none.

    QEMU writes ``Unknown`` (its dump/dump.c), and a damaged header says anything.
    """
    name = machine.partition(b"\0")[0].decode("latin-1")
    return _UTSNAME_MACHINES.get(name, name if name in _OTHER_MACHINES else None)


def of_vmcoreinfo(text: bytes) -> str | None:
    """By the keys of a kernel's VMCOREINFO, which each architecture has of its own."""
    keys = {line.partition(b"=")[0] for line in text.splitlines()}
    return next((name for key, name in _VMCOREINFO_KEYS.items() if key in keys), None)


def of_ram(read: Read, size: int) -> Foreign | None:
    """By a kernel's image or a device tree in a RAM file of `size` bytes; None if it has neither.

    See `signs.foreign_heads` for where they are looked for.
    """
    image: Foreign | None = None
    for offset, head in foreign_heads(read, size):
        image = image or _image(head, offset)
        if head.startswith(DEVICE_TREE):
            from ntbdbg.arch import devicetree

            tree = devicetree.parse(read(offset, min(devicetree.total_size(head), size - offset)))
            if tree is not None:
                return _by_tree(tree, offset, image)
    return image


def refusal(path: PathLike, foreign: Foreign, size: int = 0) -> FormatError:
    """The error of a file that holds such memory.

    :param size: bytes of RAM in it, if they lie there one after the other
    """
    segments = foreign.segments(size) if size else ""
    return FormatError(
        path,
        None,
        f"is memory of another architecture, {foreign.architecture} ({foreign.sign}); "
        "only x86-64 is understood",
        hint="its bytes alone are shown by --segments "
        + (segments or (f"GPA:{size:#x}:0" if size else "GPA:SIZE:OFFSET")),
    )


def _image(head: bytes, offset: int) -> Foreign | None:
    """The header that these kernels keep at the start of their image."""
    if head[56:60] == ARM64_IMAGE and not any(head[32:56]):
        return Foreign(ARM64, f"its kernel's image at offset {offset:#x}")
    if head[56:60] == RISCV_IMAGE and head[48:56] == b"RISCV\0\0\0":
        return Foreign(RISCV64, f"its kernel's image at offset {offset:#x}")
    return None


def _by_tree(tree: DeviceTree, offset: int, image: Foreign | None) -> Foreign:
    sign = f"device tree {tree.compatible!r:.40} at offset {offset:#x}"
    architecture = image.architecture if image else _of_processors(tree.processors)
    return Foreign(architecture, sign, tree.memory)


def _of_processors(names: tuple[str, ...]) -> str:
    for name in names:
        if name.startswith("riscv") or ",riscv" in name:
            return RISCV64
        if name.startswith("arm,"):
            return "arm"
    return "one with a device tree"
