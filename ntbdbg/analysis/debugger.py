# SPDX-License-Identifier: MIT
"""gdb on a running guest, with all that is known of its kernel."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError, TargetError
from ntbdbg.lab.gdbstub import Stub, gdbstub
from ntbdbg.lab.signals import ending_by_exception

if TYPE_CHECKING:
    from ntbdbg.kernel.debugfile.vmlinux import Vmlinux
    from ntbdbg.lab.guest import Guest

PROGRAMS = ("gdb", "gdb-multiarch")

PATIENCE = 5.0
"""Seconds for gdb to end, before it is told so more plainly."""

_SCRIPT = """\
set remotetimeout 60
python
import gdb
def leave(event):
    # Not detach: QEMU would let the guest go on, also one that stood still before.
    try:
        gdb.execute("disconnect", to_string=True)
    except gdb.error:
        pass
if hasattr(gdb.events, "gdb_exiting"):
    gdb.events.gdb_exiting.connect(leave)
end
define hook-kill
  python raise gdb.GdbError("kill would end QEMU itself; quit leaves the guest as it was")
end
"""


class Debugger:
    """gdb for `guest`, ready to be started.

    :ivar notes: what the user should know of what gdb will know
    :raises TargetError: no gdb is installed; the guest does not run, or not here
    :raises RefusedError: somebody else started it, and it may not be stopped or changed
    """

    def __init__(self, guest: Guest) -> None:
        self.program = find_gdb()
        guest.lab.refuse_capture("debugged")
        for doing in ("freeze", "write"):  # gdb stops the guest, and may change it
            guest.lab.refuse_unallowed(doing)
        guest.lab.refuse_unallowed("freeze")
        if guest.record is None:
            raise TargetError(
                f"{guest.name} is no running guest of a lab, so gdb cannot stop it",
                hint="'ntbdbg export' writes what gdb opens: --format elf and --format vmlinux",
            )
        self._guest, self._record = guest, guest.record
        self.notes: list[str] = []

    def run(self, arguments: Sequence[str]) -> int:
        """Start gdb and wait for its end; gives its exit code, negative for a signal.

        :param arguments: further ones for gdb
        :raises QmpError: QEMU refuses the gdbstub
        """
        note = self._guest.lab.note
        with tempfile.TemporaryDirectory(prefix="ntbdbg-gdb-") as folder:
            argv = [self.program, "-q", *self._files(folder)]
            for text in self.notes:
                note(f"{self._guest.name}: {text}")
            with ending_by_exception(), gdbstub(self._record, note) as stub:
                script = os.path.join(folder, "commands")
                with open(script, "w", encoding="utf-8") as file:
                    file.write(f"{_SCRIPT}{self._more}target remote {stub.path}\n")
                return _wait([*argv, "-x", script, *arguments], stub)

    def _files(self, folder: str) -> list[str]:
        """What gdb is to load, written into `folder`."""
        self._more = ""
        try:
            made = self._vmlinux()
        except NtbdbgError as error:
            self.notes.append(f"gdb knows nothing of its kernel: {error.message}")
            return []
        path = os.path.join(folder, "vmlinux")
        with open(path, "wb") as file:
            file.writelines(made.pieces)
        self.notes += made.notes
        self.notes.append(
            f"{made.symbols} symbols, {made.types} types, {len(made.modules)} modules of this boot"
        )
        return [path]

    def _vmlinux(self) -> Vmlinux:
        from ntbdbg.kernel.debugfile.vmlinux import VmlinuxMaker

        kernel = self._guest.kernel
        file = kernel.debug_file
        if file is not None:
            self.notes.append(f"symbols and types of the kernel itself from {file}")
            self._more = f"add-symbol-file {file} -o {kernel.info.kernel_offset:#x}\n"
        return VmlinuxMaker(kernel, only_modules=file is not None).make()


def find_gdb() -> str:
    """A gdb that understands x86-64; TargetError if none is installed."""
    from ntbdbg.arch.known import DEFAULT, by_name

    order = PROGRAMS if by_name(os.uname().machine) is DEFAULT else PROGRAMS[::-1]
    found = next((path for name in order if (path := shutil.which(name))), None)
    if found is None:
        raise TargetError("no gdb is installed", hint="'apt-get install gdb' does that on Debian")
    return found


def _wait(argv: Sequence[str], stub: Stub) -> int:
    """Ctrl-C is gdb's: it stops the guest."""
    environment = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}
    with _leaving_interrupts_to_the_child(), subprocess.Popen(argv, env=environment) as gdb:
        try:
            stub.used_by(gdb.pid)
            code = gdb.wait()
        except BaseException:
            _end(gdb)
            raise
    if code >= 0:
        stub.left()
    return code


def _end(gdb: subprocess.Popen[bytes]) -> None:
    """Ctrl-C first, which stops the guest: gdb can take its leave of none that runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        gdb.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            gdb.wait(PATIENCE)
            return


@contextlib.contextmanager
def _leaving_interrupts_to_the_child() -> Iterator[None]:
    """A handler of our own, not SIG_IGN, which the child would inherit."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
