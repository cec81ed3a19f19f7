# SPDX-License-Identifier: MIT
"""A guest without MSI: the device's pin carries all interrupts."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.vm

COUNT = "cat /sys/kernel/debug/ntb_pingpong/*/count"


@pytest.fixture(scope="module")
def lab(start_lab):
    return start_lab("--cmdline-common=pci=nomsi")


def test_pingpong_counts_by_pin(lab):
    before = [int(lab.sh(n, COUNT)) for n in (1, 2)]
    lab.until(
        lambda: all(int(lab.sh(n, COUNT)) >= before[n - 1] + 2 for n in (1, 2)),
        timeout=60,
    )
    for number in (1, 2):
        line = lab.sh(number, "grep -i idt /proc/interrupts")
        assert "IO-APIC" in line
        assert "MSI" not in line
        handled = sum(int(n) for n in re.findall(r"\s(\d+)(?=\s)", line.split(":", 1)[1]))
        assert handled >= 2
        log = lab.sh(number, "dmesg")
        assert not re.search(r"BUG:|Oops|Call Trace|nobody cared", log)
