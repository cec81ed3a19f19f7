# SPDX-License-Identifier: MIT
"""Which Debian packages the guest is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from run.base.config import DEFAULT_FLAVOUR
from run.base.errors import RunError
from run.debian.apt import Package

#: the release whose kernel and programs the guest runs
SUITE = "bookworm"

#: programs, and the libraries they need; what is not needed stays out of the initramfs
PROGRAMS = (
    "busybox-static",
    "bash",
    "coreutils",
    "diffutils",
    "dropbear-bin",
    "kmod",
)
LIBRARIES = (
    "libacl1",
    "libattr1",
    "libc6",
    "libcrypt1",
    "libgmp10",
    "liblzma5",
    "libpcre2-8-0",
    "libselinux1",
    "libssl3",
    "libtinfo6",
    "libtomcrypt1",
    "libtommath1",
    "libzstd1",
    "zlib1g",
)


@dataclass(frozen=True)
class KernelPackages:
    """The packages of one kernel build, all of one version."""

    flavour: str
    release: str
    image: Package
    headers: Package
    headers_common: Package
    kbuild: Package
    source: Package

    def all(self) -> list[Package]:
        return [self.image, self.headers, self.headers_common, self.kbuild, self.source]


def resolve_kernel(
    show: Callable[[Sequence[str]], list[Package]], flavour: str = DEFAULT_FLAVOUR
) -> KernelPackages:
    """Find the kernel that the metapackage means and everything that belongs to it.

    :param show: looks packages up by name (`Apt.show`)
    :param flavour: of the kernel: its metapackage is ``linux-image-FLAVOUR``
    :raises RunError: the archive is in between two versions
    """
    name = f"linux-image-{flavour}"
    (meta,) = show([name])
    match = re.search(r"linux-image-(\S+)", meta.depends)
    if match is None:
        raise RunError(f"{name} {meta.version} depends on no kernel: {meta.depends!r}")
    release = match[1]
    abi = release.removesuffix(f"-{flavour}")
    common = "common-rt" if flavour.startswith("rt-") else "common"
    series = ".".join(release.split(".")[:2])
    names = (
        f"linux-image-{release}",
        f"linux-headers-{release}",
        f"linux-headers-{abi}-{common}",
        f"linux-kbuild-{series}",
        f"linux-source-{series}",
    )
    packages = show(names)
    if len({package.version for package in packages}) != 1:
        versions = ", ".join(f"{p.name} {p.version}" for p in packages)
        raise RunError(
            f"the mirror has kernel packages of different versions: {versions}",
            hint="it is being updated; try again in an hour",
        )
    return KernelPackages(flavour, release, *packages)
