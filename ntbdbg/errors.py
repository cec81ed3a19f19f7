# SPDX-License-Identifier: MIT
"""Every error ntbdbg raises on purpose.

    NtbdbgError
    ├── UsageError     the request itself is wrong: bad address, size, value, option
    │   └── AmbiguousError  several labs could be meant
    ├── FaultError     no memory backs an address
    ├── FormatError    a file is not what it should be
    ├── TargetError    no such guest, lab or RAM file, or it went away
    │   ├── UntrustedError  a file or folder that somebody else could have written
    │   └── QmpError   QEMU's monitor refused, vanished or did not answer in time
    ├── RefusedError   what is there is not what was expected, so nothing was changed
    ├── KernelError    the Linux inside is not understood
    │   └── ForeignError  as it is one for another architecture
    └── NtbError       the link's shared page or registers make no sense

A message says who, where and why; `hint` is the next step to try. Rooms raise these;
only `ntbdbg.cli.main` knows which exit code each one becomes.
"""

from __future__ import annotations

import os

PathLike = str | os.PathLike[str]


class NtbdbgError(Exception):
    """Base of all errors meant for the user; `hint` names the next step, without a full stop."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(NtbdbgError):
    """The request cannot be understood or makes no sense, whatever the target holds."""


class AmbiguousError(UsageError):
    """Several labs could be meant, and none is named."""


class FaultError(NtbdbgError):
    """No memory backs `[address, address + size)` of `source`.

    :param source: name of the memory asked, e.g. ``qemu1``
    :param address: first byte that cannot be read
    :param size: bytes asked for from `address` on
    :param reason: why, as a clause: ``is in the PCI hole [0xb0000000, 0x100000000)``
    """

    def __init__(
        self, source: str, address: int, size: int, reason: str, *, hint: str | None = None
    ) -> None:
        super().__init__(f"{source}: {address:#x} {reason}", hint=hint)
        self.source = source
        self.address = address
        self.size = size
        self.reason = reason


class FormatError(NtbdbgError):
    """A file does not have the format it claims.

    :param offset: where in the file it goes wrong, or None when that is the file as a whole
    """

    def __init__(
        self, path: PathLike, offset: int | None, reason: str, *, hint: str | None = None
    ) -> None:
        where = os.fspath(path) if offset is None else f"{os.fspath(path)}+{offset:#x}"
        super().__init__(f"{where}: {reason}", hint=hint)
        self.path = os.fspath(path)
        self.offset = offset
        self.reason = reason


class TargetError(NtbdbgError):
    """What should be debugged is not there, not reachable, or not what it was."""


class UntrustedError(TargetError):
    """Somebody else could have written what is at `path`, so nothing is done on its word.

    :param reason: why, as a clause: ``belongs to user 1000``
    """

    def __init__(self, path: PathLike, reason: str, *, hint: str) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}, so it is not trusted", hint=hint)
        self.path = os.fspath(path)


class QmpError(TargetError):
    """QEMU's monitor (QMP) is unreachable, busy, or answered with an error."""


class RefusedError(NtbdbgError):
    """The target holds other bytes than the request expects; nothing was changed."""


class KernelError(NtbdbgError):
    """The kernel inside the guest is absent or cannot be understood."""


class ForeignError(KernelError):
    """The kernel inside the guest is one for another `architecture`."""

    def __init__(self, message: str, architecture: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.architecture = architecture


class NtbError(NtbdbgError):
    """The state of the NTB link is corrupt or of an unknown version."""
