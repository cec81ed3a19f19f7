# SPDX-License-Identifier: MIT
"""Events of the flight recorder in words. Each begins with a verb: its port is the subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ntbdbg.ntb import page
from ntbdbg.ntb.kinds import TRAPPED, Close, Kick, Kind, News, Quiet, Refused, Stop
from ntbdbg.ntb.registers import REGISTERS

if TYPE_CHECKING:
    import enum

    from ntbdbg.ntb.recorder import Event

NS = 1_000_000_000
BUS_MASTER = 1 << 2
MSI_ENABLE = 1 << 0
E = TypeVar("E", bound="enum.IntEnum")

_REGISTERS = {register.offset: register.name for register in REGISTERS}
_CAUSES = {1: "MSG", 2: "DBELL", 8: "SEVENT", 0x80: "TMPSENSOR"}

_STOPS = {
    Stop.OTHER: "",
    Stop.PAUSED: ", paused",
    Stop.DEBUGGER: ", held by a debugger",
    Stop.PANIC: ": the guest has panicked",
    Stop.SHUTDOWN: ": the guest has shut down",
    Stop.ERROR: ": an error of the host",
}
_CLOSES = {
    Close.OWN_LINK: "its own port is off the link",
    Close.NOWHERE: "nothing is translated",
    Close.NO_SENDER: "its own port may not send",
    Close.PEER: "the peer does not admit it",
    Close.RAM: "no RAM of the peer lies there",
    Close.MOVED: "it opens again elsewhere",
}
_NEWS = {
    News.LINK_UP: "its link is up",
    News.LINK_DOWN: "its link is down",
    News.SIGNAL: "a signal",
}
_REFUSED = {
    Refused.FULL: "the register is full",
    Refused.DOWN: "there is no link",
    Refused.NOBODY: "that is no other port",
}
_QUIET = {
    Quiet.MASKED: "masked",
    Quiet.DB_MASKED: "masked as doorbells",
    Quiet.MSG_MASKED: "masked as messages",
    Quiet.TOLD: "an earlier one is not answered yet",
    Quiet.MASTER: "bus mastering is off",
    Quiet.INTX: "INTx is disabled and MSI is off",
    Quiet.NEWS_MASKED: "what peers tell is masked",
}


class Teller:
    """Puts events into words.

    :param names: by partition, the guest
    :param model: of the ports; only those of an IDT switch have registers that are known here
    """

    def __init__(self, names: Mapping[int, str], model: int = page.MODEL) -> None:
        self._names, self._is_known = names, model == page.MODEL

    def name(self, partition: int | None) -> str:
        """Who is on a partition."""
        if partition is None:
            return "nobody"
        return self._names.get(partition, f"partition {partition}")

    def names(self, mask: int) -> str:
        """Everybody in a mask of partitions."""
        found = [self.name(part) for part in range(32) if mask >> part & 1]
        return ", ".join(found) or "nobody"

    def register(self, address: int) -> str:
        """A register of the part by its address."""
        name = _REGISTERS.get(address) if self._is_known else None
        return name or f"register {address:#x}"

    def causes(self, bits: int) -> str:
        """Causes of an interrupt, by name where they are NTINTSTS'."""
        named = _CAUSES if self._is_known else {}
        found = [name for bit, name in named.items() if bits & bit]
        rest = bits & ~sum(named)
        return " ".join(found + ([f"{rest:#x}"] if rest or not found else []))

    def words(self, event: Event) -> str:
        """The event as a clause, without its time and its port."""
        tell = _TELLERS.get(event.kind)
        if tell is None:
            return f"kind {event.kind}: {event.num:#x} {event.a:#x} {event.b:#x}"
        text = tell(self, event)
        if event.times > 1:
            text += f" ({event.times} times until {stamp(event.last_ns)})"
        return text


def stamp(ns: int) -> str:
    """Seconds of CLOCK_MONOTONIC to the microsecond."""
    return f"{ns // NS}.{ns % NS // 1000:06}"


def _of(texts: Mapping[E, str], number: int) -> str:
    return {int(key): text for key, text in texts.items()}.get(number, f"reason {number}")


def _run(teller: Teller, e: Event) -> str:
    return "its machine runs" if e.num else f"its machine stands still{_of(_STOPS, e.a)}"


def _quiesce(teller: Teller, e: Event) -> str:
    late = f"; {teller.names(e.b)} did not in time" if e.b else ""
    return f"waited {e.a / 1e6:.3f} ms for peers to close their windows{late}"


def _register(teller: Teller, e: Event) -> str:
    return f"{teller.register(e.num)} {e.b:#x} → {e.a:#x}"


def _command(teller: Teller, e: Event) -> str:
    on = "on" if e.a & BUS_MASTER else "off"
    return f"PCI command {e.b:#x} → {e.a:#x}, bus mastering {on}"


def _msi(teller: Teller, e: Event) -> str:
    if not e.num & MSI_ENABLE:
        return "MSI is off"
    return f"MSI is on: {e.b:#x} to {e.a:#x}"


def _translation(teller: Teller, e: Event) -> str:
    if not e.b:
        return f"programs mw{e.num} to lead nowhere"
    return f"programs mw{e.num}: {teller.name(e.peer)} {e.a:#x}, {e.b:#x} bytes"


def _open(teller: Teller, e: Event) -> str:
    copied = ", partly copied" if e.num & TRAPPED else ""
    reached = f"{teller.name(e.peer)} {e.a:#x}, {e.b:#x} bytes"
    return f"mw{e.num & ~TRAPPED} opens: {reached}{copied}"


def _sent(teller: Teller, e: Event) -> str:
    if not e.num:
        return f"rings doorbells {e.a:#x} at nobody: there is no link"
    again = f"; {e.b:#x} was set already" if e.b else ""
    return f"rings doorbells {e.a:#x} at {teller.names(e.num)}{again}"


def _taken(teller: Teller, e: Event) -> str:
    left = f"; {e.b:#x} stay set" if e.b else ""
    return f"its driver takes doorbells {e.a:#x}{left}"


def _refused(teller: Teller, e: Event) -> str:
    where = f"register {e.num} of {teller.name(e.peer)}"
    return f"message {e.a:#x} to {where} is refused: {_of(_REFUSED, e.b)}"


def _kick(teller: Teller, e: Event) -> str:
    who = teller.name(e.peer)
    if e.num == Kick.FAILED:
        return f"cannot wake {who}"
    return f"wakes {who}" if e.num == Kick.SENT else f"an earlier wake-up of {who} is on its way"


def _quiet(teller: Teller, e: Event) -> str:
    what = teller.causes(e.a)
    if e.num == Quiet.DB_MASKED:
        what = f"doorbells {e.a:#x}"
    elif e.num == Quiet.MSG_MASKED:
        what = f"message registers {e.a:#x}"
    elif e.num == Quiet.NEWS_MASKED:
        what = "SEVENT"
    return f"no interrupt for {what}: {_of(_QUIET, e.num)}"


def _fault(teller: Teller, e: Event) -> str:
    if e.num == 1:
        return f"doorbells {e.a:#x} are lost on purpose"
    return f"doorbells {e.a:#x} are held back on purpose, for {e.b / 1e6:.0f} ms"


def _level(down: str, up: str) -> Callable[[Teller, Event], str]:
    return lambda teller, e: up if e.num else down


_TELLERS: dict[int, Callable[[Teller, Event], str]] = {
    Kind.JOIN: lambda t, e: f"a QEMU has taken the port, pid {e.a}",
    Kind.ATTACH: lambda t, e: "is there for others to see",
    Kind.LEAVE: lambda t, e: "leaves",
    Kind.LINK: _level("its link goes down", "its link comes up"),
    Kind.ADMITS: _level("lets nobody write into its RAM", "lets peers write into its RAM"),
    Kind.RESET: _level("its reset is over", "is reset"),
    Kind.RUN: _run,
    Kind.QUIESCE: _quiesce,
    Kind.REGISTER: _register,
    Kind.COMMAND: _command,
    Kind.MSI: _msi,
    Kind.TRANSLATION: _translation,
    Kind.WINDOW_OPEN: _open,
    Kind.WINDOW_CLOSE: lambda t, e: f"mw{e.num} closes: {_of(_CLOSES, e.a)}",
    Kind.SERVER: _level("ivshmem-server is lost", "ivshmem-server is back"),
    Kind.CABLE: _level("its cable is pulled", "its cable is plugged in"),
    Kind.NEWS: lambda t, e: f"tells all: {_of(_NEWS, e.num)}",
    Kind.DB_SENT: _sent,
    Kind.DB_TAKEN: _taken,
    Kind.MSG_SENT: lambda t, e: f"sends message {e.a:#x} to register {e.num} of {t.name(e.peer)}",
    Kind.MSG_REFUSED: _refused,
    Kind.MSG_TAKEN: lambda t, e: f"its driver takes message {e.a:#x} from register {e.num}",
    Kind.KICK: _kick,
    Kind.MASK: _register,
    Kind.IRQ: lambda t, e: f"interrupts by {'INTx' if e.num else 'MSI'}: {t.causes(e.a)}",
    Kind.QUIET: _quiet,
    Kind.FAULT: _fault,
    Kind.DB_IN: lambda t, e: f"doorbells {e.a:#x} come in",
    Kind.MSG_IN: lambda t, e: f"message {e.a:#x} of {t.name(e.peer)} comes in, register {e.num}",
    Kind.WOKEN: lambda t, e: "is woken",
    Kind.NEWS_IN: lambda t, e: f"hears of {t.names(e.a)}: {_of(_NEWS, e.num)}",
    Kind.PEER_THERE: lambda t, e: f"sees {t.name(e.peer)} arrive",
    Kind.PEER_GONE: lambda t, e: f"sees that {t.name(e.peer)} {'has died' if e.num else 'left'}",
    Kind.PEER_LINK: lambda t, e: f"sees {t.name(e.peer)}'s link {'up' if e.num else 'down'}",
    Kind.PEER_ADMITS: lambda t, e: (
        f"may {'' if e.num else 'no longer '}write into {t.name(e.peer)}'s RAM"
    ),
}
