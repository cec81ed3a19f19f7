# SPDX-License-Identifier: MIT
"""Files and folders into a guest and out of it, over ssh, by what every guest has: sh, cat, tar.

A file travels as its bytes, so that what lies about its size, as everything in /proc and /sys
does, comes whole; a folder travels as a tar archive. What arrives gets its name last: a copy
that breaks off leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from run.base.errors import RunError
from run.reach import ssh
from run.reach.unpack import extract

#: $1 where to, $2 what it is called, $3 its mode, or `d` for a folder
_TAKE = r"""
to=$1; [ -d "$to" ] && to=${to%/}/$2
case $1 in */) [ -d "$1" ] || { echo "$1 is no folder" >&2; exit 1; } ;; esac
in=$(dirname "$to"); [ -d "$in" ] || { echo "there is no folder $in" >&2; exit 1; }
part=$(mktemp -d "$in/.copy.XXXXXX") || exit 1
trap 'rm -rf "$part"' EXIT
if [ "$3" = d ]; then
    [ -e "$to" ] && [ ! -d "$to" ] && { echo "$to is no folder" >&2; exit 1; }
    mkdir "$part/new" && tar -x -f - -C "$part/new" || exit 1
    if [ -d "$to" ]; then cp -a "$part/new/." "$to/"; else mv "$part/new" "$to"; fi
else
    [ -d "$to" ] && { echo "$to is a folder" >&2; exit 1; }
    cat > "$part/new" && chmod "$3" "$part/new" && mv -f "$part/new" "$to"
fi
"""

#: $1 what; its first line says what follows
_GIVE = r"""
[ -e "$1" ] || { echo "there is no $1" >&2; exit 1; }
if [ -d "$1" ]; then echo d; exec tar -c -f - -C "$1" .; fi
echo "f $(stat -L -c %a "$1" || echo 644)"; exec cat "$1"
"""

#: the longest first line of `_GIVE`
_HEAD = 32


def put(port: int, source: Path, name: str, target: str, who: str) -> None:
    """Copy a file or folder of this host to `target` in a guest, into it if that is a folder.

    :param port: of the guest's ssh
    :param name: what it is called where `target` is a folder
    :raises RunError: either side cannot
    """
    if source.is_dir():
        with _Tar(source) as stream:
            _send(port, stream, [target, name, "d"], who)
        return
    try:
        with source.open("rb") as file:
            mode = f"{os.fstat(file.fileno()).st_mode & 0o777:o}"
            _send(port, file, [target, name, mode], who)
    except OSError as error:
        raise RunError(
            f"{source}: {error.strerror}", hint="name a file that you may read"
        ) from error


def get(port: int, source: str, target: Path, who: str) -> Path:
    """Copy a file or folder of a guest to `target`, into it if that is a folder; gives where.

    :raises RunError: either side cannot
    """
    to = target / Path(source).name if target.is_dir() else target
    if not to.parent.is_dir():
        raise RunError(f"there is no folder {to.parent}", hint=f"mkdir -p {to.parent}")
    try:
        with tempfile.TemporaryDirectory(prefix=".copy.", dir=to.parent) as scratch:
            part = Path(scratch) / "new"
            code, said = _fetch(ssh.argv(port, [_script(_GIVE, [source])]), part)
            _check(code, said, f"{who}:{source}")
            _settle(part, to)
    except OSError as error:
        raise RunError(f"{to}: {error.strerror}", hint="name where you may write") from error
    return to


class _Tar:
    """The contents of a folder as a stream; raises RunError if tar fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        argv = ["tar", "-c", "-f", "-", "-C", str(folder), "."]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        said = self._process.communicate()[1]
        if kind is None:
            _check(self._process.returncode, said, str(self._folder))


def _send(port: int, stream: IO[bytes], words: list[str], who: str) -> None:
    command = ssh.argv(port, [_script(_TAKE, words)])
    done = subprocess.run(command, stdin=stream, capture_output=True, check=False)
    _check(done.returncode, done.stderr, f"{who}:{words[0]}")


def _script(script: str, words: list[str]) -> str:
    """One word for the guest's shell that runs `script` with `words`."""
    return shlex.join(["sh", "-c", script, "sh", *words])


def _fetch(argv: list[str], part: Path) -> tuple[int, bytes]:
    """Run `_GIVE`, what it sends in `part`; gives its exit code and what it said on stderr."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            _receive(process.stdout, part)
            said = process.stderr.read()
        except BaseException:
            process.kill()
            raise
    return process.returncode, said


def _receive(stream: IO[bytes], part: Path) -> None:
    head = stream.readline(_HEAD).decode(errors="replace")
    kind, _, mode = head.strip().partition(" ")
    if kind == "d":
        extract(stream, part)
    elif kind == "f" and re.fullmatch("[0-7]{1,4}", mode):
        with part.open("wb") as file:
            shutil.copyfileobj(stream, file)
        part.chmod(int(mode, 8) & 0o777 | 0o600)
    elif head:
        raise RunError(f"the guest answers {head!r:.40} instead of a file")


def _settle(part: Path, to: Path) -> None:
    if part.is_dir() and to.is_dir():  # more files for a folder that is there
        shutil.copytree(part, to, symlinks=True, dirs_exist_ok=True)
    else:
        part.replace(to)


def _check(code: int, said: bytes, who: str) -> None:
    if code == 0:
        return
    lines = said.decode(errors="replace").strip().splitlines()
    raise RunError(f"{who}: {lines[-1] if lines else f'exit code {code}'}")
