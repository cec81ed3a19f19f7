# SPDX-License-Identifier: MIT
"""The temperature sensor, as idt_init_temp() and its hwmon attributes use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.port import Port

if TYPE_CHECKING:
    from tests.device.conftest import Bench

PDOWN = 0x80000000
TMP = 0x80
HALF_DEGREES_40 = 80


@pytest.fixture
def port(bench: Bench) -> Iterator[Port]:
    """One port whose device can be named; powered off as after reset."""
    argv = bench.argv(0)
    argv[-1] += ",id=ntb"
    port = bench.start_argv(argv, 0)
    yield port
    port.qemu.stop()


def expose(port: Port, mdeg: int) -> None:
    port.qemu.qmp("qom-set", path="ntb", property="temperature", value=mdeg)


def now_low_high(port: Port) -> tuple[int, int, int]:
    sts = port.gasa_read(nt.TMPSTS)
    return sts & 0xFF, sts >> 8 & 0xFF, sts >> 16


def test_reads_zero_until_it_is_powered(port: Port) -> None:
    assert port.gasa_read(nt.TMPCTL) == PDOWN
    assert port.gasa_read(nt.TMPSTS) == 0
    assert port.gasa_read(nt.TMPALARM) == 0
    port.gasa_write(nt.TMPCTL, 0)
    assert now_low_high(port) == (HALF_DEGREES_40,) * 3
    port.gasa_write(nt.TMPCTL, PDOWN)
    assert port.gasa_read(nt.TMPSTS) == 0


def test_follows_its_property(port: Port) -> None:
    port.gasa_write(nt.TMPCTL, 0)
    assert port.qemu.qmp("qom-get", path="ntb", property="temperature") == 40000
    expose(port, 61500)
    assert now_low_high(port) == (123, 80, 123)
    expose(port, 12300)
    assert now_low_high(port) == (25, 25, 123)


@pytest.mark.parametrize("mdeg", [-1, 127501, 2**40])
def test_property_has_a_range(port: Port, mdeg: int) -> None:
    with pytest.raises(AssertionError, match="out of the sensor's range"):
        expose(port, mdeg)


@pytest.mark.parametrize(
    ("offset", "mdeg", "shown"),
    [(10, 40000, 90), (-10, 40000, 70), (127, 127500, 255), (-128, 5000, 0)],
)
def test_offset_is_signed_and_clamped(port: Port, offset: int, mdeg: int, shown: int) -> None:
    expose(port, mdeg)
    port.gasa_write(nt.TMPCTL, 0)
    port.gasa_write(nt.TMPADJ, offset & 0xFF)
    assert port.gasa_read(nt.TMPADJ) == offset & 0xFF
    assert now_low_high(port)[0] == shown


def test_history_is_reset_as_the_driver_does_it(port: Port) -> None:
    port.gasa_write(nt.TMPCTL, 0)
    for mdeg in (20000, 90000, 50000):
        expose(port, mdeg)
    assert now_low_high(port) == (100, 40, 180)
    irq_bits = 0x3F000000
    for field, value in ((8, 0xFF), (16, 0x00)):
        alarm = port.gasa_read(nt.TMPALARM)
        alarm = alarm & ~(0xFF << field | irq_bits) | value << field
        port.gasa_write(nt.TMPALARM, alarm)
    assert now_low_high(port) == (100, 100, 100)


def test_alarms_latch_when_thresholds_are_crossed(port: Port) -> None:
    low, mid, high = 60, 100, 140
    port.write(nt.NTINTMSK, nt.INT_ALL & ~TMP)
    port.enable_msi()
    enabled = 1 << 29 | 1 << 24  # at or above high, below low
    port.gasa_write(nt.TMPCTL, enabled | high << 16 | mid << 8 | low)
    assert port.gasa_read(nt.TMPALARM) >> 24 == 0
    expose(port, 60000)  # reaches mid, which has no interrupt
    assert port.gasa_read(nt.TMPALARM) >> 24 == 1 << 3
    assert port.read(nt.NTINTSTS) == 0
    expose(port, 80000)
    assert port.gasa_read(nt.TMPALARM) >> 24 == 1 << 5 | 1 << 3
    assert port.read(nt.NTINTSTS) == TMP
    assert port.take_msi() == 0x4321
    port.write(nt.NTINTSTS, TMP)
    port.gasa_write(nt.TMPALARM, 0x3F000000 | port.gasa_read(nt.TMPALARM))
    assert port.gasa_read(nt.TMPALARM) >> 24 == 0
    assert port.read(nt.NTINTSTS) == 0
    expose(port, 20000)
    assert port.gasa_read(nt.TMPALARM) >> 24 == 1 << 4 | 1 << 2 | 1 << 0
    assert port.take_msi() == 0x4321


def test_without_thresholds_there_is_no_alarm(port: Port) -> None:
    port.gasa_write(nt.TMPCTL, 0x3F000000)
    for mdeg in (0, 127500, 0):
        expose(port, mdeg)
    assert port.gasa_read(nt.TMPALARM) >> 24 == 0
    assert port.read(nt.NTINTSTS) == 0


def test_reset_powers_it_off(port: Port) -> None:
    port.gasa_write(nt.TMPCTL, 0)
    port.gasa_write(nt.TMPADJ, 3)
    port.gasa_write(nt.TSSLOPE, 5)
    expose(port, 70000)
    port.reset()
    port.setup()
    registers = (nt.TMPCTL, nt.TMPSTS, nt.TMPALARM, nt.TMPADJ, nt.TSSLOPE)
    assert [port.gasa_read(r) for r in registers] == [PDOWN, 0, 0, 0, 0]
    port.gasa_write(nt.TMPCTL, 0)
    assert now_low_high(port) == (140, 140, 140)


def test_tools_see_it(port: Port) -> None:
    port.gasa_write(nt.TMPCTL, 0x00C80000)
    port.gasa_write(nt.TMPADJ, 0xFE)
    expose(port, 100000)
    for name in ("tmpctl", "tmpsts", "tmpalarm", "tmpadj"):
        assert port.stat(name) == port.gasa_read(getattr(nt, name.upper())), name
    assert port.stat("tmpsts") & 0xFF == 198
