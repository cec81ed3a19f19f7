# SPDX-License-Identifier: MIT
"""A guest without MSI: the device's pin carries all interrupts."""

from __future__ import annotations

import re

import pytest

from tests.vm.interrupts import COMMAND, config, counted, obstacle, set_config

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
        assert lab.complaints(number) == ""


def test_a_pin_that_is_switched_off(lab):
    """Nothing is counted that was not sent; then the rounds go on where they stopped."""
    assert obstacle(lab, 1) == ""
    command = config(lab, 1, COMMAND, 2)
    set_config(lab, 1, COMMAND, command | 0x400)
    try:
        number, before = counted(lab, 1)
        told = obstacle(lab, 1)
        after = counted(lab, 1).count
        found = re.fullmatch(
            rf"interrupt {number} of its NTB cannot arrive: INTx is disabled "
            rf"\(PCI command {command | 0x400:#06x}\); "
            r"the device has sent \d+, the guest counted (\d+)",
            told,
        )
        assert found, told
        assert before <= int(found[1]) <= after, "others may use the same pin"
        lab.until(lambda: at_rest(lab), timeout=30)
    finally:
        set_config(lab, 1, COMMAND, command)
    stopped = int(lab.sh(1, COUNT))
    lab.until(lambda: int(lab.sh(1, COUNT)) > stopped + 1, timeout=60)
    assert obstacle(lab, 1) == ""


def at_rest(lab) -> bool:
    """A doorbell waits at the first guest, and its device sends nothing of it."""
    before = lab.json("regs", "qemu1", "--all")
    after = lab.json("regs", "qemu1", "--all")
    counts = [report["statistics"]["msi"] for report in (before, after)]
    return bool(after["doorbell"]["pending"]) and counts[0] == counts[1]
