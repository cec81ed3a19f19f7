# SPDX-License-Identifier: MIT
"""The temperature sensor through hwmon, and what the driver tells in debugfs."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.vm

HWMON = 'cd "$(dirname /sys/class/hwmon/*/temp1_reset_history)"'


def sensor(lab, number: int, name: str) -> int:
    return int(lab.sh(number, f"{HWMON} && cat {name}"))


def test_sensor_shows_the_default_temperature(lab):
    for number in (1, 2):
        for name in ("temp1_input", "temp1_lowest", "temp1_highest"):
            assert sensor(lab, number, name) == 40000
        assert sensor(lab, number, "temp1_offset") == 0


def test_offset_and_history(lab):
    lab.sh(1, f"{HWMON} && echo 5000 > temp1_offset")
    assert sensor(lab, 1, "temp1_input") == 45000
    assert sensor(lab, 1, "temp1_lowest") == 40000
    assert sensor(lab, 1, "temp1_highest") == 45000
    lab.sh(1, f"{HWMON} && echo 1 > temp1_reset_history")
    for name in ("temp1_input", "temp1_lowest", "temp1_highest"):
        assert sensor(lab, 1, name) == 45000
    assert sensor(lab, 2, "temp1_input") == 40000, "each port has its own"
    lab.sh(1, f"{HWMON} && echo -10000 > temp1_offset && echo 1 > temp1_reset_history")
    assert sensor(lab, 1, "temp1_offset") == -10000
    assert sensor(lab, 1, "temp1_input") == 30000
    lab.sh(1, f"{HWMON} && echo 0 > temp1_offset && echo 1 > temp1_reset_history")
    assert lab.port_block(1).tmpsts & 0xFF == 80


def test_debugfs_tells_of_both_ports(lab):
    for number, port in ((1, 0), (2, 2)):
        text = lab.sh(number, "cat /sys/kernel/debug/ntb_hw_idt/info*")
        assert f"Local Port {port}, Partition {number - 1}\n" in text
        assert f"Port {2 - port}, Partition {2 - number}\n" in text.split("Peers:", 1)[1]
        assert "PCIe Gen 2 x4 lanes" in text
        assert "Inbound Memory Windows for peer 0" in text
        assert re.search(r"Switch temperature\s+- 40\.0C", text), text
    assert lab.complaints(1) == ""
