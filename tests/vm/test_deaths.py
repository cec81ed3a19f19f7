# SPDX-License-Identifier: MIT
"""One lab dies bit by bit: the switch's server, a kernel, a QEMU, the launcher.

At each step those that are left go on, and what died can still be looked at.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.lab.qmp import Qmp
from run.demo import tool
from tests.vm import traces
from tests.vm.conftest import StartLab
from tests.vm.support import CHECKOUT, Lab

pytestmark = [pytest.mark.vm, pytest.mark.in_order]

BOTH = (1, 2)
COUNT = "cat /sys/kernel/debug/ntb_pingpong/*/count"
SERVER_LOST = 4
"""Flag of a port's block in the shared page."""

SIZE = 0x10000


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    return start_lab()


@pytest.fixture(scope="module")
def servers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that were started in place of the lab's own."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for server in started:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def panicked(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second guest panics, as a capture was waiting for it to; gives the capture."""
    path = tmp_path_factory.mktemp("panic") / "panic.cap"
    argv = [sys.executable, "-m", "ntbdbg", "--lab", lab.name, "capture", str(path)]
    with subprocess.Popen(
        [*argv, "--on-panic", "--timeout", "200", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=lab.environ,
        cwd=CHECKOUT,
    ) as waiting:
        assert waiting.stdout is not None
        # The monitor is free meanwhile.
        assert lab.qmp_status() == {"qemu1": "running", "qemu2": "running"}
        script = "echo 1 > /proc/sys/kernel/sysrq; (sleep 1; echo c > /proc/sysrq-trigger)"
        lab.ssh(2, f"{script} > /dev/null 2>&1 &")
        told = json.loads(waiting.stdout.readline())
    assert waiting.returncode == 0
    assert told["reason"] == "qemu2 panicked"
    return path


def lost_server(lab: Lab) -> list[bool]:
    """Whether each guest's port says that its server is gone."""
    return [bool(lab.port_block(number).flags & SERVER_LOST) for number in BOTH]


def counts(lab: Lab) -> list[int]:
    return [int(lab.sh(number, COUNT)) for number in BOTH]


def of_capture(path: Path, *words: str) -> str:
    argv = [sys.executable, "-m", "ntbdbg", "--from", str(path), *words]
    done = subprocess.run(
        argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- the server ------------------------------------------------------------------------------


def test_guests_outlive_a_new_server(lab: Lab, servers: list[subprocess.Popen[bytes]]) -> None:
    """The server is killed and started again: pingpong goes on, and nobody is told."""
    link = lab.manifest.link
    assert link is not None
    argv = Path(f"/proc/{link.server.pid}/cmdline").read_bytes().split(b"\0")[:-1]
    before = [lab.sh(number, "dmesg | wc -l") for number in BOTH]
    os.kill(link.server.pid, signal.SIGKILL)
    lab.until(lambda: lost_server(lab) == [True, True])
    Path(link.socket).unlink()
    servers.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    lab.until(lambda: lost_server(lab) == [False, False])
    then = counts(lab)
    lab.until(
        lambda: all(now >= old + 2 for now, old in zip(counts(lab), then, strict=True)), timeout=60
    )
    assert [lab.sh(number, "dmesg | wc -l") for number in BOTH] == before


def test_death_of_the_server_leaves_the_link_up(
    lab: Lab, servers: list[subprocess.Popen[bytes]]
) -> None:
    """Eventfds and windows work without it; only newcomers need it."""
    for number in BOTH:
        lab.sh(number, tool.SWAP_CLIENT)
        lab.sh(number, tool.LINK_UP)
    lab.until(lambda: link_states(lab) == ["Y", "Y"], timeout=60)
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    lab.sh(1, tool.write_window("before"))
    assert lab.sh(2, tool.read_buffer(6)) == "before"
    servers[-1].kill()
    lab.until(lambda: lost_server(lab) == [True, True])
    lab.sh(1, tool.write_window("orphan"))
    assert lab.sh(2, tool.read_buffer(6)) == "orphan"
    lab.sh(1, f"cd {tool.DIRECTORY} && echo 's 0x4' > peer_db")
    lab.until(lambda: int(lab.sh(2, f"cat {tool.DIRECTORY}/db"), 16) & 4, timeout=10)
    assert link_states(lab) == ["Y", "Y"]
    with Qmp(lab.manifest.guests[1].qmp, timeout=30, who="qemu2") as qmp:
        assert qmp.execute("query-status")["running"]


def link_states(lab: Lab) -> list[str]:
    return [lab.sh(number, tool.LINK_STATE) for number in BOTH]


# -- a kernel --------------------------------------------------------------------------------


def test_a_panic_is_waited_for(lab: Lab, panicked: Path) -> None:
    assert lab.qmp_status()["qemu1"] == "running"
    log = of_capture(panicked, "dmesg", "qemu2")
    assert "Kernel panic - not syncing: sysrq triggered crash" in log


def test_a_panicked_guest_stays(lab: Lab, panicked: Path) -> None:
    process = lab.manifest.guests[1].process
    assert process is not None
    lab.until(lambda: lab.status["guests"][1]["state"] == "panicked")
    assert process.is_alive()
    assert "Kernel panic - not syncing: sysrq triggered crash" in lab.console_log(2)
    shown = lab.run("status", "--name", lab.name).stdout
    assert "qemu2 panicked; it stays to be looked at" in shown
    hits = lab.json("search", "qemu2", "str:Linux version", "--limit", "1")["matches"]
    assert hits, "its memory can be read"


def test_a_panic_is_unwound_as_the_kernel_did(lab: Lab, panicked: Path) -> None:
    lab.until(lambda: "end Kernel panic" in lab.console_log(2))
    told = traces.last_trace(lab.console_log(2).replace("\r", ""))
    assert told[-1].startswith("entry_SYSCALL_64_after_hwframe")
    stacks = lab.json("bt", "qemu2")["stacks"]
    names = [[frame["symbol"] for frame in stack["frames"]] for stack in stacks]
    (mine,) = [one for one in names if any((name or "").startswith("panic+") for name in one)]
    start = next(i for i, name in enumerate(told) if name.startswith("sysrq_handle_crash"))
    assert mine[mine.index(told[start]) :] == told[start:]


# -- a QEMU ----------------------------------------------------------------------------------


def test_a_killed_guest_is_shown_with_code_and_last_lines(lab: Lab) -> None:
    guest = lab.manifest.guests[1]
    assert guest.process is not None
    os.kill(guest.process.pid, signal.SIGKILL)
    lab.until(lambda: lab.status["guests"][1]["exit_code"] == -signal.SIGKILL)
    shown = lab.run("status", "--name", lab.name).stdout
    assert "qemu2 was killed by SIGKILL" in shown
    assert "console:" in shown
    assert Path(guest.ram.path).exists(), "its RAM stays until stop"
    assert "does not run" in lab.ssh(2, "true").stderr
    lab.until(lambda: lab.sh(1, tool.LINK_STATE) == "N", timeout=10)


def test_of_a_guest_that_was_killed_there_is_its_ram(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "dead.cap"
    told: dict[str, Any] = lab.json("capture", str(path), "--pack")
    assert [(guest["state"], bool(guest["vcpus"])) for guest in told["guests"]] == [
        ("running", True),
        ("dead", False),
    ]
    verify = [sys.executable, "-m", "ntbdbg", "verify", str(path)]
    assert subprocess.check_output(verify, cwd=CHECKOUT, text=True) == f"{path}: intact\n"
    assert "sysrq triggered crash" in of_capture(path, "dmesg", "qemu2")
    assert "is gone" in of_capture(path, "windows")


# -- the launcher ----------------------------------------------------------------------------


def test_a_killed_launcher_is_cleaned_up_by_stop(lab: Lab) -> None:
    manifest = lab.manifest
    survivor = manifest.guests[0].process
    assert survivor is not None
    assert manifest.link is not None
    os.kill(manifest.launcher.pid, signal.SIGKILL)
    lab.until(lambda: not manifest.launcher.is_alive())
    assert survivor.is_alive(), "what is being debugged outlives its launcher"
    lab.stop()
    assert not survivor.is_alive()
    assert not manifest.link.server.is_alive()
    assert not Path(manifest.guests[0].ram.path).parent.exists()
    assert not Path(manifest.link.shared_page).exists()
    assert {path.suffix for path in lab.folder.iterdir()} == {".log", ""}
