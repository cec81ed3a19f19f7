# SPDX-License-Identifier: MIT
"""What is told first about a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ntbdbg.memory.base import Segment
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.findings import Finding, link_findings
from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.model import IDPROTDIS
from ntbdbg.ntb.sharedpage import PageBytes
from ntbdbg.ntb.story import read_story
from tests.support.fakeswitch import FakeSwitch

NAMES = {0: "qemu1", 1: "qemu2"}
RAM = [Segment(0, 256 << 20, 0)]


def healthy() -> FakeSwitch:
    switch = FakeSwitch()
    for part in (0, 1):
        switch.publish_ram(part, RAM)
    switch.link_up()
    for part in (0, 1):
        switch.port(part).ntintmsk = 0xB0
    return switch


def findings(switch: FakeSwitch, alive: dict[int, bool] | None = None) -> list[Finding]:
    return link_findings(decode_page(switch.build(), "page", alive=alive), NAMES)


def test_nothing_is_said_of_a_healthy_link() -> None:
    assert findings(healthy()) == []


def late(switch: FakeSwitch) -> None:
    """qemu1 went off the link a third time, and qemu2 has let go of it twice."""
    switch.port(0).quiesce_timeouts = 1
    switch.port(0).down_epoch = 3
    switch.port(0).ack = [2] * 8


@pytest.mark.parametrize("since", ["closed", "detached", "dead", "in time so far"])
def test_a_peer_that_was_late_and_can_write_no_more_is_not_told_of(since: str) -> None:
    switch = healthy()
    late(switch)
    if since == "closed":
        switch.port(0).ack = [3] * 8
    elif since == "detached":
        switch.detach(1)
    elif since == "in time so far":
        switch.port(0).quiesce_timeouts = 0
    told = findings(switch, {0: True, 1: since != "dead"})
    assert not [one for one in told if "closed its windows" in one.text]


def test_since_when_a_peer_is_late_where_it_was_recorded() -> None:
    switch = healthy()
    late(switch)
    rings = switch.record()
    rings.record(0, 2_000_000_000, Kind.QUIESCE, num=2, a=50_000_000)
    rings.record(0, 3_500_000_000, Kind.QUIESCE, num=3, a=50_000_000, b=1 << 1)
    page = PageBytes("page", switch.build())
    told = link_findings(page.link(), NAMES, read_story(page).events)
    (text,) = [one.text for one in told if "closed its windows" in one.text]
    assert text.endswith("may write there, since 3.500000 of the host's clock at the latest")


def bus_master_off(switch: FakeSwitch) -> None:
    switch.port(1).pcicmd = 0


def own_entry_invalid(switch: FakeSwitch) -> None:
    switch.port(0).mtbl = 0
    switch.port(0).ntctl |= IDPROTDIS


CASES: dict[str, tuple[Callable[[FakeSwitch], object], str, bool]] = {
    "peer without bus mastering": (
        bus_master_off,
        "link to qemu2 is down: peer has not enabled bus mastering (PCICMD.BME=0)",
        True,
    ),
    "peer that is late": (
        late,
        "qemu2 has still not closed its windows into it, and may write there",
        True,
    ),
    "peer not attached": (
        lambda s: s.detach(1),
        "link to qemu2 is down: peer (port 2) is not attached",
        True,
    ),
    "own entry not valid, though ids are not checked": (
        own_entry_invalid,
        "link to qemu2 is down: its own mapping-table entry is not valid (NTMTBLDATA.VALID=0)",
        True,
    ),
    "doorbell not taken": (
        lambda s: s.ring(0, 0x5),
        "doorbells 0x5 are set and unmasked: its driver has yet to take them",
        False,
    ),
    "message not taken": (
        lambda s: s.send(0, 2, 0xABCD, source=1),
        "message 2 holds 0xabcd from qemu2, not taken yet",
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_is_told_with_its_values(name: str) -> None:
    change, text, wrong = CASES[name]
    switch = healthy()
    change(switch)
    assert Finding(0, text, wrong) in findings(switch)


def test_masked_doorbells_are_told_apart() -> None:
    switch = healthy()
    switch.port(0).indbellmsk = 0xF0
    switch.ring(0, 0x31)
    texts = [finding.text for finding in findings(switch)]
    assert "doorbells 0x1 are set and unmasked: its driver has yet to take them" in texts
    assert "doorbells 0x30 are set but masked (INDBELLMSK 0x000000f0)" in texts


def test_a_refused_message_names_what_was_lost() -> None:
    switch = healthy()
    port = switch.port(0)
    port.outmsgsts = 1 << 1
    port.swpmsgctl[1] = 1 << 4 | 1
    port.image[(0x434 - 0x400) // 4] = 0x77
    assert Finding(0, "message 1 to qemu2 was refused (0x77 was lost)", False) in findings(switch)


def test_causes_masked_as_a_whole_are_told() -> None:
    switch = healthy()
    switch.port(0).ntintmsk = 0xBB
    switch.ring(0, 1)
    expected = "interrupt causes 0x2 are pending but masked (NTINTMSK)"
    assert Finding(0, expected, True) in findings(switch)


def test_a_device_that_disagrees_is_named() -> None:
    switch = healthy()
    switch.translate(0, address=0x1000000, size=0x10000)
    switch.port(0).mw_open = 0
    expected = "mw0: the device says closed, the registers do not"
    assert Finding(0, expected, True) in findings(switch)


def test_a_dead_qemu_is_named_on_both_sides() -> None:
    told = findings(healthy(), alive={0: True, 1: False})
    assert {finding.partition for finding in told if "is gone" in finding.text} == {0, 1}


def test_a_peer_without_shared_ram_has_a_link_all_the_same() -> None:
    switch = healthy()
    switch.port(1).flags = 0
    assert findings(switch) == []
