# SPDX-License-Identifier: MIT
"""ivshmem-server: the process that hands the link's shared page to each guest's NTB port."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ntbdbg.lab.manifest import LinkRecord, ProcessRef
from run.base import processes
from run.base.deadline import Deadline
from run.base.errors import HostError
from run.vm.machine import LaunchError
from run.vm.plan import SHM, LabPaths

NAME = "ivshmem-server"


class Switch:
    """The server of one lab, and the page that outlives it."""

    def __init__(self, paths: LabPaths, argv: Sequence[str]) -> None:
        self.paths = paths
        self.argv = tuple(argv)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, deadline: Deadline) -> LinkRecord:
        """Start the server and wait for its socket; raises LaunchError."""
        self._make_page()
        self.paths.server_socket.unlink(missing_ok=True)
        try:
            self._process = processes.start(
                self.argv, self.paths.server_log, folder=self.paths.folder
            )
        except OSError as error:
            raise self._failed(f"cannot be run: {self.argv[0]}: {error.strerror}") from error
        deadline.poll(lambda: self.paths.server_socket.exists() or not self.poll())
        if not self.poll():
            raise self._failed("ended at once")
        if not self.paths.server_socket.exists():
            raise self._failed(f"made no socket within {deadline.seconds:g} s")
        return LinkRecord(
            shared_page=str(self._page()),
            server=ProcessRef.of(self._process.pid),
            socket=str(self.paths.server_socket),
            log=str(self.paths.server_log),
        )

    def poll(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def _make_page(self) -> None:
        """Make the page ourselves: 0600, where the server would make it 0700; and link it.

        The server opens what is there and gives it its size; it unlinks its name when it ends
        by SIGTERM, and the second name keeps the page for those who look at a dead lab.
        """
        page = SHM / self.paths.page_name
        try:
            os.close(os.open(page, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            os.link(page, self.paths.page)
        except OSError as error:
            why = f"cannot make the shared page {page}: {error.strerror}"
            raise HostError(why, hint="use another --name") from error

    def _page(self) -> Path:
        """The page's path; with ``-m`` among the options it has no name but the server's own."""
        if self.paths.page.stat().st_size:
            return self.paths.page
        assert self._process is not None
        for entry in os.scandir(f"/proc/{self._process.pid}/fd"):
            with suppress(OSError):
                target = os.readlink(entry.path)  # noqa: PTH115
                if target.endswith(" (deleted)") and "ivshmem" in target:
                    return Path(entry.path)
        raise self._failed("has no shared memory that could be found")

    def _failed(self, why: str) -> LaunchError:
        code = self._process.poll() if self._process else None
        if code is not None:
            why = processes.describe_exit(code) + " while it was being started"
        return LaunchError(NAME, why, argv=self.argv, log=self.paths.server_log, process_exit=code)
