# SPDX-License-Identifier: MIT
"""What goes wrong in the launcher, and the exit code each kind ends with.

    RunError          1   something failed
    ├── UsageError    2   the request itself is wrong
    └── HostError     3   this host lacks something

Raised anywhere, printed once, in `run.cli.main`, as ``message; next step``.
"""

from __future__ import annotations


class RunError(Exception):
    """Base of all errors meant for the user; `hint` is the next step, without a full stop."""

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(RunError):
    """The command line makes no sense, whatever the host is like."""

    exit_code = 2


class HostError(RunError):
    """A package, a device, space or a port is missing on this host."""

    exit_code = 3
