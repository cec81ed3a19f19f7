# SPDX-License-Identifier: MIT
"""Which Debian packages the guest is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cmp_to_key

from run.base.errors import RunError
from run.debian.apt import Apt, Package, compare, is_of
from run.guest.choice import DEFAULT, DebianKernel

#: programs, and the libraries they need; what is not needed stays out of the initramfs
PROGRAMS = (
    "busybox-static",
    "bash",
    "coreutils",
    "diffutils",
    "dropbear-bin",
    "iperf3",
    "kmod",
)
LIBRARIES = (
    "libacl1",
    "libattr1",
    "libc6",
    "libcrypt1",
    "libgmp10",
    "libiperf0",
    "liblzma5",
    "libpcre2-8-0",
    "libsctp1",
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
    """The packages of one kernel build, all of one version.

    :param images: with its bzImage and modules; three since Linux 7.3, one before
    """

    flavour: str
    release: str
    images: list[Package]
    headers: Package
    headers_common: Package
    kbuild: Package
    source: Package

    def all(self) -> list[Package]:
        return [*self.images, self.headers, self.headers_common, self.kbuild, self.source]


def resolve_kernel(apt: Apt, choice: DebianKernel = DEFAULT) -> KernelPackages:
    """Find the kernel that is meant and everything that belongs to it.

    :raises RunError: the archive has no such kernel, or is in between two versions
    """
    image = _image(apt, choice) if choice.version else _newest(apt, choice)
    release = image.name.removeprefix("linux-image-")
    version = image.version if choice.version else ""
    (headers,) = apt.show([f"linux-headers-{release}"], version)
    names = [*_parts(image), *_build_names(release, choice.flavour, headers)]
    packages = apt.show(names, version)
    found = [image, headers, *packages]
    if len({package.version for package in found}) != 1:
        versions = ", ".join(f"{p.name} {p.version}" for p in found)
        raise RunError(
            f"the mirror has kernel packages of different versions: {versions}",
            hint="it is being updated; try again in an hour",
        )
    *parts, common, kbuild, source = packages
    return KernelPackages(choice.flavour, release, [image, *parts], headers, common, kbuild, source)


def _newest(apt: Apt, choice: DebianKernel) -> Package:
    """The image that the flavour's metapackage means."""
    name = f"linux-image-{choice.flavour}"
    if name not in apt.names(name):
        flavours = [other.removeprefix("linux-image-") for other in apt.names("linux-image-")]
        there = [each for each in flavours if re.fullmatch(r"([a-z]+-)?amd64", each)]
        raise RunError(
            f"{choice.suite} has no kernel of flavour {choice.flavour}",
            hint=f"it has {', '.join(there)}" if there else "is the mirror whole?",
        )
    (meta,) = apt.show([name])
    match = re.search(r"linux-image-[0-9]\S+", meta.depends)
    if match is None:
        raise RunError(f"{name} {meta.version} depends on no kernel: {meta.depends!r}")
    return apt.show([match[0]])[0]


def _image(apt: Apt, choice: DebianKernel) -> Package:
    """The newest image whose version begins as wanted."""
    pattern = re.compile(rf"linux-image-[0-9][0-9.]*([-+~][0-9a-z.]*[0-9])?-{choice.flavour}")
    names = [name for name in apt.names("linux-image-") if pattern.fullmatch(name)]
    there = sorted(apt.versions(names), key=_by_version)
    found = [package for package in there if is_of(package.version, choice.version)]
    if not found:
        versions = ", ".join(dict.fromkeys(package.version for package in reversed(there)))
        raise RunError(
            f"{choice.suite} has no kernel {choice.version} of flavour {choice.flavour}",
            hint=f"it has {versions}" if there else "is that a flavour of Debian's?",
        )
    return found[-1]


@cmp_to_key
def _by_version(one: Package, other: Package) -> int:
    return compare(one.version, other.version)


def _parts(image: Package) -> list[str]:
    """What the image is split into, if it only depends on its parts."""
    release = image.name.removeprefix("linux-image-")
    names = re.findall(r"linux-[a-z]+-[0-9]\S+", image.depends)
    return [name for name in dict.fromkeys(names) if name.endswith(f"-{release}")]


def _build_names(release: str, flavour: str, headers: Package) -> list[str]:
    """What modules are built with: common headers, programs, source."""
    abi = release.removesuffix(f"-{flavour}")
    series = ".".join(re.split(r"[.+-]", release)[:2])
    common = "common-rt" if flavour.startswith("rt-") else "common"
    defaults = (f"linux-headers-{abi}-{common}", f"linux-kbuild-{series}")
    patterns = (r"linux-headers-\S+-common\S*", r"linux-kbuild-\S+")
    found = []
    for pattern, default in zip(patterns, defaults, strict=True):
        match = re.search(pattern, headers.depends)
        found.append(match[0].rstrip(",") if match else default)
    return [*found, f"linux-source-{series}"]
