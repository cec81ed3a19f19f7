# SPDX-License-Identifier: MIT
"""The QEMU processes of this host, as far as this user may look into them."""

from __future__ import annotations

import os

PROC = "/proc"


def qemu_processes(proc: str = PROC) -> list[str]:
    """Their process ids; one pass, of one system call per process.

    Whose program cannot be told may not be looked into either (ptrace_may_access of Linux).
    """
    return [entry for entry in os.listdir(proc) if entry.isdigit() and _is_qemu(proc, entry)]


def _is_qemu(proc: str, entry: str) -> bool:
    try:
        program = os.readlink(f"{proc}/{entry}/exe")
    except OSError:
        return False
    program = program[program.rfind("/") + 1 :]
    return program.startswith("qemu") or program.partition(" ")[0] == "kvm"
