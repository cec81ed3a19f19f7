# SPDX-License-Identifier: MIT
"""The link as a flat table of fields, so that two moments can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.ntb.model import Link, MemoryWindow, MessageRegister, NtPort

FieldKey = tuple[str, str]
"""Guest and field name, e.g. ``("qemu1", "doorbell.status")``."""

FieldValue = int | bool | str

HEX_FIELDS = frozenset(
    {"status", "mask", "pending", "data", "address", "limit", "size", "incarnation", "ntctl"}
)
"""Last parts of field names whose numbers are written in hexadecimal."""


def is_hex(field: str) -> bool:
    """Whether the number in `field` reads better in hexadecimal."""
    return field.rpartition(".")[2] in HEX_FIELDS


def link_fields(link: Link, names: Mapping[int, str]) -> Mapping[FieldKey, FieldValue]:
    """Doorbells, messages, masks, link state and translations of every port.

    :param names: by partition, the guest; others are called ``port N``
    """
    return {
        (names.get(port.partition, f"port{port.number}"), field): value
        for port in link.ports
        for field, value in _port(link, port, names)
    }


def _port(link: Link, port: NtPort, names: Mapping[int, str]) -> Iterator[tuple[str, FieldValue]]:
    dead = port.alive is False
    yield "port.state", "dead" if dead else port.state.name.lower()
    yield "port.incarnation", port.incarnation
    yield "link.up", port.linkup
    yield "link.bme", port.bus_master
    yield "link.ntctl", port.ntctl
    yield "link.mapping", port.mapping_valid
    for peer in link.ports:
        if peer.partition != port.partition:
            name = names.get(peer.partition, f"port{peer.number}")
            yield f"link.to.{name}", link.sees_up(port.partition, peer.partition)
    yield from _doorbell(port)
    for message in port.messages:
        yield from _message(message)
    yield "message.sent", _counter(port, "msg_tx")
    yield "message.refused", _counter(port, "msg_fail")
    for window in link.windows_of(port.partition):
        yield from _window(window)


def _doorbell(port: NtPort) -> Iterator[tuple[str, FieldValue]]:
    doorbell = port.doorbell
    yield "doorbell.status", doorbell.status
    yield "doorbell.mask", doorbell.mask
    yield "doorbell.pending", doorbell.pending
    yield "doorbell.received", doorbell.events
    yield "doorbell.sent", doorbell.sent
    yield "interrupt.mask", _counter(port, "ntintmsk")
    yield "interrupt.raised", _counter(port, "msi")


def _message(message: MessageRegister) -> Iterator[tuple[str, FieldValue]]:
    name = f"message{message.index}"
    yield f"{name}.data", message.data
    yield f"{name}.source", message.source
    yield f"{name}.full", message.full
    yield f"{name}.masked", message.masked
    yield f"{name}.failed", message.failed


def _window(window: MemoryWindow) -> Iterator[tuple[str, FieldValue]]:
    name = f"mw{window.index}"
    yield f"{name}.open", window.is_open
    if window.translation is not None:
        yield f"{name}.partition", window.translation.partition
        yield f"{name}.address", window.translation.address
        if window.translation.limit is not None:
            yield f"{name}.limit", window.translation.limit
    yield f"{name}.closed", window.why_closed


def _counter(port: NtPort, name: str) -> int:
    return int(port.block[name])  # type: ignore[call-overload, no-any-return]
