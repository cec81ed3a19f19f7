# SPDX-License-Identifier: MIT
"""Guests for benchmarks, and programs and modules of ours put into them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from run.base.config import Paths
from run.debian.release import open_apt
from run.guest.choice import SUITE
from run.guest.kernel import usable_headers
from run.guest.packages import resolve_kernel
from run.guest.unpack import unpack
from run.reach import ssh
from run.steps.artifacts import GuestImage
from run.steps.steps import Steps
from tests.vm.support import BUILD_DIR, Lab

SOURCES = Path(__file__).with_name("guest")

#: where programs lie in a guest
PROGRAMS = "/dev/shm"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, with a short name: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ntb-", dir="/dev/shm") as name:
        yield Path(name)


@contextmanager
def lab(folder: Path, *options: str, name: str = "bench") -> Iterator[Lab]:
    """Two guests; `iomem=relaxed`, else no program may map what a driver has claimed."""
    started = Lab(folder, name, ["--cmdline-common=iomem=relaxed", *options]).start()
    try:
        yield started
    finally:
        started.stop()


def program(folder: Path, name: str) -> Path:
    """Compile guest/NAME.c so that any guest runs it."""
    source, target = SOURCES / f"{name}.c", folder / name
    subprocess.run(["cc", "-O2", "-static", "-o", target, source], check=True)
    return target


def module(folder: Path, name: str) -> Path:
    """Compile guest/NAME.c as a module for the kernel of the guest that is built."""
    paths = Paths.of(BUILD_DIR)
    apt = open_apt(paths, SUITE, None)
    packages = resolve_kernel(apt)
    wanted = GuestImage.load(paths.build).release
    if packages.release != wanted:
        raise SystemExit(f"Debian's kernel is no longer {wanted}: python3 run build guest")
    work = folder / "module"
    work.mkdir()
    shutil.copy(SOURCES / f"{name}.c", work)
    (work / "Kbuild").write_text(f"obj-m := {name}.o\n")
    with Steps(folder / "logs").step(f"bench: the module {name}") as step:
        wants = [packages.headers, packages.headers_common, packages.kbuild]
        for deb in apt.download(step, wants):
            unpack(step, deb, folder / "headers")
        headers = usable_headers(folder / "headers", packages.release)
        step.run(["make", "-C", headers, f"M={work}", "modules"], env={"LC_ALL": "C"})
    return work / f"{name}.ko"


def install(lab: Lab, number: int, file: Path) -> str:
    """Put a file into a guest, executable; gives its path there."""
    port = lab.manifest.guests[number - 1].ssh_port
    assert port is not None
    target = f"{PROGRAMS}/{file.name}"
    with file.open("rb") as source:
        words = ssh.argv(port, [f"cat > {target} && chmod +x {target}"])
        subprocess.run(words, stdin=source, check=True)
    return target
