# SPDX-License-Identifier: MIT
"""A kernel's modules as a guest has them: those that it needs, unpacked, and their index."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from run.guest.bzimage import plain_module
from run.guest.unpack import members, unpack
from run.steps.steps import Step, StepError

#: what a guest needs of a kernel's own modules, as far as they are not built in:
#: network, disk, entropy, panic, power button, and what the NTB drivers call
NEEDED = (
    "drivers/acpi/button.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "drivers/hwmon/hwmon.ko",
    "drivers/input/evdev.ko",
    "drivers/misc/pvpanic/*.ko",
    "drivers/net/ethernet/intel/e1000/e1000.ko",
    "drivers/net/ethernet/intel/e1000e/e1000e.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_[!v]*.ko",  # virtio_vdpa wants a bus that no guest has
    "fs/9p/9p.ko",  # a folder of the host's, and what that is built on
    "fs/fscache/fscache.ko",
    "fs/netfs/netfs.ko",
    "net/9p/9pnet.ko",
    "net/9p/9pnet_virtio.ko",
    "net/core/failover.ko",
)

#: beside the modules: what is built in, and in which order drivers are to be tried
_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")

_MODULE = re.compile(r"(.*\.ko)(\.gz|\.xz|\.zst)?")

_IN_DEB = re.compile(r"\./(?:usr/)?lib/modules/[^/]+/(.+)")


def is_needed(name: str) -> bool:
    """Whether a module, named from ``kernel/`` on, is one of `NEEDED`."""
    return any(fnmatch(name, pattern) for pattern in NEEDED)


def plain_name(name: str) -> str | None:
    """A module's file name without what compression adds; None for another file."""
    match = _MODULE.fullmatch(name)
    return match[1] if match else None


def take_from_debs(step: Step, debs: Iterable[Path], scratch: Path, target: Path) -> None:
    """Fill `target` with what a guest needs of the modules in kernel packages."""
    for deb in debs:
        wanted = [name for name in members(step, deb) if _is_wanted(name)]
        if wanted:
            unpack(step, deb, scratch, wanted)
    for path in sorted(path for path in scratch.rglob("*") if path.is_file()):
        match = _IN_DEB.fullmatch(f"./{path.relative_to(scratch)}")
        if match is not None:
            copy_plain(path, target / match[1])


def _is_wanted(member: str) -> bool:
    match = _IN_DEB.fullmatch(member)
    if match is None:
        return False
    module = plain_name(match[1].removeprefix("kernel/"))
    return match[1] in _LISTS if module is None else is_needed(module)


def copy_plain(source: Path, target: Path) -> None:
    """Copy a module, unpacked, or another file as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    name = plain_name(target.name)
    if name is None:
        shutil.copy(source, target)
    else:
        target.with_name(name).write_bytes(plain_module(source.read_bytes()))


def index(step: Step, modules: Path, scratch: Path, release: str, symbols: Path | None) -> None:
    """Make the index by which modprobe finds modules in `modules`.

    :param symbols: Module.symvers of the kernel: what it exports
    :raises StepError: a module wants a symbol that neither the kernel nor another module has
    """
    # depmod wants the tree where a running system has it
    root = scratch / "lib" / "modules"
    root.mkdir(parents=True)
    (root / release).symlink_to(modules.resolve())
    known: Sequence[str | Path] = () if symbols is None else ("-e", "-E", symbols)
    output = step.run(["depmod", *known, "-b", scratch, release])
    if "unknown symbol" in output:
        raise StepError(step.name, "a module lacks its symbols", step.log, output.splitlines())
