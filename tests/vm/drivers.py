# SPDX-License-Identifier: MIT
"""Kernel modules of the tests' own, built for the test guest's kernel and loaded into it.

The headers come from the same packages that the guest was built of, out of the launcher's cache.
"""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

from run.base.config import Paths
from run.debian.release import open_apt
from run.guest.choice import SUITE
from run.guest.kernel import usable_headers
from run.guest.packages import resolve_kernel
from run.guest.unpack import unpack
from run.steps.steps import Steps
from tests.vm.support import BUILD_DIR, Lab

SOURCES = Path(__file__).parent / "guest"


def build_module(folder: Path, name: str) -> Path:
    """Compile ``guest/NAME.c``; gives ``NAME.ko``."""
    headers = _headers(folder / "headers")
    source = folder / name
    source.mkdir()
    (source / "Makefile").write_text(f"obj-m := {name}.o\n")
    (source / f"{name}.c").write_bytes((SOURCES / f"{name}.c").read_bytes())
    make = ["make", "-C", headers, f"M={source}", "modules"]
    done = subprocess.run(
        make, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    module = source / f"{name}.ko"
    subprocess.run(["strip", "--strip-debug", module], check=True)
    return module


def load_module(lab: Lab, number: int, module: Path) -> None:
    """Load it into a guest."""
    path = f"/run/{module.name}"
    sent = lab.ssh(
        number,
        f"base64 -d > {path} && insmod {path}",
        stdin=base64.encodebytes(module.read_bytes()).decode(),
    )
    assert sent.returncode == 0, sent


def _headers(folder: Path) -> Path:
    apt = open_apt(Paths(BUILD_DIR), SUITE, None)
    packages = resolve_kernel(apt)
    wanted = [packages.headers, packages.headers_common, packages.kbuild]
    with Steps(folder / "logs").step("headers of the guest's kernel") as step:
        for deb in apt.download(step, wanted):
            unpack(step, deb, folder)
    return usable_headers(folder, packages.release)
