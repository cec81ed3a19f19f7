# SPDX-License-Identifier: MIT
"""Docker or Podman: which of them is there and lets us in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from run.base.errors import HostError

ENGINES = ("docker", "podman")

Which = Callable[[str], str | None]
Ask = Callable[[list[str]], "subprocess.CompletedProcess[str]"]

#: seconds for an engine to say who it is
ANSWER = 20.0


def choose(wanted: str | None, which: Which = shutil.which) -> str:
    """The engine to use: the one asked for, else the first that is installed.

    :raises HostError: there is none
    """
    names = (wanted,) if wanted else ENGINES
    for name in names:
        if which(name):
            return name
    others = " or ".join(names)
    raise HostError(
        f"there is no {others} on this host",
        hint="install one, or leave --container away: the launcher needs no container",
    )


def check(engine: str, ask: Ask | None = None) -> None:
    """See that the engine answers; raises HostError that says why it does not."""
    try:
        done = (ask or _ask)(
            [engine, "info", "--format", "{{.ID}}" if engine == "docker" else "ok"]
        )
    except subprocess.TimeoutExpired:
        raise HostError(
            f"{engine} does not answer within {ANSWER:g} s", hint="is its service well?"
        ) from None
    if done.returncode == 0:
        return
    said = (done.stderr or done.stdout).strip().splitlines()
    last = said[-1] if said else f"exit code {done.returncode}"
    raise HostError(f"{engine} does not work: {last}", hint=_hint(engine, last))


def _hint(engine: str, said: str) -> str:
    if "permission denied" in said.lower():
        return f"sudo usermod -aG {engine} $USER, then log in again"
    if "daemon" in said.lower() or "connect" in said.lower():
        return "sudo systemctl start docker; or --container=podman, which needs no service"
    return f"'{engine} info' says more"


def _ask(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER, check=False)
