# SPDX-License-Identifier: MIT
"""A guest's NTB from both sides, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.ntb.clients import Perf, PingPong, Tool
from ntbdbg.ntb.translations import programmed_by_device, wanted_by_client
from ntbdbg.render.registers import link_words
from ntbdbg.render.table import facts_table, plain_table
from ntbdbg.render.text import printable
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from ntbdbg.analysis.ntbview import NtbView
    from ntbdbg.ntb.driver import Driver
    from ntbdbg.ntb.model import Link


class NtbPanel:
    """The driver's view, the device's beside it, and where they disagree.

    :param everything: also windows that nobody translated
    """

    def __init__(
        self, view: NtbView, driver: Driver, link: Link | None, *, everything: bool = False
    ) -> None:
        self.view = view
        self.driver = driver
        self.link = link
        self.everything = everything

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield facts_table(self._facts())
        table = self._windows()
        if table.row_count:
            yield table
        left = len(self.driver.windows) - table.row_count
        if left:
            yield Text(f"{left} windows are not translated", style="dim")
        yield from self._verdict()

    def _facts(self) -> Iterator[tuple[str, str | Text]]:
        driver = self.driver
        place = f"port {driver.port}, partition {driver.partition}"
        yield self.view.guest, f"{printable(driver.switch)} at {printable(driver.slot)}, {place}"
        for peer in driver.peers:
            words = f"port {peer.port}, partition {peer.partition}, {len(peer.windows)} windows"
            yield f"peer {peer.index}", words
        bars = (f"BAR {index} {address:#x}" for index, address in driver.bars)
        yield "mapped", ", ".join(bars)
        for line in client_lines(driver):
            yield "client", line
        if self.link is not None and self.view.partition is not None:
            port = self.link.port(self.view.partition)
            yield "device", link_words(port)
            bell = port.doorbell
            yield "", f"doorbells {bell.status:#x}, masked {bell.mask:#x}"

    def _windows(self) -> Table:
        table = plain_table("WINDOW", "KIND", "BAR", "UP TO", "CLIENT", "DEVICE", right=("UP TO",))
        wanted = wanted_by_client(self.driver)
        programmed = self._programmed()
        for window in self.driver.windows:
            sides = wanted.get(window.index), programmed.get(window.index)
            if self.everything or any(sides):
                table.add_row(
                    f"mw{window.index}",
                    window.kind.value,
                    f"{window.bar}:{window.entry}",
                    format_size(window.size_max),
                    *(_translation(side) for side in sides),
                )
        return table

    def _programmed(self) -> dict[int, tuple[int, int, int]]:
        if self.link is None or self.view.partition is None:
            return {}
        windows = self.link.windows_of(self.view.partition)
        return {w.index: found for w in windows if (found := programmed_by_device(w))}

    def _verdict(self) -> Iterator[Text]:
        found = self.view.disagreements
        if found is None:
            yield Text("there is no device to compare with", style="dim")
        elif not found:
            yield Text("driver and device agree", style="green")
        for one in found or ():
            yield Text(str(one), style="red")


def client_lines(driver: Driver) -> Iterator[str]:
    """What is bound to the port, in words."""
    client, name = driver.client, printable(driver.client_name or "none")
    if isinstance(client, PingPong):
        yield f"{name}: {client.count} rounds, waits for {client.in_db:#x}, " + (
            f"rings {client.out_db:#x} at peer {client.out_peer}"
            if client.out_db
            else "has no peer"
        )
    elif isinstance(client, Tool):
        yield f"{name}: {len(client.outbound)} windows out, {len(client.inbound)} buffers in"
        for one in client.inbound:
            span = _span(one.address, one.size)
            yield f"  buffer for peer {one.peer}, window {one.index}: {span}"
    elif isinstance(client, Perf):
        yield f"{name}: writes to mw{client.window}" + (", a test runs" if client.busy else "")
        for peer in client.peers:
            state = "ready" if peer.done else "not ready"
            yield f"  peer {peer.index}: link {'up' if peer.link_up else 'down'}, {state}, " + (
                f"buffer {_span(peer.in_address, peer.in_size)}" if peer.in_address else "no buffer"
            )
    else:
        yield name


def _span(address: int, size: int) -> str:
    return f"{address:#x}, {format_size(size)}"


def _translation(side: tuple[int, int, int] | None) -> str:
    if side is None:
        return "-"
    partition, address, size = side
    return f"partition {partition} {_span(address, size)}"


def ntb_facts(view: NtbView) -> dict[str, Any]:
    """The document of ``ntb --json`` (docs/json.md)."""
    driver = view.driver
    found = view.disagreements
    return {
        "guest": view.guest,
        "partition": view.partition,
        "problem": view.problem.message if view.problem else None,
        "driver": None if driver is None else _driver_facts(driver),
        "disagreements": None
        if found is None
        else [
            {
                "kind": one.kind.name.lower(),
                "subject": one.subject,
                "driver": one.driver,
                "device": one.device,
                "text": str(one),
            }
            for one in found
        ],
    }


def _driver_facts(driver: Driver) -> dict[str, Any]:
    facts = asdict(driver)
    facts["bars"] = [{"index": index, "address": address} for index, address in driver.bars]
    for windows in (facts["windows"], *(peer["windows"] for peer in facts["peers"])):
        for window in windows:
            window["kind"] = window["kind"].value
    return facts
