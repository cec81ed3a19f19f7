# SPDX-License-Identifier: MIT
"""By default ntb_pingpong binds, and its doorbells and messages pass both ways."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.vm

COUNT = "cat /sys/kernel/debug/ntb_pingpong/*/count"


def count(lab, number: int) -> int:
    return int(lab.sh(number, COUNT))


def test_counters_rise_on_both_sides(lab):
    before = [count(lab, n) for n in (1, 2)]
    lab.until(lambda: all(count(lab, n) >= before[n - 1] + 2 for n in (1, 2)), timeout=60)


def test_watch_sees_the_doorbells(lab):
    """Doorbell bit = number of the destination port, set by the peer, cleared by the guest."""
    *changes, end = lab.json_lines("watch", "--link", "--count", "12", "--timeout", "60")
    assert end["kind"] == "watch-end"
    assert len(changes) >= 12
    times = [change["monotonic"] for change in changes]
    assert times == sorted(times)
    assert {change["guest"] for change in changes} == {"qemu1", "qemu2"}


def test_statistics_grow_with_the_counters(lab):
    """Interrupts that the device says it raised are at least those the guest's driver counted."""
    for number in (1, 2):
        text = lab.sh(number, "grep idt /proc/interrupts || grep -i ntb /proc/interrupts")
        handled = sum(int(n) for n in re.findall(r"\s(\d+)(?=\s)", text.split(":", 1)[1]))
        raised = lab.port_block(number).msi
        assert handled > 0
        # One interrupt may be on its way between the two readings; the guest reads first.
        assert raised >= handled


def test_neither_guest_complains(lab):
    for number in (1, 2):
        log = lab.sh(number, "dmesg")
        assert "ntb_hw_idt" in log
        assert not re.search(r"BUG:|Oops|Call Trace|WARNING:", log)
