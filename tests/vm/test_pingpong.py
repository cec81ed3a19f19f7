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
        assert "ntb_hw_idt" in lab.sh(number, "dmesg")
        assert lab.complaints(number) == ""


def test_the_drivers_view_is_that_of_debugfs_and_of_the_device(lab):
    """Ports, peers, windows and rounds; and no disagreement on a healthy pair."""
    for number in (1, 2):
        before = count(lab, number)
        (found,) = lab.json_lines("ntb", f"qemu{number}")
        after = count(lab, number)
        driver = found["driver"]
        assert found["disagreements"] == []
        assert (driver["client_name"], driver["notes"]) == ("ntb_pingpong", [])
        assert before <= driver["client"]["count"] <= after
        said = lab.sh(number, "cat /sys/kernel/debug/ntb_hw_idt/info*")
        own = re.search(r"Local Port (\d+), Partition (\d+)", said)
        assert own
        assert [driver["port"], driver["partition"]] == [int(n) for n in own.groups()]
        peers = re.findall(r"(\d+)\. Port (\d+), Partition (\d+)", said)
        assert [[p["index"], p["port"], p["partition"]] for p in driver["peers"]] == [
            [int(n) for n in peer] for peer in peers
        ]
        windows = said.split("Inbound Memory Windows")[0]
        shown = re.findall(r"([\d-]+)\.\s+(DIR|LUT12)\s+BAR(\d), .* Size max (\d+)", windows)
        assert [_as_debugfs(group) for group in _alike(driver["windows"])] == shown


def _alike(windows):
    """Windows in runs of one BAR."""
    runs = {}
    for window in windows:
        runs.setdefault(window["bar"], []).append(window)
    return runs.values()


def _as_debugfs(run):
    first, last = run[0], run[-1]
    span = str(first["index"]) if first is last else f"{first['index']}-{last['index']}"
    kind = {"direct": "DIR"}.get(first["kind"], first["kind"])
    return (span, kind, str(first["bar"]), str(first["size_max"]))
