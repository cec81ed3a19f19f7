# SPDX-License-Identifier: MIT
"""A file that appears under its name when it is whole; until then nothing is to be seen of it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from types import TracebackType

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.memory.file import replaceable, sync


class NewFile:
    """The file that is to be at `path`.

    It has no name at first, so that nothing is left of it however the process ends; on file
    systems that cannot do that it has one of its own, which is taken away in the end.

    :param replace: whether a file that is there may be replaced
    :param mode: permissions, before the umask
    :raises UsageError: a file is there already, or something that is none
    :raises TargetError: no such folder, no permission
    """

    def __init__(self, path: str, *, replace: bool = False, mode: int = 0o600) -> None:
        self.path = replaceable(path)
        self.folder = os.path.dirname(self.path)
        self._replace = replace
        self._check_free()
        self._part = f"{self.path}.{secrets.token_hex(4)}.part"
        with self.explained():
            self._named, self.fd = self._open(mode)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take away what is not finished."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._named:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part)
            self._named = False

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put `data` at `offset`; what is never written is a hole."""
        view = memoryview(data)
        with self.explained():
            while view:
                done = os.pwrite(self.fd, view, offset)
                view, offset = view[done:], offset + done

    def finish(self, size: int) -> None:
        """The file is whole, and has `size` bytes: give it its name."""
        with self.explained():
            os.ftruncate(self.fd, size)
            os.fsync(self.fd)
            self._name()
            sync(self.folder)

    def _open(self, mode: int) -> tuple[bool, int]:
        """Whether it has a name already, and the descriptor."""
        with contextlib.suppress(OSError):
            return False, os.open(self.folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return True, os.open(self._part, flags, mode)

    def _name(self) -> None:
        """In one step, so that at no moment another file is missing or half-made."""
        if not self._named and not self._replace:
            self._link(self.path)
            return
        self._check_free()
        if not self._named:
            self._link(self._part)
            self._named = True
        os.replace(self._part, self.path)
        self._named = False

    def _link(self, path: str) -> None:
        """``linkat`` with AT_SYMLINK_FOLLOW, as open(2) has it for files without a name."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Python calls linkat only where a folder is given.
            os.link(f"/proc/self/fd/{self.fd}", path, src_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            raise self._taken() from None
        finally:
            os.close(folder)

    def _check_free(self) -> None:
        if not self._replace and os.path.lexists(self.path):
            raise self._taken()

    def _taken(self) -> UsageError:
        return UsageError(f"{self.path} exists", hint="give another name, or --force to replace it")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the system says into an error that says who and what next."""
        try:
            yield
        except OSError as error:
            hint = unwritten(error)
            raise TargetError(f"cannot write {self.path}: {error.strerror}", hint=hint) from error


def unwritten(error: OSError) -> str:
    """What to do next where a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there, or write to another place"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "make its folder first, or write to another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "write to a folder that is yours to write to"
    return "write to another place"
