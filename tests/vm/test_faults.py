# SPDX-License-Identifier: MIT
"""Guests that die, hang, reboot and come back, and what the other one makes of it.

Each fault is repeated a few times, or as often as a soak wants.
"""

from __future__ import annotations

import os
import signal

import pytest

from run.demo import tool
from tests.device.soak import REPETITIONS

pytestmark = pytest.mark.vm

ROUNDS = range(REPETITIONS)
SIZE = 0x10000
GO = "/dev/shm/write"
WRITE_FOR_EVER = (
    f"cd {tool.PEER} && touch {GO} && (while [ -e {GO} ]; do"
    f" dd if=/dev/urandom of=peer_mw0 bs=4096 count=16; done; rm {GO}.on) > /dev/null 2>&1 &"
    f" touch {GO}.on"
)
# The translation stays: a writer that went on would write into whatever the new guest has there.
STOP_WRITING = f"rm {GO}; while [ -e {GO}.on ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def lab(tool_lab):
    return tool_lab


@pytest.fixture(autouse=True)
def nobody_complains(lab):
    yield
    for number in (1, 2):
        if lab.manifest.guests[number - 1].is_alive():
            assert lab.complaints(number) == ""


def enable(lab, *numbers: int) -> None:
    for number in numbers:
        lab.sh(number, tool.LINK_UP)
    lab.until(lambda: link(lab) == "YY", timeout=60)


def link(lab) -> str:
    return "".join(lab.ssh(number, tool.LINK_STATE).stdout.strip() for number in (1, 2))


def open_window(lab) -> None:
    """From VM 1 into a new buffer of VM 2, seen to work."""
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    lab.sh(1, tool.write_window("before"))
    assert lab.sh(2, tool.read_buffer(6)) == "before"


def window(lab) -> dict:
    return lab.json("windows", "qemu1")["windows"][0]


@pytest.mark.parametrize("attempt", ROUNDS)
def test_kill_9_during_window_writes(lab, attempt):
    open_window(lab)
    lab.sh(1, WRITE_FOR_EVER)
    victim = lab.manifest.guests[1].process.pid
    os.kill(victim, signal.SIGKILL)
    lab.until(lambda: lab.sh(1, tool.LINK_STATE) == "N", timeout=10)
    shown = window(lab)
    assert not shown["open"]
    assert shown["device_agrees"]
    assert [cause["reason"] for cause in shown["closed"]] == ["peer_dead"]
    assert str(victim) in shown["closed"][0]["text"]
    assert [g["state"] for g in lab.status["guests"]] == ["running", "ended"]
    assert lab.status["guests"][1]["exit_code"] == -signal.SIGKILL
    assert "link is down" in lab.sh(1, "dmesg | grep ntb_tool | tail -1")
    lab.sh(1, STOP_WRITING)
    read_back = lab.sh(1, f"head -c 4 {tool.PEER}/peer_mw0 | od -An -tx1")
    assert read_back.split() == ["ff"] * 4
    lab.run("start", "2", "--name", lab.name, timeout=300)
    enable(lab, 2)
    assert "link is up" in lab.sh(1, "dmesg | grep ntb_tool | tail -1")
    open_window(lab)
    assert window(lab)["open"]


@pytest.mark.parametrize("attempt", ROUNDS)
def test_reboot(lab, attempt):
    """The other guest sees the link go and come, and its window opens again by itself."""
    open_window(lab)
    before = lab.port_block(1).incarnation
    lab.sh(2, "(sleep 0.2; reboot -f) > /dev/null 2>&1 &")  # the connection would hang
    lab.until(lambda: lab.sh(1, tool.LINK_STATE) == "N", timeout=30)
    assert not window(lab)["open"]
    lab.until(lambda: lab.ssh(2, "true").returncode == 0, timeout=200)
    enable(lab, 2)
    assert window(lab)["open"]
    assert window(lab)["device_agrees"]
    assert lab.port_block(1).incarnation == before
    open_window(lab)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_link_disable_does_not_wait_for_a_frozen_peer(lab, attempt):
    open_window(lab)
    pid = lab.manifest.guests[1].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        spent = lab.sh(
            1,
            f"cd {tool.DIRECTORY} && a=$(cut -d. -f1 /proc/uptime) && echo N > link"
            " && b=$(cut -d. -f1 /proc/uptime) && echo $((b - a))",
        )
        # The device waits 50 ms; emulated guests on a busy host may be slow about the rest.
        assert int(spent) <= 5
        assert not window(lab)["open"]
    finally:
        os.kill(pid, signal.SIGCONT)
    enable(lab, 1)
    lab.until(lambda: window(lab)["open"], timeout=10)
    open_window(lab)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_unloading_and_loading_the_driver(lab, attempt):
    """Without buffer and translation: to remove ntb_tool while it has one crashes Linux 6.1."""
    lab.ssh(1, tool.CLEAR_WINDOW)
    lab.ssh(2, tool.FREE_BUFFER)
    for number in (1, 2):
        lab.sh(number, "rmmod ntb_tool && rmmod ntb_hw_idt")
        lab.until(lambda n=3 - number: lab.sh(n, tool.LINK_STATE) == "N", timeout=10)
        lab.sh(number, "modprobe ntb_hw_idt && modprobe ntb_tool")
        enable(lab, number)
    open_window(lab)
