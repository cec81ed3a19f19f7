# SPDX-License-Identifier: MIT
"""The kernel, and the NTB drivers that Debian does not build, compiled for it.

Debian's configuration has no CONFIG_NTB, so drivers/ntb of the same source version is built out of
tree. Debian's kbuild cannot add BTF to out-of-tree modules; pahole does it afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from run.debian.apt import Package
from run.guest.packages import KernelPackages
from run.guest.unpack import unpack, unpack_inner
from run.steps.steps import StepError, Steps

#: what to build of drivers/ntb; not NTB_MSI, which the kernel's headers were configured without
_CONFIG = {
    "CONFIG_NTB": "m",
    "CONFIG_NTB_IDT": "m",
    "CONFIG_NTB_TOOL": "m",
    "CONFIG_NTB_PINGPONG": "m",
    "CONFIG_NTB_PERF": "m",
}

#: the kernel's own test of NTB hardware and drivers
SELFTEST = "tools/testing/selftests/ntb/ntb_test.sh"

#: modules of Debian's own build that a guest needs: network, disk, entropy, panic and power button
_STOCK_MODULES = (
    "drivers/acpi/button.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "drivers/input/evdev.ko",
    "drivers/misc/pvpanic/*.ko",
    "drivers/net/ethernet/intel/e1000/e1000.ko",
    "drivers/net/ethernet/intel/e1000e/e1000e.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/virtio/virtio*.ko",
    "net/core/failover.ko",
)

#: what a flavour cannot have: the cloud kernel knows no such cards, and no hwmon for the IDT driver
_LACKING = {
    "cloud-amd64": {
        "CONFIG_NTB_IDT",
        "drivers/net/ethernet/intel/e1000/e1000.ko",
        "drivers/net/ethernet/intel/e1000e/e1000e.ko",
    }
}


def build_kernel(
    steps: Steps, packages: KernelPackages, debs: Mapping[str, Path], target: Path, jobs: int
) -> None:
    """Fill `target` with ``kernel`` (bzImage), ``vmlinux``, ``modules/`` (as in /lib/modules) and
    the kernel's own test of NTB drivers, ``ntb_test.sh``.

    :param debs: package name -> .deb
    """
    work = target / "work"
    with steps.step("guest: unpack the kernel") as step:

        def deb(package: Package) -> Path:
            return debs[package.name]

        wanted = _available(packages.flavour, _STOCK_MODULES)
        stock = [f"./lib/modules/*/kernel/{name}" for name in wanted]
        extra = [
            "./boot/vmlinuz-*",
            "./lib/modules/*/modules.builtin*",
            "./lib/modules/*/modules.order",
        ]
        unpack(step, deb(packages.image), work / "image", [*stock, *extra])
        for package in (packages.headers, packages.headers_common, packages.kbuild):
            unpack(step, deb(package), work / "headers")
        series = packages.source.name.removeprefix("linux-source-")
        unpack_inner(
            step,
            deb(packages.source),
            f"./usr/src/linux-source-{series}.tar.xz",
            work / "source",
            ["*/drivers/ntb/*", "*/scripts/extract-vmlinux", f"*/{SELFTEST}"],
        )
    with steps.step("guest: extract vmlinux") as step:
        image = work / "image" / "boot" / f"vmlinuz-{packages.release}"
        shutil.copy(image, target / "kernel")
        script = 'bash "$1" "$2" > "$3"'
        extract = work / "source" / "scripts" / "extract-vmlinux"
        step.run(["bash", "-c", script, "extract", extract, image, target / "vmlinux"])
    shutil.copy(work / "source" / SELFTEST, target)
    modules = target / "modules"
    shutil.copytree(work / "image" / "lib" / "modules" / packages.release, modules)
    _build_ntb(steps, packages, work, target, jobs)
    shutil.rmtree(work)


def _available(flavour: str, names: Iterable[str]) -> list[str]:
    lacking = _LACKING.get(flavour, set())
    return [name for name in names if name not in lacking]


def _build_ntb(steps: Steps, packages: KernelPackages, work: Path, target: Path, jobs: int) -> None:
    headers = usable_headers(work / "headers", packages.release)
    source = work / "source" / "drivers" / "ntb"
    with steps.step("guest: build the NTB drivers") as step:
        settings = [f"{name}={_CONFIG[name]}" for name in _available(packages.flavour, _CONFIG)]
        make: list[str | Path] = ["make", "-C", headers, f"M={source}", f"-j{jobs}", *settings]
        step.run([*make, "modules"], env={"LC_ALL": "C"})
        extra = target / "modules" / "extra"
        extra.mkdir()
        for module in sorted(source.rglob("*.ko")):
            flags = ("-J", "--btf_gen_floats", "--btf_base", target / "vmlinux")
            # It calls llvm-objcopy unless told otherwise; binutils' does the same.
            step.run(["pahole", *flags, module], env={"LLVM_OBJCOPY": "objcopy"})
            step.run(["strip", "--strip-debug", module])
            shutil.copy(module, extra)
    with steps.step("guest: index the modules") as step:
        # depmod wants the tree where a running system has it
        root = work / "depmod" / "lib" / "modules"
        root.mkdir(parents=True)
        (root / packages.release).symlink_to((target / "modules").resolve())
        symbols = headers / "Module.symvers"
        argv: list[str | Path] = [
            "depmod",
            "-e",
            "-E",
            symbols,
            "-b",
            work / "depmod",
            packages.release,
        ]
        if "unknown symbol" in (output := step.run(argv)):
            raise StepError(step.name, "a module lacks its symbols", step.log, output.splitlines())


def usable_headers(root: Path, release: str) -> Path:
    """Headers whose Makefile points into `root` instead of the system's /usr/src."""
    headers = root / "usr" / "src" / f"linux-headers-{release}"
    makefile = headers / "Makefile"
    text = makefile.read_text().replace("include /usr/src/", f"include {root}/usr/src/")
    makefile.write_text(text)
    return headers
