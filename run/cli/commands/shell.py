# SPDX-License-Identifier: MIT
"""`python3 run shell`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("shell")
@click.argument("words", metavar="[-- CMD...]", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """A shell in which `ntbdbg` and the launcher's Python are found.

    With --container it is one inside the container.

    \b
    python3 run shell
    python3 run shell -- ntbdbg windows
    python3 run --container shell
    """
    programs = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    argv = list(words) or [os.environ.get("SHELL") or "/bin/sh"]
    os.execvpe(argv[0], argv, environ)
