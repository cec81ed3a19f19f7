# SPDX-License-Identifier: MIT
"""OpenSSH's client, told about guests whose keys are new at every boot."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from run.base.deadline import Deadline
from run.base.errors import HostError

#: seconds in which a server that is up greets; QEMU itself accepts before the guest can
GREETING = 1.0
#: seconds for a trivial command of a guest that is busy booting
TRIVIAL = 20.0

_OPTIONS = (
    # The user's own configuration is for other hosts.
    ("-F", "none"),
    # Guests come and go on the same port with new keys; there is nothing to compare them with.
    ("-o", "StrictHostKeyChecking=no"),
    ("-o", "UserKnownHostsFile=/dev/null"),
    ("-o", "GlobalKnownHostsFile=/dev/null"),
    # … and nothing to be said about that.
    ("-o", "LogLevel=ERROR"),
    # root has no password: `none` gets in, and a guest that does want one is no guest of ours.
    ("-o", "PubkeyAuthentication=no"),
    ("-o", "NumberOfPasswordPrompts=0"),
    ("-o", "ConnectTimeout=10"),
)


def client() -> str:
    """The ssh program; raises HostError where there is none."""
    program = shutil.which("ssh")
    if program is None:
        raise HostError("there is no ssh client here", hint="apt-get install openssh-client")
    return program


def argv(
    port: int, command: Sequence[str] = (), *, tty: bool = False, agent: bool = False
) -> list[str]:
    """The command line for a shell, or for `command`, which the guest's shell reads.

    :param tty: the command has a terminal of the guest's
    :param agent: what runs in the guest may use the keys of this user's ssh-agent
    """
    words = [word for option in _OPTIONS for word in option]
    flags = [*(["-t"] if tty else []), *(["-A"] if agent else [])]
    return [client(), *words, *flags, "-p", str(port), "root@127.0.0.1", *command]


def greets(port: int) -> bool:
    """Whether an ssh server says its name there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=GREETING) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def answers(port: int, deadline: Deadline) -> bool:
    """Whether a trivial command succeeds; without an ssh client the greeting has to do."""
    try:
        command = argv(port, ["true"])
    except HostError:
        return True
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent) as process:
        try:
            deadline.poll(lambda: process.poll() is not None)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    return process.returncode == 0
