# SPDX-License-Identifier: MIT
"""A real QEMU that somebody started by hand: found, attached to, and, if allowed, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.errors import QmpError
from ntbdbg.lab.manifest import Manifest
from ntbdbg.lab.qmp import Qmp
from tests.device.conftest import qemu_build
from tests.device.deadline import eventually

pytestmark = pytest.mark.vm

MIB = 1 << 20
LOW, RAM = 128 * MIB, 320 * MIB

Run = Callable[..., Any]


@pytest.fixture
def stranger(tmp_path: Path) -> Run:
    """ntbdbg of somebody who has no labs; gives what it printed, parsed."""
    tmp_path.chmod(0o700)
    environ = {k: v for k, v in os.environ.items() if k != "NTBDBG_FROM"}
    environ["XDG_RUNTIME_DIR"] = str(tmp_path)

    def run(*words: str, expect: int = 0) -> Any:
        argv = [sys.executable, "-m", "ntbdbg", *words, "--json"]
        done = subprocess.run(
            argv, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == expect, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    return run


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU with RAM in a memfd, of which little lies below 4 GiB; its firmware runs."""
    build = qemu_build()
    firmware = [word for folder in build.firmware for word in ("-L", str(folder))]
    socket = tmp_path / "m"
    argv = [
        *(str(build.qemu), *firmware, "-nodefaults", "-display", "none", "-name", "by-hand"),
        *("-machine", f"q35,accel=tcg,memory-backend=ram,max-ram-below-4g={LOW}"),
        *("-m", f"{RAM}B", "-object", f"memory-backend-memfd,id=ram,size={RAM}B,share=on"),
        *("-qmp", f"unix:{socket},server=on,wait=off"),
    ]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        try:
            # It answers when the machine is made, RAM and all.
            eventually(lambda: answers(socket), "QEMU by hand", 60)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def answers(socket: Path) -> bool:
    with contextlib.suppress(QmpError), Qmp(socket, timeout=60) as qmp:
        return bool(qmp.execute("query-status"))
    return False


def test_one_whose_ram_has_no_path(by_hand: subprocess.Popen[bytes], stranger: Run) -> None:
    told = stranger("attach", f"pid:{by_hand.pid}", "--may", "freeze")
    assert told["guests"][0]["ram"].startswith(f"/proc/{by_hand.pid}/fd/")
    record = Manifest.load(told["path"]).guests[0]
    last = record.ram.segments[-1]
    assert (last.gpa, last.size, last.offset) == (1 << 32, RAM - LOW, LOW)
    stranger("freeze")
    assert stranger("info")["guests"][0]["state"] == "paused"
    stranger("resume")
    assert stranger("info")["guests"][0]["state"] == "running"
