# SPDX-License-Identifier: MIT
"""Register values of one port, each with the part of the shared page it was taken from.

The page holds a register image, but peers change doorbells and messages without the owner
rewriting it. Where a word of its own exists it is therefore preferred:

    levels   decide about the link; written by the owner before any event about them
    inbox    doorbells and messages, written by owner and peers
    mirror   private state of the owner, published for tools
    image    registers 0x400-0x4ff as of the owner's last register write
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.barsetup import BarSetup
from ntbdbg.ntb.registers import REGISTERS, Register

if TYPE_CHECKING:
    from ntbdbg.ntb.model import MessageRegister, NtPort
    from ntbdbg.ntb.regfields import Field


@dataclass(frozen=True)
class FieldValue:
    """One decoded field. `meaning` is the value's name, else empty."""

    field: Field
    value: int

    @property
    def meaning(self) -> str:
        return self.field.values.get(self.value, "")


@dataclass(frozen=True)
class RegisterValue:
    """What a register of a port reads.

    :ivar source: ``levels``, ``inbox``, ``mirror``, ``image``, or two of them
    """

    register: Register
    value: int
    source: str

    @property
    def fields(self) -> tuple[FieldValue, ...]:
        """All fields, low bits first."""
        return tuple(FieldValue(f, f.extract(self.value)) for f in self.register.fields)

    @property
    def unknown_bits(self) -> int:
        """Bits that are set, but not by a reset, and that no field covers.

        0 for a register without fields.
        """
        known = sum((1 << f.high + 1) - (1 << f.low) for f in self.register.fields)
        return self.value & ~known & ~(self.register.reset or 0) if known else 0


Getter = Callable[["NtPort"], int]


def _word(name: str) -> Getter:
    return lambda port: int(port.block[name])  # type: ignore[call-overload]


def _message_status(port: NtPort) -> int:
    refused = sum(1 << m.index for m in port.messages if m.failed)
    return refused | sum(1 << 16 + m.index for m in port.messages if m.full)


def _interrupt_status(port: NtPort) -> int:
    """NTINTSTS: two bits are levels that peers raise, the others stick (§1.2)."""
    messages = _message_status(port) & ~_word("msgstsmsk")(port)
    levels = (1 if messages else 0) | (2 if port.doorbell.pending else 0)
    return _word("ntintsts")(port) & ~3 | levels


def _message_source(message: MessageRegister, own: int) -> int:
    """INMSGSRC never names the port itself: before any message it is the lowest other one."""
    return message.source if message.source != own else int(own == 0)


def _dedicated() -> dict[str, tuple[str, Getter]]:
    """Registers that have a word of their own outside the image."""
    found: dict[str, tuple[str, Getter]] = {
        "PCICMDSTS": ("levels", lambda port: port.pcicmd),
        "PCIELCTLSTS": ("levels", lambda port: port.pcielctlsts),
        "NTCTL": ("levels", lambda port: port.ntctl),
        "NTMTBLDATA": ("levels", lambda port: port.mtbl),
        "INDBELLSTS": ("inbox", lambda port: port.doorbell.status),
        "MSGSTS": ("inbox", _message_status),
        "NTINTSTS": ("mirror, inbox", _interrupt_status),
    }
    names = "indbellmsk msgstsmsk ntintmsk semsk sepmsk"
    events = "selinkupsts selinkupmsk selinkdnsts selinkdnmsk segsigsts segsigmsk"
    sensor = "tmpctl tmpsts tmpalarm tmpadj"
    for name in f"{names} {events} {sensor}".split():
        found[name.upper()] = ("mirror", _word(name))
    for n in range(4):
        found[f"INMSG{n}"] = ("inbox", _message(n, lambda m, own: m.data))
        found[f"INMSGSRC{n}"] = ("inbox", _message(n, _message_source))
        found[f"SWPMSGCTL{n}"] = ("mirror", _message(n, _route))
    return found


def _message(index: int, getter: Callable[[MessageRegister, int], int]) -> Getter:
    return lambda port: getter(port.messages[index], port.partition)


def _route(message: MessageRegister, own: int) -> int:
    del own
    return message.route_register | message.route_partition << 4


_DEDICATED = _dedicated()


def value_of(port: NtPort, register: Register) -> RegisterValue:
    """What `register` of `port` holds."""
    if register.name in _DEDICATED:
        source, getter = _DEDICATED[register.name]
        return RegisterValue(register, getter(port), source)
    return RegisterValue(register, port.register(register.offset), "image")


def register_values(
    port: NtPort, wanted: Iterable[Register] | None = None, *, everything: bool = False
) -> tuple[RegisterValue, ...]:
    """The registers of one port, in the table's order.

    :param wanted: only these; by default the basic ones and those of window BARs
    :param everything: all that there are
    """
    if wanted is None:
        wanted = [r for r in REGISTERS if everything or r.basic or _of_window(port, r)]
    return tuple(value_of(port, register) for register in wanted)


def _of_window(port: NtPort, register: Register) -> bool:
    """Whether it is one of the four registers of a BAR in use (high halves of limits too)."""
    if not register.name.startswith("BAR"):
        return False
    bar = int(register.name[-1])
    mine = BarSetup(bar, port.register(0x470 + 16 * bar))
    if mine.enabled:
        return not mine.is_config or register.name.startswith("BARSETUP")
    below = BarSetup(bar - 1, port.register(0x470 + 16 * (bar - 1))) if bar else mine
    high_half = below.enabled and below.is_64bit and not below.is_config
    return high_half and register.name.startswith("BARLIMIT")
