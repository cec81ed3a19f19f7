# SPDX-License-Identifier: MIT
"""The grammar of address expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import UsageError
from ntbdbg.lab.address import AddressExpr, Window

GUESTS = ("qemu1", "qemu2")


@pytest.mark.parametrize(
    ("text", "guest", "space", "base", "offset"),
    [
        ("0x1000", None, "pa", 0x1000, 0),
        ("4K", None, "pa", 4096, 0),
        ("page", None, "pa", 4096, 0),
        ("0x1000+0x40", None, "pa", 0x1000, 0x40),
        ("1M+page", None, "pa", 1 << 20, 4096),
        ("qemu2:0x1000", "qemu2", "pa", 0x1000, 0),
        ("other:0x1000", "other", "pa", 0x1000, 0),
        ("/dev/shm/qemu:0x1000", "/dev/shm/qemu", "pa", 0x1000, 0),
        ("pa:0xffff888000000000", None, "pa", 0xFFFF888000000000, 0),
        ("0xffff888000000000", None, "va", 0xFFFF888000000000, 0),
        ("0xff11000000000000", None, "va", 0xFF11000000000000, 0),
        ("va:0x1000", None, "va", 0x1000, 0),
        ("qemu1:va:0x1000+8", "qemu1", "va", 0x1000, 8),
        ("mw0", None, None, Window("mw", 0), 0),
        ("mw0+0x40", None, None, Window("mw", 0), 0x40),
        ("bar2+1K", None, None, Window("bar", 2), 1024),
        ("qemu1:mw1", "qemu1", None, Window("mw", 1), 0),
        ("other:mw1", "other", None, Window("mw", 1), 0),
        ("init_uts_ns", None, None, "init_uts_ns", 0),
        ("foo.isra.0+16", None, None, "foo.isra.0", 16),
        ("qemu1:jiffies", "qemu1", None, "jiffies", 0),
        ("ntb_hw_idt:idt_probe", None, None, "ntb_hw_idt:idt_probe", 0),
        ("qemu1:ntb_hw_idt:idt_probe", "qemu1", None, "ntb_hw_idt:idt_probe", 0),
        ("va:init_task", None, "va", "init_task", 0),
        ("mwait_idle", None, None, "mwait_idle", 0),
        ("init_uts_ns.name.nodename", None, None, "init_uts_ns.name.nodename", 0),
        ("init_task.cred->uid+4", None, None, "init_task.cred.uid", 4),
        ("qemu1:ntb_hw_idt:dev->peers[0]", "qemu1", None, "ntb_hw_idt:dev.peers[0]", 0),
        ("init_task.comm[3]+1", None, None, "init_task.comm[3]", 1),
        ("runqueues@1.curr", None, None, "runqueues@1.curr", 0),
        ("qemu2:ntb_hw_idt:table[2].x", "qemu2", None, "ntb_hw_idt:table[2].x", 0),
        ("qemu1:tcp_hashinfo", "qemu1", None, "tcp_hashinfo", 0),
        ("jiffies-8", None, None, "jiffies", -8),
        ("0x1000-0x10", None, "pa", 0x1000, -0x10),
        ("0xff2c3b38c1057b71", None, "va", 0xFF2C3B38C1057B71, 0),  # five levels of page tables
        ("0xfeffffffffffffff", None, "pa", 0xFEFFFFFFFFFFFFFF, 0),
        ("va:0xffff800000000000-1", None, "va", 0xFFFF800000000000, -1),
        ("/tmp/a-b/ram:0x1000-1", "/tmp/a-b/ram", "pa", 0x1000, -1),
    ],
)
def test_grammar(
    text: str, guest: str | None, space: str | None, base: object, offset: int
) -> None:
    expr = AddressExpr.parse(text, GUESTS)
    assert (expr.guest, expr.space, expr.base, expr.offset) == (guest, space, base, offset)
    assert expr.text == text


@pytest.mark.parametrize(
    ("text", "capture", "guest", "base"),
    [
        ("before.cap:qemu1:0x1000", "before.cap", "qemu1", 0x1000),
        ("./x/before.cap:qemu1:init_task.comm", "./x/before.cap", "qemu1", "init_task.comm"),
        ("before.cap:qemu2:ntb_hw_idt:idt_isr", "before.cap", "qemu2", "ntb_hw_idt:idt_isr"),
        ("before.cap:mw0", "before.cap", None, Window("mw", 0)),
        ("before.cap", None, None, "before.cap"),
    ],
)
def test_a_capture_may_come_first(
    text: str, capture: str | None, guest: str | None, base: object
) -> None:
    expr = AddressExpr.parse(text, GUESTS)
    assert (expr.capture, expr.guest, expr.base) == (capture, guest, base)


def test_guest_names_win_over_module_names() -> None:
    text = "ntb:probe"
    assert AddressExpr.parse(text, ("ntb",)) == AddressExpr(text, "ntb", None, "probe", 0)
    assert AddressExpr.parse(text, GUESTS) == AddressExpr(text, None, None, "ntb:probe", 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not understood"),
        ("+4", "is not understood"),
        ("0x1000+", "offset '' is not a number"),
        ("0x1000+x", "offset 'x' is not a number"),
        ("0x1000+-4", "is negative"),
        ("-4", "is negative"),
        ("0x10000000000000000", "does not fit into 64 bits"),
        ("0xffffffffffffffff+1", "does not fit into 64 bits"),
        ("0xzz", "is not a number"),
        ("0x1000-0x1001", "is below 0"),
        ("0x1000-", "offset '' is not a number"),
        ("mw0-4", "is before its window"),
        ("qemu1:", "is not understood"),
        ("before.cap:", "is not understood"),
        ("pa:mw0", "is a window"),
        ("pa:init_task", "is not understood"),
        (":0x1000", "is not understood"),
        ("a b", "is not understood"),
        ("init\x1b[31m", "is not understood"),
    ],
)
def test_bad_addresses_say_what_good_ones_look_like(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        AddressExpr.parse(text, GUESTS)
    assert why in caught.value.message
    assert caught.value.hint


@given(base=st.integers(0, (1 << 64) - 1), offset=st.integers(0, (1 << 64) - 1))
def test_numbers_and_offsets_add_up_or_overflow(base: int, offset: int) -> None:
    text = f"{base:#x}+{offset}"
    if base + offset >= 1 << 64:
        with pytest.raises(UsageError):
            AddressExpr.parse(text)
    else:
        expr = AddressExpr.parse(text)
        assert expr.base == base
        assert expr.is_physical == (base < 0xFF00000000000000)


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        AddressExpr.parse(text, GUESTS)
    except UsageError as error:
        assert error.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("init_task.comm[-1]", "an index is not negative"),
        ("qemu1:tasks[-0x10].pid+4", "an index is not negative"),
        ("runqueues@-1", "the number of a CPU is not negative"),
    ],
)
def test_negative_numbers_are_named(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        AddressExpr.parse(text, ("qemu1",))
