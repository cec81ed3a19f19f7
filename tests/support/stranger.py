# SPDX-License-Identifier: MIT
"""A second user of the host, whom nobody trusts.

    theirs(path)                                   # the file, or the whole folder, is theirs now
    stranger_does("open('/dev/shm/x', 'w')")       # the stranger's own process
    stranger_runs("ntbdbg", "--lab", "x", "info", env=lab.environ)

The stranger's processes start as root and import everything first: a stranger may not be able to
read the checkout, nor Python itself.

Only root can be two users. `needs_two_users` marks what cannot be tried otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

UID = 54321
"""Of nobody in particular."""

needs_two_users = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can play a second user beside itself"
)

CHECKOUT = Path(__file__).parents[2]

_DROP = f"""
import asyncio, fcntl, importlib, mmap, os, shutil, signal, socket, sys, tempfile, time
def drop():
    os.setgroups([])
    os.setgid({UID})
    os.setuid({UID})
"""

_PROGRAMS = {
    program: f"""
from {program}.cli.main import COMMANDS, main
for module, _ in COMMANDS.values():
    importlib.import_module({prefix!r} + module)
{more}
drop()
sys.exit(main(sys.argv[1:]))
"""
    for program, prefix, more in (
        ("ntbdbg", "ntbdbg.cli.commands.", "import ntbdbg.lab.lab"),
        ("run", "", "import run.lab.stop, run.lab.status, run.lab.supervise, rich.console"),
    )
}


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder of the caller's that everybody may look into, as /tmp is; with a short name."""
    folder = Path(tempfile.mkdtemp(prefix="ntb-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def theirs(path: Path) -> None:
    """Give the file at `path`, or the folder and all that is in it, to the stranger."""
    for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
        os.chown(entry, UID, UID, follow_symlinks=False)


def stranger_does(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start Python `code` as the stranger; ``sys.argv`` has the arguments, its output is kept."""
    argv = [sys.executable, "-c", f"{_DROP}drop()\n{code}", *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def stranger_runs(
    program: str, *words: str | Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """The stranger's ``ntbdbg`` or ``run`` with these words."""
    argv = [sys.executable, "-c", _DROP + _PROGRAMS[program], *map(str, words)]
    return subprocess.run(
        argv,
        env=dict(env),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
