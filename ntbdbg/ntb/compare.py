# SPDX-License-Identifier: MIT
"""Where the driver in a guest and its device disagree.

Pure: the driver's view (`ntbdbg.ntb.driver`) and the link as the shared page has it come in,
each difference goes out by name. What a driver changes in two steps can differ for a moment
on a running guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ntbdbg.ntb.clients import Perf, PingPong
from ntbdbg.ntb.disagreement import Disagreement, Kind
from ntbdbg.ntb.translations import client_differences, pair_differences

if TYPE_CHECKING:
    from ntbdbg.ntb.driver import Driver, DriverWindow
    from ntbdbg.ntb.model import Link, MemoryWindow, NtPort

ALL_DOORBELLS = 0xFFFF_FFFF
FIRST_INBOUND = 1 << 16
"""MSGSTS: status of the first message that comes in; those of refused sends are bits 0 to 3."""


def compare(driver: Driver, link: Link, partition: int) -> list[Disagreement]:
    """Every difference between the driver of a port and the device; [] if all is well.

    :param partition: where the guest is on the link
    """
    port = link.port(partition)
    return [
        *_identity(driver, link, port),
        *_window_differences("", driver.windows, link.windows_of(partition)),
        *_peer_windows(driver, link),
        *_places(driver, port),
        *_enabled(driver, port),
        *_masks(driver, port),
        *client_differences(driver, link, partition),
    ]


def compare_all(drivers: Mapping[int, Driver], link: Link) -> dict[int, list[Disagreement]]:
    """As `compare` for every driver by partition, and what two drivers disagree about."""
    found = {part: compare(driver, link, part) for part, driver in drivers.items()}
    for part, other in pair_differences(drivers):
        found[part].append(other)
    return found


def _identity(driver: Driver, link: Link, port: NtPort) -> Iterator[Disagreement]:
    if driver.port != port.number:
        yield Disagreement(Kind.PORT, "", str(driver.port), str(port.number))
    if driver.partition != port.partition:
        yield Disagreement(Kind.PARTITION, "", str(driver.partition), str(port.partition))
    theirs = [(p.number, p.partition) for p in link.ports if p.partition != port.partition]
    ours = [(peer.port, peer.partition) for peer in driver.peers]
    if sorted(ours) != sorted(theirs):
        yield Disagreement(Kind.PEERS, "", _ports(ours), _ports(theirs))


def _ports(pairs: list[tuple[int, int]]) -> str:
    words = [f"port {port} (partition {partition})" for port, partition in sorted(pairs)]
    return ", ".join(words) or "none"


def _peer_windows(driver: Driver, link: Link) -> Iterator[Disagreement]:
    for peer in driver.peers:
        if 0 <= peer.partition < len(link.ports):
            theirs = link.windows_of(peer.partition)
            yield from _window_differences(f"port {peer.port} ", peer.windows, theirs)


def _window_differences(
    whose: str, ours: tuple[DriverWindow, ...], theirs: tuple[MemoryWindow, ...]
) -> Iterator[Disagreement]:
    if len(ours) != len(theirs):
        words = str(len(ours)), str(len(theirs))
        yield Disagreement(Kind.WINDOW_COUNT, whose.strip(), *words)
    for our, their in zip(ours, theirs, strict=False):
        said = _shape(our.kind.value, our.bar, our.entry, our.size_max)
        is_so = _shape(their.kind.value, their.bar, their.entry, their.aperture)
        if said != is_so:
            yield Disagreement(Kind.WINDOW, f"{whose}mw{their.index}", said, is_so)


def _shape(kind: str, bar: int, entry: int, size: int) -> str:
    return f"{kind} in BAR {bar}, entry {entry}, {size:#x} bytes"


def _places(driver: Driver, port: NtPort) -> Iterator[Disagreement]:
    bars = dict(driver.bars)
    for index, theirs in enumerate(port.bar_addr):
        ours = bars.get(index)
        if ours != theirs and not (ours is None and theirs == 0):
            yield Disagreement(Kind.BAR, f"BAR {index}", _address(ours), _address(theirs))
    base = port.bar_addr[0]
    if driver.registers is not None and base is not None and driver.registers != base:
        yield Disagreement(Kind.REGISTERS, "", f"{driver.registers:#x}", f"{base:#x}")
    if driver.bus_master != port.bus_master:
        words = _on(driver.bus_master), _on(port.bus_master)
        yield Disagreement(Kind.BUS_MASTER, "", *words)


def _address(address: int | None) -> str:
    return "none" if address is None else f"{address:#x}"


def _on(value: bool) -> str:
    return "on" if value else "off"


def _enabled(driver: Driver, port: NtPort) -> Iterator[Disagreement]:
    """pingpong and perf enable the link as long as they are bound; with tool its user does."""
    enabled = port.link_enabled and port.mapping_valid
    if isinstance(driver.client, PingPong | Perf) and not enabled:
        said = f"enabled it ({driver.client_name})"
    elif driver.client_name is None and port.link_enabled:
        said = "no client that could enable it"
    else:
        return
    is_so = f"NTCTL.CPEN={port.link_enabled:d}, mapping VALID={port.mapping_valid:d}"
    yield Disagreement(Kind.LINK_ENABLED, "", said, is_so)


def _masks(driver: Driver, port: NtPort) -> Iterator[Disagreement]:
    """What pingpong and perf leave unmasked; tool's user masks as she likes."""
    client = driver.client
    if isinstance(client, PingPong):
        doorbells, messages = client.in_db, 0
    elif isinstance(client, Perf):
        doorbells, messages = 0, FIRST_INBOUND
    else:
        return
    open_bits = ~port.doorbell.mask & ALL_DOORBELLS & ~doorbells
    if open_bits:
        said = f"all but {doorbells:#x} masked" if doorbells else "all masked"
        yield Disagreement(Kind.DOORBELL_MASK, "", said, f"{open_bits:#x} unmasked besides")
    unmasked = sum(FIRST_INBOUND << m.index for m in port.messages if not m.masked)
    unmasked |= sum(1 << m.index for m in port.messages if not m.failed_masked)
    if unmasked != messages:
        words = f"{messages:#x} unmasked", f"{unmasked:#x} unmasked"
        yield Disagreement(Kind.MESSAGE_MASK, "", *words)
