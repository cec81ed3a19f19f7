# SPDX-License-Identifier: MIT
"""The registers of an NT port, its doorbells, messages and link."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ntbdbg.ntb.model import PortState
from ntbdbg.render.table import plain_table
from ntbdbg.render.windows import port_name
from ntbdbg.units import format_numbers, format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.ntb.model import Link, MessageRegister, NtPort
    from ntbdbg.ntb.regview import FieldValue, RegisterValue

Names = Mapping[int, str]

STATISTICS = (
    ("db_tx", "doorbell writes"),
    ("db_rx", "wake-ups that brought doorbell bits"),
    ("kicks", "eventfd writes to peers"),
    ("msi", "interrupts raised"),
    ("msg_tx", "messages sent"),
    ("msg_fail", "messages that the receiver refused"),
    ("win_map", "windows opened"),
    ("win_unmap", "windows closed"),
    ("win_trap", "window accesses that trapped, closed or copied"),
    ("quiesce_timeouts", "peers that did not close their windows in time"),
)


class RegisterTable:
    """One line a register: offset, name, value, where it was taken from, fields."""

    def __init__(self, values: Sequence[RegisterValue]) -> None:
        self.values = values

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = plain_table("OFFSET", "REGISTER", "VALUE", "FROM", "FIELDS")
        told: set[str] = set()
        for value in self.values:
            register = value.register
            width = 3 if register.offset < 0x1000 else 5
            table.add_row(
                f"0x{register.offset:0{width}x}",
                register.name,
                Text(f"0x{value.value:08x}", style="bold" if value.value else "dim"),
                value.source,
                _once(value, told),
            )
        yield table


def _once(value: RegisterValue, told: set[str]) -> str:
    """The fields in words; of what was said of a like register before, only which one it is."""
    words = describe(value)
    if words != value.register.doc:
        return words
    same = re.sub("[0-9]+", "", words)
    if same in told:
        return re.split("[:;]", words)[0]
    told.add(same)
    return words


def describe(value: RegisterValue) -> str:
    """The fields in words: set bits by name, numbers with their meaning."""
    words = [text for item in value.fields if (text := _field(item, value.value))]
    if value.unknown_bits:
        words.append(f"unknown bits {value.unknown_bits:#x}")
    if value.register.name in DOORBELLS and value.value:
        return f"{format_numbers(bits(value.value))}: {value.register.doc}"
    return " ".join(words) or ("-" if value.register.fields else value.register.doc)


DOORBELLS = ("INDBELLSTS", "INDBELLMSK")
"""Registers with a bit for each doorbell."""


def bits(word: int) -> list[int]:
    """Numbers of the bits that are set."""
    return [number for number in range(word.bit_length()) if word >> number & 1]


def _bells(word: int) -> str:
    """``0, 5-7 (0x000000e1)``, ``none``."""
    return f"{format_numbers(bits(word))} ({word:#010x})" if word else "none"


def _field(item: FieldValue, word: int) -> str:
    field = item.field
    if field.high == field.low:
        return field.name if item.value else ""
    if not word:
        return ""
    meaning = item.meaning
    if field.name == "SIZE":
        meaning = format_size(1 << item.value)
    return f"{field.name}={item.value:#x}" + (f" ({meaning})" if meaning else "")


class PortView:
    """What the registers come to: link, doorbells, messages, and counters if asked for."""

    def __init__(self, link: Link, port: NtPort, names: Names, *, everything: bool = False) -> None:
        self.link = link
        self.port = port
        self.names = names
        self.everything = everything

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        facts.add_column(no_wrap=True)
        facts.add_column(overflow="fold")
        for name, text in self._facts():
            facts.add_row(name, text)
        yield facts
        yield ""
        yield self._messages()
        if self.everything:
            yield ""
            yield _statistics(self.port)

    def _facts(self) -> Iterator[tuple[str, str]]:
        port = self.port
        state = "its QEMU is gone" if port.alive is False else f"{port.state.name.lower()}"
        yield "port", f"{port.number}, partition {port.partition}, {state}, pid {port.pid}"
        yield "link", link_words(port)
        for peer in self.link.ports:
            if peer.partition != port.partition:
                name = port_name(self.link, peer.partition, self.names)
                up = self.link.sees_up(port.partition, peer.partition)
                yield f"link to {name}", "up" if up else "down"
        bell = port.doorbell
        yield (
            "doorbells",
            f"set {_bells(bell.status)}; masked {_bells(bell.mask)}; "
            f"pending {_bells(bell.pending)}",
        )
        yield "", f"{bell.events} wake-ups that brought some, {bell.sent} writes to peers"

    def _messages(self) -> Table:
        table = plain_table(
            "MESSAGE", "RECEIVED", "FROM", "STATUS", "SENT", "TO", "SEND STATUS", last_folds=False
        )
        for message in self.port.messages:
            source = port_name(self.link, message.source, self.names)
            known = message.full or message.data
            to = port_name(self.link, message.route_partition, self.names)
            # Before the driver set a route it leads back here, which means nothing.
            is_routed = message.sent or message.route_partition != self.port.partition
            table.add_row(
                str(message.index),
                f"0x{message.data:08x}",
                source if known else "-",
                _status(message),
                f"0x{message.sent:08x}",
                f"{to}:{message.route_register}" if is_routed else "-",
                ("refused" if message.failed else "-")
                + (", masked" if message.failed_masked else ""),
            )
        return table


def link_words(port: NtPort) -> str:
    """The levels that decide about the link, in words."""
    levels = {
        "LINKUP": port.linkup,
        "BME": port.bus_master,
        "CPEN": port.link_enabled,
        "mapping VALID": port.mapping_valid,
    }
    return "  ".join(f"{name}={int(value)}" for name, value in levels.items())


def _status(message: MessageRegister) -> str:
    return ("full" if message.full else "empty") + (", masked" if message.masked else "")


def _statistics(port: NtPort) -> Table:
    table = plain_table("COUNT", "SINCE ATTACH", last_folds=False)
    for name, words in STATISTICS:
        table.add_row(str(port.block[name]), words)
    return table


def port_facts(
    link: Link, port: NtPort, values: Sequence[RegisterValue], names: Names
) -> dict[str, Any]:
    """The document of ``regs --json`` (docs/json.md)."""
    bell = port.doorbell
    return {
        "guest": port_name(link, port.partition, names),
        "partition": port.partition,
        "port": port.number,
        "state": PortState(port.state).name.lower(),
        "alive": port.alive,
        "pid": port.pid,
        "registers": [_register_facts(value) for value in values],
        "link": {
            "linkup": port.linkup,
            "bus_master": port.bus_master,
            "enabled": port.link_enabled,
            "mapping_valid": port.mapping_valid,
            "up_to": [
                port_name(link, peer.partition, names)
                for peer in link.ports
                if peer.partition != port.partition and link.sees_up(port.partition, peer.partition)
            ],
        },
        "doorbell": {
            "status": bell.status,
            "mask": bell.mask,
            "pending": bell.pending,
            "received": bell.events,
            "sent": bell.sent,
        },
        "messages": [_message_facts(message) for message in port.messages],
        "statistics": {name: port.block[name] for name, _ in STATISTICS},
        "problems": list(port.problems),
    }


def _register_facts(value: RegisterValue) -> dict[str, Any]:
    return {
        "name": value.register.name,
        "offset": value.register.offset,
        "value": value.value,
        "from": value.source,
        "fields": {item.field.name: item.value for item in value.fields},
    }


def _message_facts(message: MessageRegister) -> dict[str, Any]:
    return {
        "index": message.index,
        "data": message.data,
        "source": message.source,
        "full": message.full,
        "masked": message.masked,
        "sent": message.sent,
        "refused": message.failed,
        "refused_masked": message.failed_masked,
        "route_partition": message.route_partition,
        "route_register": message.route_register,
    }
