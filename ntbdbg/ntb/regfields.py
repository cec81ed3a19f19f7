# SPDX-License-Identifier: MIT
"""Fields of the NT registers; names as in ``ntb_hw_idt.h``, meanings from the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Field:
    """Bits `high`..`low` of a register.

    :ivar values: meanings of single values, where they have names
    """

    name: str
    high: int
    low: int
    doc: str = ""
    values: Mapping[int, str] = field(default_factory=dict, compare=False)

    def extract(self, word: int) -> int:
        """This field's value in a register that reads `word`."""
        return word >> self.low & (1 << self.high - self.low + 1) - 1

    @property
    def bits(self) -> str:
        """``13:6`` or ``5``."""
        return str(self.low) if self.high == self.low else f"{self.high}:{self.low}"


def _bit(name: str, bit: int, doc: str) -> Field:
    return Field(name, bit, bit, doc)


INTERRUPTS = (
    _bit("MSG", 0, "a message register has something to say"),
    _bit("DBELL", 1, "a doorbell is set"),
    _bit("SEVENT", 3, "switch event: link of a port, global signal"),
    _bit("FMCI", 4, "failover mode change initiated"),
    _bit("FMCC", 5, "failover mode change completed"),
    _bit("TMPSENSOR", 7, "temperature alarm"),
)
MSG_STATUS = (
    Field("OUTMSGSTS", 3, 0, "bit n: the last send by OUTMSGn was refused"),
    Field("INMSGSTS", 19, 16, "bit n: INMSGn is full"),
)
BARSETUP = (
    Field("TYPE", 2, 1, "width of the BAR", {0: "32-bit", 2: "64-bit"}),
    _bit("PREF", 3, "prefetchable"),
    Field("SIZE", 9, 4, "the BAR spans 2^SIZE bytes"),
    _bit("MODE", 10, "1: shows the registers, not a window"),
    Field("ATRAN", 12, 11, "translation", {0: "direct", 1: "LUT12", 2: "LUT24"}),
    Field("TPART", 15, 13, "target partition of a direct window"),
    _bit("EN", 31, "enabled"),
)
MAPPING_ENTRY = (
    _bit("VALID", 0, "requests of this partition are let through"),
    Field("REQID", 16, 1, "requester id, bus:device.function"),
    Field("PART", 19, 17, "partition"),
    _bit("ATP", 29, "address type"),
    _bit("CNS", 30, "no snoop is inverted"),
    _bit("RNS", 31, "relaxed ordering is inverted"),
)
COMMAND = (
    _bit("IOAE", 0, "I/O access"),
    _bit("MAE", 1, "memory access"),
    _bit("BME", 2, "bus master: windows may be used"),
    _bit("PERR", 6, "parity error response"),
    _bit("SERR", 8, "system error reporting"),
    _bit("INTXDIS", 10, "INTx is disabled"),
)
LINK_STATUS = (
    Field("CLS", 19, 16, "link speed", {1: "2.5 GT/s", 2: "5 GT/s", 3: "8 GT/s"}),
    Field("NLW", 25, 20, "link width, lanes"),
    _bit("SCLK", 28, "common clock"),
)
NTCTL = (
    _bit("IDPROTDIS", 0, "requester ids are not checked"),
    _bit("CPEN", 1, "completions enabled: the driver's link enable"),
    _bit("RNS", 2, "request no snoop"),
    _bit("ATP", 3, "address type processing"),
)
SWITCH_EVENTS = (
    _bit("LINKUP", 0, "a port's link came up"),
    _bit("LINKDN", 1, "a port's link went down"),
    _bit("GSIGNAL", 5, "global signal"),
)
TEMPERATURE_CONTROL = (
    Field("LTH", 7, 0, "lowest threshold, half degrees; 0: none"),
    Field("MTH", 15, 8, "middle threshold"),
    Field("HTH", 23, 16, "highest threshold"),
    Field("IRQ", 29, 24, "alarms that interrupt"),
    _bit("PDOWN", 31, "the sensor is off"),
)
TEMPERATURE_STATUS = (
    Field("TEMP", 7, 0, "now, half degrees Celsius"),
    Field("LTEMP", 15, 8, "lowest so far"),
    Field("HTEMP", 23, 16, "highest so far"),
)
TEMPERATURE_ALARM = (
    Field("LTEMP", 15, 8, "lowest so far; a write sets it"),
    Field("HTEMP", 23, 16, "highest so far; a write sets it"),
    Field("IRQ", 29, 24, "thresholds crossed: falling and rising, of the lowest first"),
)
TEMPERATURE_OFFSET = (Field("OFFSET", 7, 0, "added to the sensor, signed half degrees"),)
PORT_BITS = (Field("PORTS", 31, 0, "bit n: switch port n"),)
PARTITION_BITS = (Field("PARTS", 7, 0, "bit n: partition n"),)
ROUTE = (
    Field("REG", 1, 0, "message register there"),
    Field("PART", 6, 4, "target partition"),
)
