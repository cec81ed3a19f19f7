# SPDX-License-Identifier: MIT
"""Six guests on one switch."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.vm

ALL = range(1, 7)
PORTS = [0, 2, 4, 6, 8, 12]
COUNT = "cat /sys/kernel/debug/ntb_pingpong/*/count"


@pytest.fixture(scope="module")
def lab(start_lab):
    return start_lab("--vms=6", "--memory", "128")


def test_pingpong_counts_everywhere(lab):
    before = [int(lab.sh(number, COUNT)) for number in ALL]
    lab.until(
        lambda: all(int(lab.sh(n, COUNT)) > before[n - 1] for n in ALL),
        timeout=120,
    )


def test_each_guest_sees_five_ports(lab):
    for number in ALL:
        told = lab.sh(number, "cat /sys/kernel/debug/ntb_hw_idt/info*")
        others = [n for n in ALL if n != number]
        assert f"Local Port {PORTS[number - 1]}, Partition {number - 1}" in told
        for index, other in enumerate(others):
            assert f"{index}. Port {PORTS[other - 1]}, Partition {other - 1}" in told
        assert "NTB link status\t- 0x0000001f" in told
        report = lab.json("regs", f"qemu{number}")
        assert report["port"] == PORTS[number - 1]
        assert report["link"]["up_to"] == [f"qemu{n}" for n in ALL if n != number]


def test_ntbdbg_covers_all(lab):
    windows = lab.json("windows")["windows"]
    assert [w["guest"] for w in windows] == [f"qemu{n}" for n in ALL for _ in range(13)]
    assert all(w["device_agrees"] for w in windows)
    for number in ALL:
        assert lab.json("map", f"qemu{number}")["areas"]
    *changes, _ = lab.json_lines("watch", "--link", "--count", "60", "--timeout", "60")
    assert {change["guest"] for change in changes} == {f"qemu{n}" for n in ALL}
