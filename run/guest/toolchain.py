# SPDX-License-Identifier: MIT
"""The compiler that a kernel was built with, unpacked from its suite where the host has none.

Modules want the very compiler of their kernel, and a suite's programs want its C library. So what
is unpacked is started by its own loader: each program that the host's library is too old for
becomes a short script that does so. Nothing is installed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from run.base.config import program_path
from run.base.errors import RunError
from run.debian.apt import Apt, Package
from run.guest.packages import KernelPackages
from run.guest.unpack import unpack
from run.steps.steps import Step

_LOADER = Path("usr/lib64/ld-linux-x86-64.so.2")
_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
_BIN = Path("usr/bin")

#: what the compiler's packages depend on, but modules do not: documentation, other languages' parts
_NEEDLESS = re.compile(r"-(dev|base|common|doc|locales)$|^libcc1-|^libgprofng|^libdebuginfod")
_WANTED = re.compile(r"^(lib|zlib1g|gcc-\d|cpp-\d|binutils|pahole|dwarves)")


@dataclass(frozen=True)
class Toolchain:
    """How modules for one kernel are built.

    :param compiler: ``gcc-14``
    :param packages: what to unpack; none where the host has that compiler
    """

    compiler: str
    packages: list[Package] = field(default_factory=list)

    def unpack(self, step: Step, debs: Mapping[str, Path], root: Path) -> dict[str, str]:
        """Unpack it into the empty folder `root`; gives the environment for `make`."""
        if not self.packages:
            return {}
        for folder in ("bin", "lib", "lib64"):
            (root / "usr" / folder).mkdir(parents=True)
            (root / folder).symlink_to(f"usr/{folder}")
        for package in self.packages:
            unpack(step, debs[package.sha256], root)
        loader = root / _LOADER
        if not loader.exists():
            raise RunError(f"{self.compiler}: its packages bring no {_LOADER.name}")
        _link_names(root / _BIN)
        make_runnable(root, root)
        return {"PATH": f"{root / _BIN}{os.pathsep}{program_path()}"}


def find_toolchain(kernel: KernelPackages, apt: Apt) -> Toolchain:
    """The host's own if it has that compiler and can run the kernel's programs, else `apt`'s.

    :param apt: of the release that the kernel is built in
    :raises RunError: the headers name no compiler
    """
    match = re.search(r"\bgcc-(\d+)", kernel.headers.depends)
    if match is None:
        raise RunError(f"{kernel.headers.name} names no compiler: {kernel.headers.depends!r}")
    wanted = re.search(r"\blibc6 \(>= (\d+\.\d+)", kernel.kbuild.depends)
    new_enough = wanted is None or _numbers(wanted[1]) <= host_libc()
    if new_enough and shutil.which(match[0], path=program_path()):
        return Toolchain(match[0])
    return Toolchain(match[0], closure(apt, [match[0], "binutils", "pahole"]))


def closure(apt: Apt, roots: Sequence[str]) -> list[Package]:
    """`roots` and what they need to run."""
    found: dict[str, Package] = {}
    new = list(roots)
    while new:
        found |= {package.name: package for package in apt.show(new)}
        needed = {name for each in new for name in _needs(found[each].depends)}
        new = sorted(needed - set(found))
    return sorted(found.values(), key=lambda package: package.name)


def _needs(depends: str) -> list[str]:
    """The first of each alternative, as far as it matters here."""
    names = [part.split("|")[0].split()[0].partition(":")[0] for part in depends.split(",") if part]
    return [name for name in names if _WANTED.search(name) and not _NEEDLESS.search(name)]


def host_libc() -> tuple[int, ...]:
    """Version of the host's C library; (0,) if it is not glibc."""
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return _numbers(version) if name == "glibc" else (0,)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def make_runnable(folder: Path, root: Path) -> None:
    """Have programs in `folder` started by the loader in `root`, where the host's cannot.

    The scripts find `root` from where they are if they lie in it, so that it can be moved.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.X_OK):
            continue
        if ".so" in path.suffixes:  # libraries, and the loader itself
            continue
        if _wants_libc(path) > host_libc():
            _wrap(path, root)


def _wants_libc(path: Path) -> tuple[int, ...]:
    """The newest glibc that a program names; (0,) for what is no program."""
    with path.open("rb") as file:
        head = file.read(4096)
        if not head.startswith(b"\x7fELF") or _LOADER.name.encode() not in head:
            return (0,)
        versions = re.findall(rb"\0GLIBC_(\d+\.\d+)", head + file.read())
    return max((_numbers(version.decode()) for version in versions), default=(0,))


def _wrap(path: Path, root: Path) -> None:
    real = path.with_name(f"{path.name}.elf")
    path.rename(real)
    inside = path.is_relative_to(root)
    place = f"$here/{os.path.relpath(root, path.parent)}" if inside else str(root)
    path.write_text(
        "#!/bin/sh\n"
        'here="${0%/*}"\n'
        f'exec "{place}/{_LOADER}" --library-path "{place}/{_LIBRARIES}"'
        f' --argv0 "$0" "$here/{real.name}" "$@"\n'
    )
    path.chmod(0o755)


def _link_names(folder: Path) -> None:
    """Programs under the names that kernels call them by, with and without the machine's."""
    prefix = "x86_64-linux-gnu-"
    for path in sorted(folder.iterdir()):
        short = path.name.removeprefix(prefix)
        other = folder / (short if short != path.name else f"{prefix}{path.name}")
        if not other.exists() and not other.is_symlink():
            other.symlink_to(path.name)
