# SPDX-License-Identifier: MIT
"""A lab of real guests, driven the way a user does: by the launcher's and ntbdbg's commands."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

from ntbdbg.lab.manifest import Manifest
from ntbdbg.lab.qmp import Qmp
from ntbdbg.ntb.page import PORT_OFF, PORT_STRIDE, layout
from run.base.deadline import Deadline
from run.reach import ssh
from run.vm.options import MOST_GUESTS

CHECKOUT = Path(__file__).parents[2]
BUILD_DIR = Path(os.environ.get("NTBDBG_BUILD_DIR", CHECKOUT / "build"))

#: seconds for a start, with two host processors that other tests use as well
START_TIMEOUT = 400.0
COMMAND_TIMEOUT = 120.0

#: a connection that later ones share, and which ends soon after a guest is gone
CONNECTION = ("-o", "ControlMaster=auto", "-o", "ControlPersist=60")
CONNECTION += ("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")

#: ssh's own exit code
BROKEN = 255

#: what no healthy kernel says
COMPLAINT = re.compile(r"BUG:|Oops|Call Trace|WARNING:|nobody cared")

#: lines of each log that a failed test shows
TAIL = 40


@dataclass
class Lab:
    """One lab with a runtime folder of its own, so that a user's labs are not touched.

    :param options: what `vms` (or `vm`) is given besides name, ports and --detach
    """

    runtime: Path
    name: str
    options: Sequence[str] = ()
    kind: str = "vms"
    ports: tuple[int, int] = field(
        default_factory=lambda: (free_ports(MOST_GUESTS), free_ports(MOST_GUESTS))
    )
    mark: str = "Linux version"

    # -- life ----------------------------------------------------------------------------

    @property
    def start_words(self) -> list[str]:
        ssh, console = self.ports
        ports = ["--ssh-port-base", str(ssh), "--console-port-base", str(console)]
        folder = ["--build-dir", str(BUILD_DIR)]
        return [self.kind, "--name", self.name, *folder, *ports, *self.options]

    def start(self) -> Lab:
        """Start it in the background and wait until every guest accepts ssh."""
        done = self.run(*self.start_words, "--detach", expect=None, timeout=START_TIMEOUT)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.tails()}"
        return self

    def stop(self, *words: str) -> None:
        self.hang_up()
        self.run("stop", "--name", self.name, *words)

    @property
    def environ(self) -> dict[str, str]:
        ours = ("NTBDBG_FROM", "NTBDBG_LAB")
        kept = {key: value for key, value in os.environ.items() if key not in ours}
        return {**kept, "XDG_RUNTIME_DIR": str(self.runtime)}

    # -- where things are ----------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self.runtime / "ntbdbg" / self.name

    @property
    def manifest(self) -> Manifest:
        return Manifest.load(self.folder / "run.json")

    @property
    def status(self) -> dict[str, Any]:
        """What `status --json` says of this lab."""
        done = self.run("status", "--name", self.name, "--json")
        (lab,) = json.loads(done.stdout)["labs"]
        return lab

    def log(self, number: int) -> str:
        """QEMU's own output."""
        return Path(self._guest(number).log).read_text(errors="replace")

    def console_log(self, number: int) -> str:
        return Path(self._guest(number).console_log).read_text(errors="replace")

    def tails(self) -> str:
        """The ends of all logs, for a test that failed."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-TAIL:]
            parts.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(parts)

    # -- the launcher --------------------------------------------------------------------

    def run(
        self,
        *words: str,
        expect: int | None = 0,
        timeout: float = COMMAND_TIMEOUT,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """``python3 run WORDS``."""
        argv = [sys.executable, str(CHECKOUT / "run"), *words]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=self.environ,
            input=stdin or "",
            check=False,
        )
        if expect is not None:
            told = (shlex.join(argv), done.returncode, done.stdout, done.stderr)
            assert done.returncode == expect, told
        return done

    def ssh(
        self, number: int, script: str, *, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in a guest, whatever comes of it."""
        words = ["ssh", "--name", self.name, str(number), "--", script]
        return self.run(*words, expect=None, stdin=stdin)

    # -- in the guests, quickly ----------------------------------------------------------

    def sh(self, number: int, script: str) -> str:
        """Run a shell script in a guest, which must succeed; gives its output, stripped.

        Over one connection for all: to greet each other costs both sides more than most scripts do.
        """
        done = self._over_connection(number, script)
        if done.returncode == BROKEN:  # the guest has booted anew since, and forgot about it
            self.hang_up()
            done = self._over_connection(number, script)
        assert done.returncode == 0, (script, done.returncode, done.stdout, done.stderr)
        return done.stdout.strip()

    def hang_up(self) -> None:
        """End the connections of `sh`, if there are any."""
        for line in self.runtime.glob(f"{self.name}.ssh-*"):
            _called([ssh.client(), "-S", str(line), "-O", "exit", "anybody"])
            line.unlink(missing_ok=True)

    def _over_connection(self, number: int, script: str) -> subprocess.CompletedProcess[str]:
        port = self._guest(number).ssh_port
        assert port is not None
        program, *words = ssh.argv(port, [script])
        line = str(self.runtime / f"{self.name}.ssh-{number}")
        return _called([program, "-S", line, *CONNECTION, *words])

    # -- what a guest's kernel says ------------------------------------------------------

    def begin_log(self) -> None:
        """Forget what was said so far."""
        self.mark = f"a new module begins, {uuid.uuid4()}"
        for number in (1, 2):
            self.sh(number, f"echo {self.mark} > /dev/kmsg")

    def complaints(self, number: int) -> str:
        """Lines of a guest's log since then that tell of a fault in a kernel or driver."""
        _, _, log = self.sh(number, "dmesg").rpartition(self.mark)
        return "\n".join(line for line in log.splitlines() if COMPLAINT.search(line))

    # -- ntbdbg --------------------------------------------------------------------------

    def ntbdbg_bytes(self, *words: str, expect: int = 0) -> bytes:
        """``ntbdbg WORDS`` on this lab; gives what it printed."""
        argv = [sys.executable, "-m", "ntbdbg", "--lab", self.name, *words]
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=COMMAND_TIMEOUT,
            env=self.environ,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        told = (shlex.join(argv), done.returncode, done.stdout[-2000:], done.stderr)
        assert done.returncode == expect, told
        return done.stdout

    def ntbdbg(self, *words: str, expect: int = 0) -> str:
        return self.ntbdbg_bytes(*words, expect=expect).decode()

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self.ntbdbg(*words, "--json", expect=expect))

    def json_lines(self, *words: str, expect: int = 0) -> list[Any]:
        lines = self.ntbdbg(*words, "--json", expect=expect).splitlines()
        return [json.loads(line) for line in lines]

    def sha256(self, *words: str) -> str:
        """Digest of the raw bytes that a dump shows."""
        return hashlib.sha256(self.ntbdbg_bytes(*words, "--format", "raw")).hexdigest()

    # -- below the commands --------------------------------------------------------------

    def qmp_status(self) -> dict[str, str]:
        """QEMU's own word for each guest's state."""
        found = {}
        for guest in self.manifest.guests:
            with Qmp(guest.qmp, who=guest.name) as qmp:
                found[guest.name] = qmp.execute("query-status")["status"]
        return found

    def port_block(self, number: int) -> Any:
        """A guest's block of the shared page, parsed by the construct layout alone."""
        link = self.manifest.link
        assert link is not None
        block = layout(sys.byteorder).port
        with Path(link.shared_page).open("rb") as file:
            file.seek(PORT_OFF + (number - 1) * PORT_STRIDE)
            return block.parse(file.read(block.sizeof()))

    def until(self, test: Callable[[], object], timeout: float = 30.0) -> None:
        """Ask `test` until its answer is true; fails after `timeout` seconds."""
        assert Deadline(timeout).poll(test), f"not within {timeout:g} s"

    def _guest(self, number: int):
        return self.manifest.guests[number - 1]


def _called(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMMAND_TIMEOUT,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on now.

    They are none of those that the kernel hands out, so nobody else gets them by chance meanwhile.
    """
    while True:
        first = SystemRandom().randrange(10_000, 32_000)
        with ExitStack() as probes, suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
