# SPDX-License-Identifier: MIT
"""A taken port is told before anything starts: which, what for, by whom, and what moves it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from run.base.errors import RunError
from run.vm import ports
from run.vm.plan import GuestPlan, LabPaths

PATHS = LabPaths(folder=Path("/nowhere"), uid=0)


def plan(**numbers):
    return GuestPlan("qemu1", 0, 0, Path("/ram"), PATHS, **numbers)


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def taken(request):
    with socket.socket() as listener:
        listener.bind((request.param, 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_free_ports(free_port):
    ports.check([plan(ssh_port=free_port), plan()])


def test_taken_port_names_who_and_what_to_do(taken):
    with pytest.raises(RunError) as error:
        ports.check([plan(ssh_port=taken)])
    told = str(error.value)
    assert told.startswith(f"port {taken}, for ssh of qemu1, is taken by ")
    assert f"(pid {os.getpid()}); move it by --ssh-port-base=PORT" in told
    with pytest.raises(RunError, match=r"the console of qemu1.*--console-port-base"):
        ports.check([plan(console_port=taken)])


def test_holder(taken, free_port):
    assert ports.holder(taken) == os.getpid()
    assert ports.holder(free_port) is None


def test_lingering_connections_do_not_take_the_port(free_port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", free_port))
        listener.listen(1)
        with socket.create_connection(("127.0.0.1", free_port)) as client:
            server, _ = listener.accept()
            server.close()
            assert client.recv(1) == b""
    ports.check([plan(ssh_port=free_port)])
