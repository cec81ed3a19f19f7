# SPDX-License-Identifier: MIT
"""System packages that the launcher's work needs, and which of them are missing.

To add one, add a line to `NEEDS`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.config import program_path
from run.base.forroot import for_root

DPKG_STATUS = Path("/var/lib/dpkg/status")


@dataclass(frozen=True)
class Need:
    """One thing that must be installed.

    :param package: its Debian package; ``a|b`` where releases name it differently
    :param probe: how to see it where there is no dpkg: a program, or ``pkg-config:MODULE``
    """

    package: str
    probe: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.package.split("|"))


_ARCHIVE = (
    Need("apt", "apt-get"),
    Need("debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    Need("xz-utils", "xz"),
)
_COMPILER = (Need("gcc", "gcc"), Need("libc6-dev", "gcc"), Need("make", "make"))

#: what for -> what it needs
NEEDS: dict[str, tuple[Need, ...]] = {
    "qemu": (
        *_ARCHIVE,
        *_COMPILER,
        Need("bison", "bison"),
        Need("dpkg-dev", "dpkg-source"),
        Need("flex", "flex"),
        Need("libattr1-dev", "pkg-config:libattr"),
        Need("libfdt-dev", "pkg-config:libfdt"),
        Need("libglib2.0-dev", "pkg-config:glib-2.0"),
        Need("libpixman-1-dev", "pkg-config:pixman-1"),
        Need("libslirp-dev", "pkg-config:slirp"),
        Need("ninja-build", "ninja"),
        Need("patch", "patch"),
        Need("pkg-config", "pkg-config"),
        Need("python3-venv", "python3"),
    ),
    "guest": (
        *_ARCHIVE,
        *_COMPILER,
        Need("binutils", "strip"),
        Need("kmod", "depmod"),
        Need("libelf1", "gcc"),  # objtool of Debian's kernel headers is linked with it
        Need("lz4", "lz4"),  # Debian's cloud kernels are packed by it
        Need("pahole|dwarves", "pahole"),
    ),
    "run": (Need("openssh-client", "ssh"),),
    "devenv": (
        *_ARCHIVE,
        Need("dpkg-dev", "dpkg-source"),
        Need("git", "git"),
        Need("patch", "patch"),
    ),
    # bitbake's own list, without what the others have
    "yocto": (
        *_COMPILER,
        Need("chrpath", "chrpath"),
        Need("cpio", "cpio"),
        Need("diffstat", "diffstat"),
        Need("file", "file"),
        Need("g++", "g++"),
        Need("gawk", "gawk"),
        Need("git", "git"),
        Need("locales", "locale"),
        Need("lz4", "lz4"),
        Need("patch", "patch"),
        Need("rpcsvc-proto", "rpcgen"),
        Need("wget", "wget"),
        Need("xz-utils", "xz"),
        Need("zstd", "zstd"),
    ),
    "test": (
        Need("binutils", "readelf"),
        Need("chromium", "chromium"),
        # crash, gdb, makedumpfile and libkdumpfile open the dumps that we write
        Need("crash", "crash"),
        Need("diffutils", "cmp"),
        Need("dpkg-dev", "dpkg-source"),
        Need("gdb", "gdb"),
        Need("git", "git"),
        Need("gpg", "gpg"),  # tests sign archives of their own
        Need("gpg-agent", "gpg-agent"),
        Need("makedumpfile", "makedumpfile"),
        Need("openssh-client", "ssh"),
        Need("patch", "patch"),
        Need("python3-libkdumpfile", "/usr/lib/python3/dist-packages/kdumpfile/__init__.py"),
        Need("strace", "strace"),
        Need("xxd", "xxd"),
    ),
    "bench": (
        *_COMPILER,  # programs for guests
        Need("diffutils", "cmp"),
        Need("grep", "grep"),
        Need("ripgrep", "rg"),
        Need("xxd", "xxd"),
    ),
}

PURPOSES = {
    "qemu": "build QEMU",
    "guest": "build the guest",
    "run": "log in to guests",
    "devenv": "develop QEMU",
    "yocto": "build the Yocto image",
    "test": "run the tests",
    "bench": "run the benchmarks",
}

#: nobody needs these but who works on this project, or wants the Yocto image
OPTIONAL = frozenset({"bench", "devenv", "test", "yocto"})


def lacking(
    purposes: Iterable[str],
    *,
    status: Path = DPKG_STATUS,
    probe: Callable[[str], bool] | None = None,
) -> list[Need]:
    """What is missing for `purposes` (keys of `NEEDS`), each thing once.

    :param status: dpkg's data base; where there is none, programs and libraries are looked for
    """
    named = {need.package: need for purpose in purposes for need in NEEDS[purpose]}
    needs = [named[package] for package in sorted(named)]
    try:
        text = status.read_text(encoding="utf-8", errors="replace")
    except OSError:
        look = probe or is_there
        return [need for need in needs if not look(need.probe)]
    present = installed(text)
    return [need for need in needs if present.isdisjoint(need.names)]


def installed(status: str) -> set[str]:
    """Names of installed packages, and of what they provide, in the text of dpkg's data base."""
    names: set[str] = set()
    for entry in status.split("\n\n"):
        if not re.search(r"^Status: \S+ \S+ installed$", entry, re.MULTILINE):
            continue
        if match := re.search(r"^Package: (\S+)$", entry, re.MULTILINE):
            names.add(match[1])
        if match := re.search(r"^Provides: (.+)$", entry, re.MULTILINE):
            names |= {item.split()[0].partition(":")[0] for item in match[1].split(",")}
    return names


def is_there(probe: str) -> bool:
    """Whether this host has what `probe` (see `Need`) means."""
    kind, colon, name = probe.partition(":")
    if colon:
        if shutil.which(kind) is None:
            return False
        argv = [kind, "--exists", name]
        return subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode == 0
    if probe.startswith("/"):
        return Path(probe).exists()
    return shutil.which(probe, path=program_path()) is not None


def choose(need: Need, known: Callable[[str], bool]) -> str:
    """The package of `need` that this release has."""
    return next((name for name in need.names if known(name)), need.names[0])


def mend_command(packages: Sequence[str]) -> str:
    """What a user types to get `packages`."""
    return for_root("apt-get update", " ".join(install_argv(packages)))


def install_argv(packages: Sequence[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]
