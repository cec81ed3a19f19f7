# SPDX-License-Identifier: MIT
"""Message registers: routes, sources, status and masks."""

from __future__ import annotations

import os
import struct
import threading
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.deadline import eventually
from tests.device.port import Port
from tests.device.switch import FIELDS, PORT_OFF, PORT_STRIDE

if TYPE_CHECKING:
    from tests.device.conftest import Bench

Pair = tuple[Port, Port]


def test_each_register_in_both_directions(linked: Pair) -> None:
    for sender, receiver in (linked, linked[::-1]):
        for m in range(4):
            sender.send_message(m, receiver.part, m, 0xCAFE0000 + m)
            assert sender.read(nt.MSGSTS) == 0
            assert sender.read(nt.OUTMSG0 + 4 * m) == 0xCAFE0000 + m
            assert receiver.read(nt.INMSG0 + 4 * m) == 0xCAFE0000 + m
            assert receiver.read(nt.INMSGSRC0 + 4 * m) == sender.part
            assert receiver.read(nt.MSGSTS) == (0x20000 << m) - 0x10000
        receiver.write(nt.MSGSTS, nt.ALL_ONES)
        assert receiver.read(nt.MSGSTS) == 0


@pytest.mark.parametrize(("register", "to_register"), [(0, 3), (3, 0), (1, 2)])
def test_cross_register_routes(linked: Pair, register: int, to_register: int) -> None:
    a, b = linked
    a.send_message(register, 1, to_register, 0x1234)
    assert b.read(nt.INMSG0 + 4 * to_register) == 0x1234
    assert b.read(nt.MSGSTS) == 0x10000 << to_register


@pytest.mark.parametrize("m", range(4))
def test_full_register_fails_the_sender_at_once(linked: Pair, m: int) -> None:
    a, b = linked
    a.send_message(m, 1, m, 1)
    a.send_message(m, 1, m, 2)
    assert a.read(nt.MSGSTS) == 1 << m
    assert b.read(nt.INMSG0 + 4 * m) == 1
    b.write(nt.MSGSTS, 0x10000 << m)
    a.send_message(m, 1, m, 3)
    assert a.read(nt.MSGSTS) == 1 << m  # until it is cleared
    assert b.read(nt.INMSG0 + 4 * m) == 3
    a.write(nt.MSGSTS, 1 << m)
    assert a.read(nt.MSGSTS) == 0


def test_data_stay_when_the_status_is_cleared(linked: Pair) -> None:
    a, b = linked
    a.send_message(1, 1, 1, 0x5555)
    b.write(nt.MSGSTS, 0x20000)
    assert b.read(nt.MSGSTS) == 0
    assert b.read(nt.INMSG0 + 4) == 0x5555
    assert b.read(nt.INMSGSRC0 + 4) == 0


@pytest.mark.parametrize("part", [0, 2, 3, 4, 5, 6, 7])
def test_own_and_absent_partitions(linked: Pair, part: int) -> None:
    a, b = linked
    a.send_message(2, part, 2, 7)
    assert a.read(nt.MSGSTS) == 0x4
    for port in (a, b):
        assert port.read(nt.INMSG0 + 8) == 0


def test_peer_that_is_not_there(bench: Bench) -> None:
    a = bench.start(0)
    a.send_message(0, 1, 0, 7)
    assert a.read(nt.MSGSTS) == 1
    assert a.stat("msg_fail") == 1
    b = bench.start(1)
    assert b.read(nt.INMSG0) == 0
    assert b.read(nt.MSGSTS) == 0


def test_message_raises_an_interrupt(linked: Pair) -> None:
    a, b = linked
    a.send_message(0, 1, 0, 7)
    b.settle()
    assert b.read(nt.NTINTSTS) == nt.MSG
    assert b.take_msi() == 0x4321
    b.write(nt.MSGSTS, nt.ALL_ONES)
    assert b.read(nt.NTINTSTS) == 0


def test_failed_message_raises_an_interrupt_of_its_sender(linked: Pair) -> None:
    a, _ = linked
    a.send_message(0, 5, 0, 7)
    assert a.read(nt.NTINTSTS) == nt.MSG
    assert a.take_msi() == 0x4321


@pytest.mark.parametrize("bit", [0, 1, 2, 3, 16, 17, 18, 19])
def test_unmasking_a_pending_message_fires_once(linked: Pair, bit: int) -> None:
    a, b = linked
    b.write(nt.MSGSTSMSK, 1 << bit)
    if bit < 16:
        b.send_message(bit, 6, 0, 1)
    else:
        a.send_message(bit - 16, 1, bit - 16, 1)
    b.settle()
    assert b.read(nt.MSGSTS) == 1 << bit
    assert b.read(nt.NTINTSTS) == 0
    assert b.take_msi() == 0
    b.write(nt.MSGSTSMSK, 0)
    assert b.take_msi() == 0x4321
    b.write(nt.MSGSTSMSK, 0)
    assert b.take_msi() == 0


def test_inbound_registers_ignore_writes(linked: Pair) -> None:
    a, b = linked
    a.send_message(0, 1, 0, 7)
    b.write(nt.INMSG0, 0)
    b.write(nt.INMSGSRC0, 7)
    assert b.read(nt.INMSG0) == 7
    assert b.read(nt.INMSGSRC0) == 0


def test_source_is_always_a_configured_peer(linked: Pair) -> None:
    """Drivers use it unchecked as an index."""
    a, _ = linked
    for word in (2**64 - 1, 0, 5 << 32, 2**63 | 7 << 32):
        a.page.put(0, "inmsg", word, word, word, word)
        assert [a.read(nt.INMSGSRC0 + 4 * m) for m in range(4)] == [1] * 4
    a.page.put(0, "inmsg", 0, 0, 0, 0)


def test_reset_of_the_receiver_empties_its_registers(linked: Pair) -> None:
    a, b = linked
    a.send_message(0, 1, 0, 7)
    b.reset()
    b.setup()
    assert b.read(nt.MSGSTS) == 0
    assert b.read(nt.INMSG0) == 0
    assert b.read(nt.INMSGSRC0) == 0
    a.settle()
    a.send_message(0, 1, 0, 8)
    assert a.read(nt.MSGSTS) == 0
    assert b.read(nt.INMSG0) == 8


def test_message_that_comes_while_the_last_is_cleared(linked: Pair) -> None:
    """The register is full again before the clearing write is over: a new interrupt."""
    _, b = linked
    offset = PORT_OFF + b.part * PORT_STRIDE + FIELDS["inmsg"][0]
    stop = threading.Event()

    def refill() -> None:
        """One call stores the word a thousand times."""
        with TemporaryFile() as words, memoryview(b.page.bytes) as page:
            words.write(struct.pack("<Q", 1 << 63) * 1000)
            words.flush()
            with page[offset : offset + 8] as word:
                while not stop.is_set():
                    os.preadv(words.fileno(), [word] * 1000, 0)

    sender = threading.Thread(target=refill)
    sender.start()
    try:
        for _ in range(500):
            b.write(nt.MSGSTS, nt.ALL_ONES)
            eventually(lambda: b.page.get_all(b.part, "inmsg")[0] >> 63, "the next message")
            b.write(nt.NTSDATA, 0)  # any write looks at the status
            assert b.take_msi() == 0x4321
    finally:
        stop.set()
        sender.join()
