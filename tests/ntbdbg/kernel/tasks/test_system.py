# SPDX-License-Identifier: MIT
"""A kernel at a glance; its clocks in the forms that kernels keep them in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.alive.clock import read_clocks
from ntbdbg.kernel.alive.sysstate import system_state
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.troubles import Kind
from ntbdbg.kernel.tasks.system import system_info
from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakelinux import CLOCKS, REAL_SEC, UPTIME_NS, fill_clocks, furnish
from tests.support.twokernels import FIRST, SECOND, kernel, together

NS = 10**9
FORMS = {
    "anonymous": ("tk_core", "struct fake_tk_core", "timekeeper"),
    "tk_data": ("tk_core", "struct tk_data", "timekeeper"),
    "array": ("timekeeper_data", "struct fake_array", "all[0].timekeeper"),
}
TK_DATA = """
struct tk_data { unsigned long long seq[3]; struct timekeeper timekeeper, shadow_timekeeper; };
struct fake_array { struct tk_data all[2]; };
"""


def ticking(form: str) -> tuple[FakeGuest, FakeStruct]:
    guest = FakeGuest(ram=5 << 20)
    guest.types.declare(CLOCKS)
    if form != "anonymous":
        guest.types.declare(TK_DATA)
    symbol, kind, path = FORMS[form]
    keeper = guest.variable(symbol, kind).sub(path)
    fill_clocks(keeper)
    return guest, keeper


@pytest.mark.parametrize("form", FORMS)
def test_clocks(form: str) -> None:
    guest, keeper = ticking(form)
    keeper["offs_boot"] = 30 * NS  # it slept
    clocks = read_clocks(Kernel.open(guest.memory))
    assert clocks.monotonic_ns == UPTIME_NS
    assert clocks.boottime_ns == UPTIME_NS + 30 * NS
    assert clocks.realtime_ns == REAL_SEC * NS + UPTIME_NS % NS


@pytest.mark.parametrize(
    ("member", "value"), [("tkr_mono.base", -1), ("ktime_sec", 7), ("offs_boot", 1 << 62)]
)
def test_what_cannot_be_a_timekeeper(member: str, value: int) -> None:
    guest, keeper = ticking("anonymous")
    keeper[member] = value
    with pytest.raises(KernelError, match="is none"):
        read_clocks(Kernel.open(guest.memory))


def test_a_kernel_without_one() -> None:
    with pytest.raises(KernelError):
        read_clocks(Kernel.open(FakeGuest().memory))


def test_everything_at_once() -> None:
    guest, other = kernel(FIRST, REAL_SEC + 60), kernel(SECOND, REAL_SEC, "5.10.0-old")
    found = system_info(Kernel.open(together(guest, other)))
    assert found.notes == ()
    assert (found.release, found.nodename) == (guest.release, "qemu1")
    assert found.banner is not None
    assert found.banner.startswith(f"Linux version {guest.release} (debian-kernel")
    assert [one.kind for one in found.trouble] == [Kind.WARNING]
    assert found.cpus_online == (0, 1)
    assert [other.release for other in found.others] == ["5.10.0-old"]
    assert (found.system_state, found.in_use) == ("running", None)


def test_each_fact_fails_by_itself() -> None:
    guest = FakeGuest(btf=False)
    furnish("qemu1", guest)
    found = system_info(Kernel.open(guest.memory))
    assert found.clocks is None
    assert found.cpus == ()
    assert found.memory_total == 4000 * 4096
    assert found.taints == "OE"
    assert {note.split(":")[0] for note in found.notes} == {"uptime", "running tasks"}


@pytest.mark.parametrize("has_types", [True, False])
def test_states_go_by_the_kernels_own_names(has_types: bool) -> None:
    guest = FakeGuest(btf=has_types)
    guest.types.declare("enum system_states { SYSTEM_BOOTING, SYSTEM_RUNNING, SYSTEM_HALT = 6 };")
    guest.variable("used", "enum system_states")
    guest.number("system_state", 6, "unsigned int")
    assert system_state(Kernel.open(guest.memory)) == ("halt" if has_types else "restart")


def test_a_state_that_has_no_name() -> None:
    guest = FakeGuest()
    guest.number("system_state", 77, "unsigned int")
    with pytest.raises(KernelError, match="77, which has no name"):
        system_state(Kernel.open(guest.memory))


@pytest.mark.parametrize("is_used", [True, False])
def test_whether_a_processor_uses_it(is_used: bool) -> None:
    guest = FakeGuest()
    furnish("qemu1", guest)
    kernel = Kernel.open(guest.memory, roots=lambda: [guest.space.root if is_used else 0])
    assert system_info(kernel).in_use is is_used


def _damaged() -> FakeGuest:
    guest = FakeGuest(ram=5 << 20)
    furnish("qemu1", guest)
    guest.memory  # noqa: B018
    return guest


DAMAGED = _damaged()
NAMES = [name for name, va in DAMAGED.symbols.items() if va >= DAMAGED.base and name != "_end"]


@given(
    damage=st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 64), st.binary(min_size=8, max_size=8)),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None, max_examples=40)
def test_damage_never_hangs_or_crashes(damage: list[tuple[str, int, bytes]]) -> None:
    memory = DAMAGED.copy()
    for name, offset, content in damage:
        memory.write(DAMAGED.physical(DAMAGED.symbols[name]) + offset, content)
    try:
        kernel = Kernel.open(memory)
    except KernelError:
        return
    found = system_info(kernel)
    assert len(found.banner or "") <= 4 * 4096


def without(*names: str) -> FakeGuest:
    """A guest whose kernel has no such symbols, though VMCOREINFO tells some of them."""
    guest = FakeGuest()
    made = furnish("qemu1", guest)
    made.log.add("Kernel command line: console=ttyS0 quiet")
    guest.hidden |= set(names)
    return guest


def test_what_symbols_lack_vmcoreinfo_and_the_log_may_tell() -> None:
    guest = without("init_uts_ns", "linux_banner", "saved_command_line")
    found = system_info(Kernel.open(guest.memory))
    assert found.nodename == "qemu1"
    assert found.version is not None
    assert found.banner == f"Linux version {guest.release}"
    assert found.command_line == "console=ttyS0 quiet"
    assert found.notes == ()


def test_a_text_that_cannot_be_read_is_unknown_and_a_note_says_why() -> None:
    guest = FakeGuest()
    furnish("qemu1", guest)
    pointer = guest.symbols["saved_command_line"]
    guest.space.write(pointer, (0xFFFF_C900_1234_5000).to_bytes(8, "little"))
    found = system_info(Kernel.open(guest.memory))
    assert found.command_line is None
    (note,) = found.notes
    assert note.startswith("command line: 0xffffc90012345000 is not mapped")


def test_a_text_that_is_cut_says_so() -> None:
    guest = FakeGuest()
    furnish("qemu1", guest)
    end = guest.direct_map + len(guest.space.data)
    guest.space.write(end - 7, b"console")
    guest.space.write(guest.symbols["saved_command_line"], (end - 7).to_bytes(8, "little"))
    found = system_info(Kernel.open(guest.memory))
    assert found.command_line == "console"
    assert found.notes == ("command line: only its first 7 bytes can be read",)


@pytest.mark.parametrize("panicked", [True, False])
def test_a_panic_is_told_by_the_log_where_the_kernels_own_word_lacks(panicked: bool) -> None:
    guest = FakeGuest()
    made = furnish("qemu1", guest)
    guest.hidden.add("panic_cpu")
    if panicked:
        made.log.add("Kernel panic - not syncing: sysrq triggered crash", at=9)
    found = system_info(Kernel.open(guest.memory))
    assert (found.panicked, found.panic_cpu) == (panicked, None)


def test_where_nobody_can_look_a_panic_is_unknown() -> None:
    guest = FakeGuest()
    furnish("qemu1", guest)
    guest.hidden.add("panic_cpu")
    guest.extra = [line for line in guest.extra if "(prb)" not in line]
    found = system_info(Kernel.open(guest.memory))
    assert found.panicked is None
    assert {note.split(":")[0] for note in found.notes} == {"panic", "log"}
