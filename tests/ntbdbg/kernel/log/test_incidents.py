# SPDX-License-Identifier: MIT
"""What a kernel prints of an oops, a warning, a lockup: what, where, who, and the trace."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.kernel.log.incidents import MOST_INCIDENTS, MOST_LINES, Incident, incidents
from ntbdbg.kernel.log.ring import LogRecord
from ntbdbg.kernel.log.troubles import SECOND, Kind

CUT = "------------[ cut here ]------------"
END = "---[ end trace 0000000000000000 ]---"
REGISTERS = """\
Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2
RIP: 0010:my_write+0x12/0x20 [my]
Code: 00 00 c7 04 25 00 00 00 00 2a 00 00 00 c3
RSP: 0018:ffffb2d0c0587e98 EFLAGS: 00010246
Call Trace:
 <TASK>
 ? __die_body.cold+0x1a/0x1f
 full_proxy_write+0x53/0x80
 vfs_write+0xb5/0x3c0
 </TASK>
Modules linked in: my(OE) ntb_tool(OE)"""
OOPS = f"""\
BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
Oops: 0002 [#1] PREEMPT SMP PTI
CPU: 1 PID: 217 Comm: tee a file Tainted: G           OE      6.1.0-56-amd64 #1
{REGISTERS}
CR2: 0000000000000000
{END}
RIP: 0010:my_write+0x12/0x20 [my]"""
TRACE = ("full_proxy_write+0x53/0x80", "vfs_write+0xb5/0x3c0")


def log(*lines: str, caller: str = "T217", at: float = 1.0, seq: int = 0) -> list[LogRecord]:
    """A record a line, a millisecond apart."""
    return [
        LogRecord(seq + n, int((at + n / 1000) * SECOND), 0, 0, line, caller, "", "", True)
        for n, line in enumerate(lines)
    ]


def only(text: str) -> Incident:
    (found,) = incidents(log("hello", *text.split("\n"), "and on it goes"))
    return found


def test_an_oops_is_told_with_its_place_task_and_trace() -> None:
    found = only(OOPS)
    assert (found.kind, found.headline) == (Kind.OOPS, OOPS.split("\n")[0])
    assert (found.place, found.task) == ("my_write+0x12/0x20 [my]", "tee a file (pid 217)")
    assert (found.cpu, found.trace) == (1, TRACE)
    assert found.lines[-2:] == (END, "RIP: 0010:my_write+0x12/0x20 [my]")
    assert found.told == (
        OOPS.split("\n")[0],
        "RIP: my_write+0x12/0x20 [my]",
        "Call Trace:",
        *(f"  {frame}" for frame in TRACE),
    )


def test_newer_kernels_name_the_user_too() -> None:
    text = OOPS.replace("CPU: 1 PID", "CPU: 1 UID: 0 PID").replace("Oops: 0002", "Oops: Oops: 0002")
    assert only(text).task == "tee a file (pid 217)"
    untainted = text.replace("Tainted: G           OE     ", "Not tainted")
    assert only(untainted).task == "tee a file (pid 217)"


def test_a_general_protection_fault() -> None:
    head = "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP"
    for first in (head, f"Oops: {head}"):
        found = only("\n".join([first, *OOPS.split("\n")[4:]]))
        assert (found.kind, found.headline) == (Kind.OOPS, first)
        assert found.place == "my_write+0x12/0x20 [my]"


def test_a_list_that_is_damaged_is_named_and_the_bug_behind_it_belongs_to_it() -> None:
    bug = ["kernel BUG at lib/list_debug.c:30!", "invalid opcode: 0000 [#1] PREEMPT SMP PTI"]
    head = "list_add corruption. next->prev should be prev (ffff8880), but was 0000."
    found = only("\n".join([head, CUT, *bug, *OOPS.split("\n")[4:]]))
    assert (found.kind, found.headline, found.trace) == (Kind.OOPS, head, TRACE)


def test_a_list_that_is_damaged_where_the_kernel_only_warns() -> None:
    warning = "WARNING: CPU: 1 PID: 217 at lib/list_debug.c:30 __list_add_valid+0x5c/0x90"
    head = "list_del corruption. prev->next should be ffff8880, but was 0000."
    for lines in ([CUT, warning, head], [CUT, head, warning]):
        found = only("\n".join([*lines, *OOPS.split("\n")[4:]]))
        assert (found.kind, found.trace) == (Kind.CORRUPTION, TRACE)
        assert head in found.headline


def test_a_warning_is_told_with_what_it_says_wherever_that_stands() -> None:
    warning = "WARNING: CPU: 1 PID: 217 at my.c:3 my_write+0x12/0x20 [my]"
    says, rest = "the peer sent 3 words", OOPS.split("\n")[4:-2]
    for lines in ([CUT, warning, says], [CUT, says, warning]):
        found = only("\n".join([*lines, *rest, END]))
        assert (found.kind, found.headline) == (Kind.WARNING, f"{says} (my.c:3)")
    found = only("\n".join([CUT, warning, "Modules linked in: my(OE)", *rest, END]))
    assert found.headline == "my.c:3"
    assert found.place == "my_write+0x12/0x20 [my]"
    newer = "WARNING: my.c:3 at my_write+0x12/0x20 [my], CPU#1: cat/217"
    found = only("\n".join([CUT, newer, *rest, END]))
    assert (found.kind, found.headline) == (Kind.WARNING, "my.c:3")
    assert incidents(log(newer))[0].place == "my_write+0x12/0x20 [my]"


def test_a_lockup_and_a_hung_task() -> None:
    soft = "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:217]"
    found = only("\n".join([soft, *OOPS.split("\n")[4:-3]]))
    assert (found.kind, found.place) == (Kind.SOFT_LOCKUP, "my_write+0x12/0x20 [my]")
    hung = only(
        "INFO: task modprobe:217 blocked for more than 120 seconds.\n"
        "      Tainted: G           OE      6.1.0-56-amd64 #1\n"
        "task:modprobe        state:D stack:0     pid:217   ppid:1      flags:0x00004002\n"
        "Call Trace:\n <TASK>\n schedule+0x5a/0xd0\n my_wait+0x12/0x30 [my]\n </TASK>"
    )
    assert (hung.kind, hung.task) == (Kind.HUNG_TASK, "modprobe (pid 217)")
    assert hung.trace == ("schedule+0x5a/0xd0", "my_wait+0x12/0x30 [my]")


def test_a_panic_goes_on_where_the_oops_ended() -> None:
    panic = "Kernel panic - not syncing: Fatal exception"
    found = only(f"{OOPS}\n{panic}\n---[ end {panic} ]---")
    assert (found.kind, found.headline) == (Kind.PANIC, OOPS.split("\n")[0])
    assert found.lines[-1] == f"---[ end {panic} ]---"


def test_where_a_program_was_is_no_place() -> None:
    panic = "Kernel panic - not syncing: sysrq triggered crash"
    user = "RIP: 0033:0x7f1d5a3c0740"
    found = only(f"{panic}\nCall Trace:\n panic+0x1/0x2\n{user}\n---[ end {panic} ]---")
    assert (found.place, found.trace) == ("", ("panic+0x1/0x2",))


def test_two_in_a_row_are_two() -> None:
    twice = log(*OOPS.split("\n"), *OOPS.replace("[#1]", "[#2]").split("\n"))
    assert [one.kind for one in incidents(twice)] == [Kind.OOPS, Kind.OOPS]
    apart = log("BUG: a bug") + log("Oops: 0002 [#1]", at=9.0, seq=1)
    assert [one.headline for one in incidents(apart)] == ["BUG: a bug", "Oops: 0002 [#1]"]


def test_processors_that_print_at_once_are_kept_apart() -> None:
    mine = log(*OOPS.split("\n"))
    other = log(*OOPS.replace("my_write", "other").split("\n"), caller="C0")
    both = [record for pair in zip(mine, other, strict=True) for record in pair]
    first, second = incidents(both)
    assert (first.place, second.place) == ("my_write+0x12/0x20 [my]", "other+0x12/0x20 [my]")
    assert first.trace == second.trace == TRACE


def test_what_has_no_end_is_cut() -> None:
    (endless,) = incidents(log("BUG: a bug", *("x" for _ in range(3 * MOST_LINES))))
    assert len(endless.lines) == MOST_LINES
    many = incidents([one for n in range(200) for one in log("BUG: a bug", at=9.0 * n)])
    assert len(many) == MOST_INCIDENTS


@given(st.lists(st.sampled_from([*OOPS.split("\n"), CUT, END, "Kernel panic - not syncing: x"])))
def test_whatever_is_logged_it_ends(lines: list[str]) -> None:
    for found in incidents(log(*lines)):
        assert set(found.lines) <= set(lines)
