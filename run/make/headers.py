# SPDX-License-Identifier: MIT
"""What modules for a guest's kernel are built with: headers, and what our NTB drivers export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from run.base.config import Paths
from run.base.errors import UsageError
from run.debian.apt import Apt
from run.debian.release import open_apt, refresh
from run.guest.choice import DebianKernel, KernelChoice, OwnKernel
from run.guest.packages import KernelPackages, resolve_kernel
from run.guest.toolchain import Toolchain, find_toolchain, make_runnable
from run.guest.unpack import unpack, unpack_inner
from run.steps.steps import Step, Steps
from run.steps.store import Store, digest

#: kernels whose headers the cache keeps, about 60 MB each
KEPT = 4

_DRIVERS = Path("ntb/drivers/ntb")


@dataclass(frozen=True)
class Headers:
    """A folder to build modules in.

    :param release: of the kernel that they are for
    :param folder: for ``make -C``
    :param symbols: Module.symvers of drivers/ntb
    :param environment: for ``make``, where the compiler is not the host's
    """

    release: str
    folder: Path
    symbols: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def prepare(
    steps: Steps, paths: Paths, kernel: KernelChoice, release: str, mirror: str | None = None
) -> Headers:
    """The headers of a guest's kernel: the folder in which it was built, or Debian's.

    :param release: of that kernel
    """
    if isinstance(kernel, DebianKernel):
        return _of_debian(steps, paths, kernel, mirror)
    return _of_folder(kernel, release)


def _of_folder(kernel: OwnKernel, release: str) -> Headers:
    if not (kernel.path / "Makefile").is_file():
        raise UsageError(
            f"{kernel}: modules cannot be built for a bzImage alone",
            hint="give the folder in which that kernel was built",
        )
    return Headers(release, kernel.path, kernel.path / "Module.symvers")


def _of_debian(steps: Steps, paths: Paths, kernel: DebianKernel, mirror: str | None) -> Headers:
    apt = open_apt(paths, kernel.suite, mirror)
    refresh(steps, apt, f"module: package lists of {kernel.suite}")
    packages = resolve_kernel(apt, kernel)
    toolchain = find_toolchain(packages, apt)
    store = Store(paths.cache / "builds")
    environment: dict[str, str] = {}

    def fill(folder: Path) -> None:
        with steps.step(f"module: headers of Linux {packages.release}") as step:
            _fill(step, apt, packages, toolchain, folder)

    root = store.make("headers", _key(packages, toolchain), fill)
    store.prune("headers", KEPT)
    if toolchain.packages:
        environment = {"PATH": (root / "path").read_text().replace("@ROOT@", str(root))}
    symbols = root / _DRIVERS / "Module.symvers"
    return Headers(packages.release, _headers(root, packages.release), symbols, environment)


def _fill(
    step: Step, apt: Apt, packages: KernelPackages, toolchain: Toolchain, folder: Path
) -> None:
    headers = (packages.headers, packages.headers_common, packages.kbuild)
    wanted = [*headers, packages.source, *toolchain.packages]
    files = apt.download(step, wanted)
    debs = {package.sha256: file for package, file in zip(wanted, files, strict=True)}
    environment = toolchain.unpack(step, debs, folder)
    for package in headers:
        unpack(step, debs[package.sha256], folder)
    if environment:
        make_runnable(folder / "usr" / "lib", folder)
        (folder / "path").write_text(environment["PATH"].replace(str(folder), "@ROOT@"))
    series = packages.source.name.removeprefix("linux-source-")
    tarball = f"./usr/src/linux-source-{series}.tar.xz"
    source = debs[packages.source.sha256]
    unpack_inner(step, source, tarball, folder / "ntb", ["*/drivers/ntb/*"])
    # Only for what it exports: the guest has its own.
    make: list[str | Path] = ["make", "-C", _movable(folder, packages.release)]
    step.run(
        [*make, f"M={folder / _DRIVERS}", "CONFIG_NTB=m", "modules"],
        env={"LC_ALL": "C", **environment},
    )


def _headers(root: Path, release: str) -> Path:
    return root / "usr" / "src" / f"linux-headers-{release}"


def _movable(root: Path, release: str) -> Path:
    """Headers whose Makefile finds the common ones beside it, wherever that is."""
    headers = _headers(root, release)
    # With it kbuild would call pahole by options that the host's may not know.
    (headers / "vmlinux").unlink(missing_ok=True)
    makefile = headers / "Makefile"
    beside = "$(dir $(lastword $(MAKEFILE_LIST)))../"
    makefile.write_text(re.sub(r"(?<=[ =])/usr/src/", beside, makefile.read_text()))
    return headers


def _key(packages: KernelPackages, toolchain: Toolchain) -> str:
    parts = [package.sha256 for package in (*packages.all(), *toolchain.packages)]
    return digest([*parts, Path(__file__).read_bytes()])
