# SPDX-License-Identifier: MIT
"""Which kernel a guest shall have, as ``--kernel`` names it. Nothing of it is looked at here."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from run.base.config import DEFAULT_FLAVOUR, FLAVOURS, Paths
from run.base.errors import UsageError

#: the release whose kernel and programs the guest runs, unless asked otherwise
SUITE = "bookworm"

_DEBIAN = re.compile(r"debian:([a-z][a-z-]*)(?:/([0-9][\w.+~-]*))?(?::([a-z0-9][a-z0-9-]*))?")

HINT = "give a bzImage, a kernel's build folder, or debian:SUITE[/VERSION][:FLAVOUR]"


@dataclass(frozen=True)
class DebianKernel:
    """A kernel of Debian's.

    :param version: how its package's version begins (``6.12.107``); empty for the newest
    """

    suite: str = SUITE
    version: str = ""
    flavour: str = DEFAULT_FLAVOUR

    def __str__(self) -> str:
        version = f"/{self.version}" if self.version else ""
        flavour = f":{self.flavour}" if self.flavour != DEFAULT_FLAVOUR else ""
        return f"debian:{self.suite}{version}{flavour}"

    @property
    def is_default(self) -> bool:
        return self == DEFAULT

    def home(self, paths: Paths) -> Paths:
        """The build folder of its guest."""
        if self.suite == SUITE and not self.version and self.flavour in FLAVOURS:
            return paths.flavour(self.flavour)
        return paths.kernel(str(self).replace(":", "-").replace("/", "-"))


DEFAULT = DebianKernel()


@dataclass(frozen=True)
class OwnKernel:
    """A kernel that the user built: a bzImage, or the folder in which it was built.

    :param modules: where its modules were installed; what goes with a bzImage
    :param initrd: the user's own first root file system instead of ours
    """

    path: Path
    modules: Path | None = None
    initrd: Path | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_default(self) -> bool:
        return False

    def home(self, paths: Paths) -> Paths:
        """The build folder of its guest: one for each place that kernels are taken from."""
        words = "\0".join(str(path) for path in (self.path, self.modules, self.initrd))
        return paths.kernel(f"{self.path.name}-{zlib.crc32(words.encode()):08x}")


KernelChoice = DebianKernel | OwnKernel


def parse_kernel(
    text: str,
    option: str = "--kernel",
    *,
    modules: str | None = None,
    initrd: str | None = None,
) -> KernelChoice:
    """What ``--kernel``, ``--modules`` and ``--initrd`` name.

    :raises UsageError: it is neither, or names what is not there
    """
    if not text.startswith("debian:"):
        return OwnKernel(
            _place(text, option, HINT),
            _folder(modules) if modules else None,
            _file(initrd) if initrd else None,
        )
    if modules or initrd:
        raise UsageError(
            f"--{'modules' if modules else 'initrd'} goes with a kernel of your own,"
            f" not with {option}={text}",
            hint="Debian's kernels bring theirs",
        )
    match = _DEBIAN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{option}={text}: not debian:SUITE[/VERSION][:FLAVOUR]",
            hint="for example debian:trixie, debian:trixie/6.12.107 or debian:bookworm:rt-amd64",
        )
    return DebianKernel(match[1], match[2] or "", match[3] or DEFAULT_FLAVOUR)


def _place(text: str, option: str, hint: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"{option}={text}: there is no such file or folder", hint=hint)
    return path


def _folder(text: str) -> Path:
    path = _place(text, "--modules", "give what 'make modules_install INSTALL_MOD_PATH=…' made")
    if not path.is_dir():
        raise UsageError(f"--modules={text}: not a folder", hint="give lib/modules/RELEASE")
    return path


def _file(text: str) -> Path:
    path = _place(text, "--initrd", "leave it out for the launcher's own")
    if not path.is_file():
        raise UsageError(f"--initrd={text}: not a file", hint="give a cpio archive")
    return path
