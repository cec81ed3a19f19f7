# SPDX-License-Identifier: MIT
"""Qmp against a monitor that answers, refuses, stays silent, talks nonsense or goes away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ntbdbg.errors import QmpError
from ntbdbg.lab.qmp import Qmp

GREETING = {
    "QMP": {
        "version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""},
        "capabilities": [],
    }
}


def requests(client: socket.socket):
    """The JSON objects that a client sends; qemu.qmp puts nothing between two of them."""
    text = ""
    while piece := client.recv(4096).decode():
        text += piece
        while text.strip():
            try:
                request, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:]
            yield request


class FakeQemu:
    """Serves one client after the other; `answer` maps a command to a list of raw messages."""

    def __init__(self, path: Path, answers: dict, *, greeting: bytes | None = None) -> None:
        self.seen: list[dict] = []
        self.answers = {"qmp_capabilities": [{"return": {}}], **answers}
        self.greeting = json.dumps(GREETING).encode() + b"\n" if greeting is None else greeting
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.sendall(self.greeting)
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        for request in requests(client):
            self.seen.append(request)
            for message in self.answers.get(request["execute"], [{"return": {}}]):
                if message is None:
                    return
                if "event" not in message:
                    message = {**message, "id": request["id"]} if "id" in request else message
                client.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        # Closing alone would leave the thread in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def folder():
    # tmp_path can be longer than the 107 bytes a UNIX socket's name may have.
    path = Path(tempfile.mkdtemp(prefix="qmp-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def qemu(folder):
    made = []

    def make(answers=None, **options):
        server = FakeQemu(folder / "s", answers or {}, **options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


def test_execute_returns_the_answer(qemu, folder):
    server = qemu({"query-status": [{"return": {"status": "running"}}]})
    with Qmp(folder / "s", who="qemu1") as qmp:
        assert qmp.execute("query-status") == {"status": "running"}
    assert [m["execute"] for m in server.seen] == ["qmp_capabilities", "query-status"]


def test_arguments_pass_and_human_asks_the_human_monitor(qemu, folder):
    server = qemu({"human-monitor-command": [{"return": "flat view\r\n"}]})
    with Qmp(folder / "s") as qmp:
        assert qmp.human("info mtree -f") == "flat view\r\n"
    assert server.seen[-1]["arguments"] == {"command-line": "info mtree -f"}


def test_two_conversations_after_each_other(qemu, folder):
    qemu({"stop": [{"return": {}}]})
    for _ in range(2):
        with Qmp(folder / "s") as qmp:
            assert qmp.execute("stop") == {}


def test_refusal_tells_what_qemu_said(qemu, folder):
    qemu({"cont": [{"error": {"class": "GenericError", "desc": "not now"}}]})
    with Qmp(folder / "s", who="qemu2") as qmp, pytest.raises(QmpError) as caught:
        qmp.execute("cont")
    assert str(caught.value) == "qemu2: QEMU refuses cont: not now"


def test_event_is_awaited_and_others_are_dropped(qemu, folder):
    stamp = {"seconds": 1, "microseconds": 2}
    qemu(
        {
            "stop": [
                {"event": "RTC_CHANGE", "data": {}, "timestamp": stamp},
                {"event": "STOP", "data": {}, "timestamp": stamp},
                {"return": {}},
            ]
        }
    )
    with Qmp(folder / "s") as qmp:
        qmp.execute("stop")
        assert qmp.wait_event("STOP", "RESUME")["event"] == "STOP"


def test_event_that_never_comes(qemu, folder):
    qemu()
    with Qmp(folder / "s", who="qemu1") as qmp, pytest.raises(QmpError, match="no event STOP"):
        qmp.wait_event("STOP", timeout=0.05)


def test_hangup_while_waiting_for_an_event(qemu, folder):
    qemu({"quit": [{"return": {}}, None]})
    with Qmp(folder / "s", who="qemu1") as qmp:
        qmp.execute("quit")
        with pytest.raises(QmpError, match="hung up"):
            qmp.wait_event("SHUTDOWN", timeout=5)


def test_hangup_instead_of_an_answer(qemu, folder):
    qemu({"quit": [None]})
    with Qmp(folder / "s", who="qemu1") as qmp, pytest.raises(QmpError, match="hung up"):
        qmp.execute("quit")


def test_no_answer_in_time(qemu, folder):
    qemu({"query-status": []})
    with Qmp(folder / "s", timeout=0.1) as qmp, pytest.raises(QmpError) as caught:
        qmp.execute("query-status")
    assert "no answer to query-status from QEMU within 0.1 s" in str(caught.value)


def test_missing_socket_and_dead_socket(folder):
    with pytest.raises(QmpError, match="no such socket; the guest may have ended"):
        Qmp(folder / "s").__enter__()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    with pytest.raises(QmpError, match="nobody listens"):
        Qmp(folder / "s").__enter__()


def test_missing_folder_and_name_too_long(folder):
    with pytest.raises(QmpError, match="No such file"):
        Qmp(folder / "gone" / "s").__enter__()
    with pytest.raises(QmpError, match="too long"):
        Qmp(folder / ("s" * 120)).__enter__()


def test_socket_held_by_another_client(qemu, folder):
    qemu()
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(folder / "s"))
        other.recv(4096)
        with pytest.raises(QmpError, match="another client holds it"):
            Qmp(folder / "s", timeout=0.1).__enter__()


def test_lock_held_by_another_user(qemu, folder):
    qemu()
    with (folder / "s.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(QmpError, match="another client holds it"):
            Qmp(folder / "s", timeout=0.1).__enter__()
    with Qmp(folder / "s"):
        pass


def test_lock_is_free_after_a_failed_connection(folder):
    for _ in range(2):
        with pytest.raises(QmpError, match="no such socket"):
            Qmp(folder / "s", timeout=0.5).__enter__()


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0\n", b"[]\n", b'{"QMP": 3}\n'])
def test_something_else_listens_there(qemu, folder, greeting):
    qemu(greeting=greeting)
    with pytest.raises(QmpError):
        Qmp(folder / "s", timeout=0.2).__enter__()


def test_use_after_the_end(qemu, folder):
    qemu()
    with Qmp(folder / "s") as qmp:
        pass
    with pytest.raises(QmpError, match="over"):
        qmp.execute("stop")


def test_errors_print_nothing_themselves(folder):
    code = "import sys; from ntbdbg.lab.qmp import Qmp; from ntbdbg.errors import QmpError\n"
    code += "try: Qmp(sys.argv[1]).__enter__()\nexcept QmpError: pass"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "s")], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""


def test_import_is_cheap():
    code = "import sys, ntbdbg.lab.qmp; print('asyncio' in sys.modules, 'qemu' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
