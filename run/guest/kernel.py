# SPDX-License-Identifier: MIT
"""The kernel, and the NTB drivers that Debian does not build, compiled for it.

Debian's configuration has no CONFIG_NTB, so drivers/ntb of the same source version is built out of
tree. Where Debian's kbuild does not add BTF to out-of-tree modules, pahole does it afterwards.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from run.base.errors import RunError
from run.guest import modules
from run.guest.bzimage import BzImage
from run.guest.packages import KernelPackages
from run.guest.toolchain import Toolchain, make_runnable
from run.guest.unpack import members, unpack, unpack_inner
from run.steps.steps import Step, Steps

#: what to build of drivers/ntb; not NTB_MSI, which the kernel's headers were configured without
_DRIVERS = (
    "CONFIG_NTB",
    "CONFIG_NTB_IDT",
    "CONFIG_NTB_TOOL",
    "CONFIG_NTB_PINGPONG",
    "CONFIG_NTB_PERF",
)

#: what else, for the other kind of port; built for the kernel with which it was tried
_TRANSPORT = ("CONFIG_NTB_EPF", "CONFIG_NTB_TRANSPORT")
_TRIED = re.compile(r"6\.1\.[0-9]+-[0-9]+-amd64")

_IMAGE = re.compile(r"^\./boot/vmlinuz-|^\./usr/lib/modules/[^/]+/vmlinuz$")

#: the kernel's own test of NTB hardware and drivers
SELFTEST = "tools/testing/selftests/ntb/ntb_test.sh"

#: the network interface over ntb_transport, among drivers of which nothing else is built
NETDEV = "drivers/net/ntb_netdev"

#: what a driver selects, and so cannot be had without: the cloud kernels have none of it
_SELECTS = {"CONFIG_NTB_IDT": "CONFIG_HWMON"}


def build_kernel(
    steps: Steps,
    packages: KernelPackages,
    toolchain: Toolchain,
    debs: Mapping[str, Path],
    target: Path,
    jobs: int,
) -> None:
    """Fill `target` with ``kernel`` (bzImage), ``vmlinux``, ``modules/`` (as in /lib/modules) and
    the kernel's own test of NTB drivers, ``ntb_test.sh``.

    :param debs: a package's SHA256 -> .deb
    """
    work = target / "work"
    images = [debs[package.sha256] for package in packages.images]
    with steps.step("guest: unpack the kernel") as step:
        image = _take_image(step, images, work / "image")
        modules.take_from_debs(step, images, work / "stock", target / "modules")
        for package in (packages.headers, packages.headers_common, packages.kbuild):
            unpack(step, debs[package.sha256], work / "headers")
        series = packages.source.name.removeprefix("linux-source-")
        unpack_inner(
            step,
            debs[packages.source.sha256],
            f"./usr/src/linux-source-{series}.tar.xz",
            work / "source",
            ["*/drivers/ntb/*", f"*/{NETDEV}.c", f"*/{SELFTEST}"],
        )
    with steps.step("guest: extract vmlinux"):
        shutil.copy(image, target / "kernel")
        vmlinux = BzImage.read(image).vmlinux()
        if vmlinux is None:
            raise RunError(f"{image.name}: compressed in a way that is not known")
        (target / "vmlinux").write_bytes(vmlinux)
    shutil.copy(work / "source" / SELFTEST, target)
    environment: dict[str, str] = {}
    if toolchain.packages:
        with steps.step(f"guest: unpack {toolchain.compiler}") as step:
            environment = toolchain.unpack(step, debs, work / "toolchain")
            make_runnable(work / "headers", work / "toolchain")
    _build_ntb(steps, packages, work, target, jobs, environment)
    shutil.rmtree(work)


def _take_image(step: Step, debs: Iterable[Path], scratch: Path) -> Path:
    """The bzImage: in /boot, or among the modules since Linux 7.3."""
    for deb in debs:
        names = [name for name in members(step, deb) if _IMAGE.search(name)]
        if names:
            unpack(step, deb, scratch, names)
            return scratch / names[0]
    raise RunError("the kernel's packages bring no vmlinuz")


def _build_ntb(
    steps: Steps,
    packages: KernelPackages,
    work: Path,
    target: Path,
    jobs: int,
    environment: Mapping[str, str],
) -> None:
    headers = usable_headers(work / "headers", packages.release)
    source = work / "source" / "drivers" / "ntb"
    with steps.step("guest: build the NTB drivers") as step:
        if not environment:
            # With it kbuild would call pahole by options that the host's may not know.
            (headers / "vmlinux").unlink(missing_ok=True)
        tried = _TRIED.fullmatch(packages.release) is not None
        wanted = [*_possible(headers / ".config"), *(_TRANSPORT if tried else ())]
        settings = [f"{name}=m" for name in wanted]
        make: list[str | Path] = ["make", "-C", headers, f"-j{jobs}", *settings]
        calling = {"LC_ALL": "C", **environment}
        step.run([*make, f"M={source}", "modules"], env=calling)
        netdev = (work / "source" / NETDEV).parent
        if tried:
            (netdev / "Makefile").write_text("obj-m := ntb_netdev.o\n")
            known = f"KBUILD_EXTRA_SYMBOLS={source / 'Module.symvers'}"
            step.run([*make, f"M={netdev}", known, "modules"], env=calling)
        extra = target / "modules" / "extra"
        extra.mkdir(parents=True)
        for module in sorted([*source.rglob("*.ko"), *netdev.glob("*.ko")]):
            if b"\0.BTF\0" not in module.read_bytes():
                add_types(step, module, target / "vmlinux")
            step.run(["strip", "--strip-debug", module])
            shutil.copy(module, extra)
    with steps.step("guest: index the modules") as step:
        scratch, symbols = work / "depmod", headers / "Module.symvers"
        modules.index(step, target / "modules", scratch, packages.release, symbols)


def _possible(config: Path) -> list[str]:
    """The drivers that this kernel can have."""
    lines = config.read_text().splitlines()
    set_ = {line.partition("=")[0] for line in lines if line.endswith(("=y", "=m"))}
    return [name for name in _DRIVERS if _SELECTS.get(name, name) in {*set_, name}]


def add_types(step: Step, module: Path, vmlinux: Path) -> None:
    """BTF from a module's DWARF, on top of the kernel's own."""
    flags = ("-J", "--btf_gen_floats", "--btf_base", vmlinux)
    # It calls llvm-objcopy unless told otherwise; binutils' does the same.
    step.run(["pahole", *flags, module], env={"LLVM_OBJCOPY": "objcopy"})


def usable_headers(root: Path, release: str) -> Path:
    """Headers whose Makefile points into `root` instead of the system's /usr/src."""
    headers = root / "usr" / "src" / f"linux-headers-{release}"
    makefile = headers / "Makefile"
    # `include` everywhere, and KBUILD_OUTPUT since Linux 7.3
    text = re.sub(r"(?<=[ =])/usr/src/", f"{root}/usr/src/", makefile.read_text())
    makefile.write_text(text)
    return headers
