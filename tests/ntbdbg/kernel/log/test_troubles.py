# SPDX-License-Identifier: MIT
"""Lines that kernels print when they are in trouble."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.kernel.log.ring import LogRecord
from ntbdbg.kernel.log.troubles import MOST_LINES, SECOND, Kind, panic_lines, troubles


def log(*lines: str | tuple[float, str]) -> list[LogRecord]:
    """Records a second apart, unless a line says when."""
    records = []
    for seq, line in enumerate(lines):
        seconds, text = line if isinstance(line, tuple) else (float(seq), line)
        records.append(LogRecord(seq, int(seconds * SECOND), 0, 0, text, "T1", "", "", True))
    return records


# As kernels print them: 6.1, tried in guests or quoted from the sources.
SEEN = {
    "Kernel panic - not syncing: sysrq triggered crash": Kind.PANIC,
    "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:217]": Kind.SOFT_LOCKUP,
    "watchdog: Watchdog detected hard LOCKUP on cpu 0": Kind.HARD_LOCKUP,
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!": Kind.WORKQUEUE,
    "rcu: INFO: rcu_preempt self-detected stall on CPU": Kind.RCU_STALL,
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:": Kind.RCU_STALL,
    "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... }": Kind.RCU_STALL,
    "INFO: task modprobe:217 blocked for more than 120 seconds.": Kind.HUNG_TASK,
    "BUG: kernel NULL pointer dereference, address: 0000000000000000": Kind.OOPS,
    "Oops: 0002 [#1] PREEMPT SMP PTI": Kind.OOPS,
    "general protection fault, probably for non-canonical address 0x1: 0000 [#1]": Kind.OOPS,
    "kernel BUG at drivers/ntb/test/ntb_tool.c:1!": Kind.OOPS,
    "WARNING: CPU: 0 PID: 1 at drivers/ntb/core.c:1 ntb_register_device+0x1": Kind.WARNING,
    "Out of memory: Killed process 217 (cat) total-vm:1kB": Kind.OUT_OF_MEMORY,
}


@pytest.mark.parametrize("line", SEEN)
def test_each_kind_is_known_by_its_line(line: str) -> None:
    (found,) = troubles(log("Linux version 6.1", line, "ordinary"))
    assert (found.kind, found.time_ns, found.text) == (SEEN[line], SECOND, line)


@pytest.mark.parametrize(
    "line", ["NET: Registered PF_INET", "debug: no BUG here", "task blocked", "panic=-1 in cmdline"]
)
def test_ordinary_lines_are_none(line: str) -> None:
    assert troubles(log(line)) == []


def test_a_record_of_several_lines_counts_once() -> None:
    (found,) = troubles(log("rcu: INFO: rcu_preempt self-detected stall on CPU\nBUG: more"))
    assert found.kind is Kind.RCU_STALL


PANIC = (
    (10.0, "sysrq: Trigger a crash"),
    (10.1, "Kernel panic - not syncing: sysrq triggered crash"),
    (10.2, "CPU: 1 PID: 217 Comm: bash"),
    (10.3, "Call Trace:"),
    (10.4, "---[ end Kernel panic - not syncing: sysrq triggered crash ]---"),
    (11.0, "random: crng init done"),
)


def test_a_panic_is_told_to_its_end() -> None:
    assert panic_lines(log((1.0, "hello"), *PANIC)) == [text for _, text in PANIC[1:5]]


def test_the_oops_before_it_belongs_to_it() -> None:
    oops = [
        (9.0, "BUG: kernel NULL pointer dereference, address: 0"),
        (9.1, "#PF: supervisor write access"),
        (9.2, "Oops: 0002 [#1] PREEMPT SMP PTI"),
        (9.3, "RIP: 0010:sysrq_handle_crash+0x16/0x20"),
    ]
    assert panic_lines(log((1.0, "hello"), *oops, *PANIC))[0] == oops[0][1]


def test_an_oops_long_before_does_not() -> None:
    lines = panic_lines(log((2.0, "BUG: something else"), *PANIC))
    assert lines[0] == PANIC[1][1]


def test_without_a_panic_there_are_none() -> None:
    assert panic_lines(log("BUG: a bug", "and on it goes")) == []
    assert panic_lines([]) == []


def test_an_endless_one_is_cut() -> None:
    lines = panic_lines(log(PANIC[1], *[(10.2, f"line {n}") for n in range(3 * MOST_LINES)]))
    assert len(lines) == MOST_LINES


@given(st.lists(st.sampled_from([*SEEN, "x", PANIC[4][1], "------------[ cut here ]"])))
def test_whatever_is_logged_it_ends(lines: list[str]) -> None:
    records = log(*lines)
    assert len(troubles(records)) <= len(lines)
    told = panic_lines(records)
    assert bool(told) == any(line.startswith("Kernel panic") for line in lines)
