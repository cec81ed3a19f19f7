# SPDX-License-Identifier: MIT
"""Files out of Debian packages, without installing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from run.steps.steps import Step

#: $1 a .deb, $2 the target folder, the rest patterns for tar
_UNPACK = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink "${@:3}"'

_LIST = 'dpkg-deb --fsys-tarfile "$1" | tar -t'

#: $1 a .deb, $2 the member that is a tarball, $3 the target folder, the rest patterns for tar
_UNPACK_INNER = (
    'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" | tar -xJ -C "$3" --strip-components=1 "${@:4}"'
)


def unpack(step: Step, deb: Path, target: Path, patterns: Sequence[str] = ()) -> None:
    """Extract `deb`, or what in it matches `patterns` (tar wildcards), into `target`.

    A pattern that nothing matches is an error.
    """
    target.mkdir(parents=True, exist_ok=True)
    wildcards = ["--wildcards", *patterns] if patterns else []
    _bash(step, _UNPACK, deb, target, *wildcards)


def members(step: Step, deb: Path) -> list[str]:
    """Names of all files in `deb`, as its archive has them (``./usr/bin/x``)."""
    return step.run(["bash", "-o", "pipefail", "-c", _LIST, "list", deb]).splitlines()


def unpack_inner(step: Step, deb: Path, member: str, target: Path, patterns: Sequence[str]) -> None:
    """Extract what matches `patterns` from the .tar.xz `member` inside `deb`."""
    target.mkdir(parents=True, exist_ok=True)
    _bash(step, _UNPACK_INNER, deb, member, target, "--wildcards", *patterns)


def _bash(step: Step, script: str, *arguments: str | Path) -> None:
    step.run(["bash", "-o", "pipefail", "-c", script, "unpack", *arguments])
