# SPDX-License-Identifier: MIT
"""Where things lie: the checkout, what builds make, what is kept between checkouts."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

#: the folder that holds run/, ntbdbg/ and, in a checkout, qemu_src/
CHECKOUT = Path(__file__).resolve().parents[2]

#: a wheel has no checkout around it: it carries what builds are made of in the package itself
IS_CHECKOUT = (CHECKOUT / "qemu_src").is_dir()
SOURCES = CHECKOUT if IS_CHECKOUT else CHECKOUT / "run" / "carried"

#: the program that a wheel installs, and how it is called there
INSTALLED = "ntbdbg-run"
PROGRAM = "python3 run" if IS_CHECKOUT else INSTALLED


#: flavours of Debian's kernel that guests can have, the default first
FLAVOURS = ("amd64", "cloud-amd64", "rt-amd64")
DEFAULT_FLAVOUR = FLAVOURS[0]


def cache_dir() -> Path:
    """Downloads and finished builds of all checkouts of this user, keyed by content."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ntbdbg"


#: what is installed is not written to
DEFAULT_BUILD_DIR = CHECKOUT / "build" if IS_CHECKOUT else cache_dir() / "installed"


def launcher() -> list[str]:
    """The launcher's command line, for another process of it."""
    if IS_CHECKOUT:
        return [sys.executable, str(CHECKOUT / "run")]
    return [str(Path(sys.executable).with_name(INSTALLED))]


def spelt(words: str) -> str:
    """`words` for people, with the launcher called as they call it."""
    return words if IS_CHECKOUT else words.replace("python3 run", INSTALLED)


def program_path() -> str:
    """Where programs are looked for: as in the shell, and in sbin, which users lack there."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Paths:
    """The folders of one build.

    :param build: what ``--build-dir`` names; absolute
    """

    build: Path = DEFAULT_BUILD_DIR

    @classmethod
    def of(cls, build_dir: str | os.PathLike[str] | None) -> Paths:
        """Paths for a ``--build-dir`` as typed: relative to where the user is."""
        return cls() if build_dir is None else cls(Path(build_dir).resolve())

    @property
    def logs(self) -> Path:
        """Full output of build steps."""
        return self.build / "logs"

    @property
    def qemu(self) -> Path:
        return self.build / "qemu"

    @property
    def sanitized(self) -> Paths:
        """Where a QEMU with a sanitized device is put, beside the one for use."""
        return Paths(self.build / "sanitized")

    def flavour(self, name: str) -> Paths:
        """Where a guest with that flavour of the kernel is put; the default's place is ours."""
        return self if name == DEFAULT_FLAVOUR else Paths(self.build / "flavours" / name)

    def kernel(self, name: str) -> Paths:
        """Where a guest with a kernel of that name is put."""
        return Paths(self.build / "kernels" / name)

    @property
    def devenv(self) -> Path:
        """The git tree in which QEMU is developed."""
        return self.build / "qemu-devenv"

    @property
    def guest(self) -> Path:
        return self.build / "guest"

    @property
    def cache(self) -> Path:
        return cache_dir()
