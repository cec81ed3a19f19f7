# SPDX-License-Identifier: MIT
"""The page that a person reads first, on a terminal."""

from __future__ import annotations

import dataclasses
import io

from ntbdbg.analysis.postmortem import LinkStory, Postmortem
from ntbdbg.render.console import make_console
from ntbdbg.render.postmortem import PostmortemView, postmortem_facts
from tests.support import stories


def shown(story: Postmortem, width: int = 100) -> str:
    stream = io.StringIO()
    console = make_console(stream, color=False)
    console.width = width
    console.print(PostmortemView(story))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


PICTURE = r"""
qemu1: panic at 131.2 s: sysrq triggered crash (+1 more)
link: up; qemu1: driver against device: masks differ
qemu2: it runs, its log tells of no trouble

qemu1: panicked
    RIP: pp_ping+0x42/0x80 [ntb_pingpong]
  warning at 1.2 s: <script>alert(1)</script> \x1b[31m & \x00
  CPU 0: pid 0 swapper/0  idle
      pp_ping+0x42 [ntb_pingpong]
      worker_thread+0xaf
      kthread+0xda
      ret_from_fork+0x22
  CPU 1: pid 217 bash  panicked here
      pp_ping+0x42 [ntb_pingpong]
      worker_thread+0xaf
      kthread+0xda
      ret_from_fork+0x22
      the stack is damaged
  last messages besides
    [    1.000000] hello
  panic, as logged
    Kernel panic - not syncing: sysrq triggered crash
    <script>alert(1)</script> \x1b[31m & \x00
  kernel  6.1.0-56-amd64
  uptime  132 s

qemu2: running
  modules: the list is damaged after 3
  pid 33 kworker/0:1 [D]  has waited for 140 s
      pp_ping+0x42 [ntb_pingpong]
      worker_thread+0xaf
      kthread+0xda
      ret_from_fork+0x22
  last messages
    [    2.000000] needle in qemu2's log
  kernel  6.1.0-56-amd64

link
  qemu2: doorbells 0x10 are set but masked (INDBELLMSK 0x000000f0)
  qemu1: driver against device: the driver masks 0x1, INDBELLMSK is 0x3
  WINDOW     BAR             AT          SIZE    REACHES                STATE
  qemu1:mw0  2 direct 2 MiB  0xfe000000  64 KiB  qemu2:0x40000-0x4ffff  open
  qemu2:mw0  2 direct 2 MiB  0xfe000000  32 KiB  qemu1:0x80000-0x87fff  open

what differs between the guests
  qemu1 has module ntb_tool, qemu2 has not

before.cap
  taken       2026-11-26 16:00:01
  standstill  3.2 ms
"""


def test_golden_picture() -> None:
    assert shown(stories.story()) == PICTURE.strip("\n")


def test_a_link_that_cannot_be_read() -> None:
    story = Postmortem("x.cap", (), LinkStory(None, problem="the page is gone"))
    assert shown(story) == "\nlink: the page is gone\n\nx.cap"


def test_what_is_in_order_is_told_only_where_it_was_looked_at() -> None:
    link = stories.link_story().link
    assert "agree" not in shown(Postmortem("x", (), LinkStory(link)))
    told = shown(Postmortem("x", (), LinkStory(link, compared=("qemu1", "qemu2"))))
    assert "  nothing waits, is masked or refused\n" in told
    assert "  driver and device agree in qemu1 and qemu2\n" in told


def test_json_says_the_same() -> None:
    facts = postmortem_facts(stories.story())
    one, two = facts["guests"]
    assert (one["condition"], two["condition"]) == ("panicked", "running")
    assert one["panic"][1] == stories.HOSTILE
    assert one["cpus"][1]["problem"] == "the stack is damaged"
    assert two["stuck"][0]["why"] == "has waited for 140 s"
    assert facts["link"]["findings"][0]["guest"] == "qemu2"
    assert facts["facts"]["standstill"] == "3.2 ms"


def test_on_a_narrow_terminal_what_goes_on_is_indented_like_its_start() -> None:
    text = shown(stories.story(), width=24)
    for part in (
        "\n  taken       2026-11-26\n              16:00:01\n",
        "\n      pp_ping+0x42\n      [ntb_pingpong]\n",
    ):
        assert part in text


def test_the_last_events_before() -> None:
    link = stories.recorded_link()
    text = shown(Postmortem("lab", (), link))
    assert "  the last 20 events before" in text
    lines = text[text.index("events before") :].splitlines()[1:21]
    assert lines[0].split() == ["11.000000", "qemu1", "rings", "doorbells", "0xb", "at", "qemu2"]
    assert lines[-1].strip().endswith("no interrupt for doorbells 0x1: masked as doorbells")
    facts = postmortem_facts(Postmortem("lab", (), link))["link"]
    assert len(facts["events"]) == 20
    assert facts["events"][-1]["event"] == "no-interrupt"
    assert facts["unrecorded"] == ""


def test_where_nothing_is_recorded_it_is_said() -> None:
    link = dataclasses.replace(stories.link_story(), unrecorded="page: nothing is recorded here")
    assert "what happened before: page: nothing is recorded here" in shown(
        Postmortem("lab", (), link)
    )
    assert postmortem_facts(Postmortem("lab", (), link))["link"]["events"] is None
