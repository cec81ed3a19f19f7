# SPDX-License-Identifier: MIT
"""Where clients and the device disagree about translations, links and doorbell bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ntbdbg.ntb.clients import Perf, PerfPeer, PingPong, Tool
from ntbdbg.ntb.disagreement import Disagreement, Kind
from ntbdbg.ntb.gates import NOT_THE_LINK
from ntbdbg.ntb.model import Why
from ntbdbg.ntb.programmed import LIMIT_UNIT

if TYPE_CHECKING:
    from ntbdbg.ntb.driver import Driver
    from ntbdbg.ntb.model import Link, MemoryWindow

NOT_SET = (Why.LIMIT_ZERO, Why.LUT_INVALID)
Programmed = tuple[int, int, int]
"""partition, address there, size in bytes"""


def client_differences(driver: Driver, link: Link, partition: int) -> Iterator[Disagreement]:
    """What the client of a port says that the device does not."""
    client = driver.client
    if isinstance(client, PingPong):
        yield from _bits(driver, client)
    if isinstance(client, Perf):
        for peer in client.peers:
            yield from _perf_link(driver, link, partition, peer)
            yield from _perf_window(link, partition, client, peer)
    if client is not None or driver.client_name is None:
        wanted = wanted_by_client(driver)
        for window in link.windows_of(partition):
            yield from _translation(wanted.get(window.index), window)


def pair_differences(drivers: Mapping[int, Driver]) -> Iterator[tuple[int, Disagreement]]:
    """(partition, what its ntb_perf was told of a peer's buffer that the peer does not say)."""
    for part, driver in drivers.items():
        if not isinstance(driver.client, Perf):
            continue
        for ours in driver.client.peers:
            known = driver.peer(ours.index)
            other = drivers.get(known.partition) if known else None
            if not ours.done or known is None or other is None:
                continue
            theirs = _towards(other, part)
            if theirs is not None and theirs.in_address != ours.out_address:
                said = f"{ours.out_address:#x} at port {known.port}"
                is_so = f"of port {known.port} has its buffer at {theirs.in_address:#x}"
                yield part, Disagreement(Kind.BUFFER, f"mw{ours.window}", said, is_so)


def _towards(driver: Driver, partition: int) -> PerfPeer | None:
    """What a perf knows of the peer in `partition`."""
    if not isinstance(driver.client, Perf):
        return None
    for peer in driver.client.peers:
        known = driver.peer(peer.index)
        if known is not None and known.partition == partition:
            return peer
    return None


def _bits(driver: Driver, client: PingPong) -> Iterator[Disagreement]:
    """Each port waits for the doorbell bit of its own number."""
    if client.in_db != 1 << driver.port:
        words = f"{client.in_db:#x}", f"{1 << driver.port:#x} for its port"
        yield Disagreement(Kind.DOORBELL_BIT, "own", *words)
    peer = driver.peer(client.out_peer)
    if client.out_db and (peer is None or client.out_db != 1 << peer.port):
        right = "no such peer" if peer is None else f"{1 << peer.port:#x} for port {peer.port}"
        yield Disagreement(
            Kind.DOORBELL_BIT, f"peer {client.out_peer}", f"{client.out_db:#x}", right
        )


def _perf_link(
    driver: Driver, link: Link, partition: int, peer: PerfPeer
) -> Iterator[Disagreement]:
    known = driver.peer(peer.index)
    if known is None or not 0 <= known.partition < len(link.ports):
        return
    is_up = link.sees_up(partition, known.partition)
    if is_up != peer.link_up:
        words = ["up" if up else "down" for up in (peer.link_up, is_up)]
        yield Disagreement(Kind.LINK_UP, f"port {known.port}", *words)


def _perf_window(
    link: Link, partition: int, client: Perf, peer: PerfPeer
) -> Iterator[Disagreement]:
    """Linux 6.1's ntb_perf maps one window and translates another; a mirror makes up for it."""
    if not peer.done or not peer.out_mapped or link.header.mirror_mw:
        return
    for window in link.windows_of(partition):
        if window.index == peer.window and window.base not in (None, peer.out_mapped):
            said = f"mapped mw{client.window} at {peer.out_mapped:#x}"
            is_so = f"leads to the buffer through mw{window.index} at {window.base:#x}"
            yield Disagreement(Kind.OTHER_WINDOW, f"mw{window.index}", said, is_so)


def wanted_by_client(driver: Driver) -> dict[int, Programmed]:
    """The translations that the client set up, by window."""
    return dict(_wanted(driver))


def _wanted(driver: Driver) -> Iterator[tuple[int, Programmed]]:
    client = driver.client
    if isinstance(client, Tool):
        for one in client.outbound:
            peer = driver.peer(one.peer)
            if peer is not None:
                yield one.index, (peer.partition, one.address, one.size)
    if isinstance(client, Perf):
        for each in client.peers:
            peer = driver.peer(each.index)
            if each.done and peer is not None:
                yield each.window, (peer.partition, each.out_address, each.out_size)


def _translation(wanted: Programmed | None, window: MemoryWindow) -> Iterator[Disagreement]:
    name = f"mw{window.index}"
    actual = programmed_by_device(window)
    if wanted is None:
        if actual is not None:
            yield Disagreement(Kind.STRAY_TRANSLATION, name, "none", _words(actual))
        return
    partition, address, size = wanted
    # A direct window ends at its limit, which counts in KiB; one of a lookup table is whole.
    direct = window.translation is not None and window.translation.limit is not None
    full = min(-(-size // LIMIT_UNIT) * LIMIT_UNIT, window.aperture) if direct else window.aperture
    expected = partition, address, full
    if actual != expected:
        words = _words(expected), "none" if actual is None else _words(actual)
        yield Disagreement(Kind.TRANSLATION, name, *words)
        return
    for reason in window.closed:
        if reason.why in NOT_THE_LINK:
            yield Disagreement(Kind.CLOSED_BY_PEER, name, "it translated", f"closed: {reason.text}")


def programmed_by_device(window: MemoryWindow) -> Programmed | None:
    """(partition, address, size) that its own registers hold, None if they are not set."""
    unset = any(reason.why in NOT_SET for reason in window.closed)
    if window.translation is None or window.mirrors or unset:
        return None
    return window.translation.partition, window.translation.address, window.size


def _words(translation: Programmed) -> str:
    partition, address, size = translation
    return f"partition {partition} {address:#x}, {size:#x} bytes"
