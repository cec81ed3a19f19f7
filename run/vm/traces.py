# SPDX-License-Identifier: MIT
"""Trace events of QEMU: whether this build can write them, and whether a pattern means any."""

from __future__ import annotations

import fnmatch
import subprocess
from collections.abc import Sequence

from run.base.errors import RunError, UsageError


def check(qemu: str, patterns: Sequence[str]) -> None:
    """Raise for a pattern without events, which QEMU would only mention in its log."""
    known = events(qemu)
    if not known:
        raise RunError(
            f"{qemu} was built without trace events",
            hint="'python3 run build qemu' makes one that has them",
        )
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            near = sorted(name for name in known if name.startswith(("idt_ntb", "ntb_")))[:4]
            hint = f"try '*ntb_*' ({', '.join(near)}, …)" if near else "see -trace help of QEMU"
            raise UsageError(f"--trace {pattern}: no event is called so", hint=hint)


def events(qemu: str) -> list[str]:
    """The names of all events that the build can write, empty without a tracing backend."""
    try:
        done = subprocess.run(
            [qemu, "-trace", "help"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{qemu} cannot be run: {error}") from error
    return done.stdout.split()
