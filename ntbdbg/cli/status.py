# SPDX-License-Identifier: MIT
"""What each way to end means to the shell."""

from __future__ import annotations

from enum import IntEnum

from ntbdbg.errors import (
    FaultError,
    FormatError,
    KernelError,
    NtbdbgError,
    NtbError,
    RefusedError,
    TargetError,
    UsageError,
)


class ExitStatus(IntEnum):
    """Exit codes of every ntbdbg command (docs/commands.md)."""

    OK = 0
    DIFFERENT = 1
    """A difference, nothing found, a refused precondition, a timeout without the event."""
    USAGE = 2
    TARGET = 3
    FAULT = 4
    KERNEL = 5
    BUG = 70
    INTERRUPTED = 130


_OF_ERROR: tuple[tuple[type[NtbdbgError], ExitStatus], ...] = (
    (UsageError, ExitStatus.USAGE),
    (RefusedError, ExitStatus.DIFFERENT),
    (FaultError, ExitStatus.FAULT),
    (KernelError, ExitStatus.KERNEL),
    (TargetError, ExitStatus.TARGET),
    (FormatError, ExitStatus.TARGET),
    (NtbError, ExitStatus.TARGET),
)


def status_of(error: NtbdbgError) -> ExitStatus:
    """The exit code of an error that ntbdbg raised on purpose."""
    for kind, status in _OF_ERROR:
        if isinstance(error, kind):
            return status
    return ExitStatus.BUG
