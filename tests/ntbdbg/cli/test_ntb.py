# SPDX-License-Identifier: MIT
"""ntbdbg ntb on fake guests joined by a fake switch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakentb import FakeIdt, idt_switch
from tests.support.fakepci import FakePci
from tests.support.linuxlab import LinuxLab

IDT: dict[str, FakeIdt] = {}


def furnish(name: str, guest: FakeGuest) -> None:
    part = int(name[-1]) - 1
    other = 1 - part
    pci = FakePci(guest)
    IDT[name] = FakeIdt(guest, pci, port=2 * part, part=part, peers=[(2 * other, other)])
    IDT[name].ping_pong(in_db=1 << 2 * part, out_db=1 << 2 * other)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path / "run", furnish=furnish, page=idt_switch().build()) as made:
        made.monkeypatch(monkeypatch)
        yield made


def test_both_sides_of_all_guests(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("ntb")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[:12] == [
        "qemu1: it runs; its log cannot be read",
        "qemu2: it runs; its log cannot be read",
        "link: up; nothing waits, is masked or refused; driver and device agree in qemu1 and qemu2",
        "",
        "qemu1   89HPES24NT6AG2 at 0000:00:02.0, port 0, partition 0",
        "peer 0  port 2, partition 1, 13 windows",
        "mapped  BAR 0 0xfeb00000, BAR 2 0xfe000000, BAR 4 0xfe400000",
        "client  ntb_pingpong: 7 rounds, waits for 0x1, rings 0x4 at peer 0",
        "device  LINKUP=1  BME=1  CPEN=1  mapping VALID=1",
        "        doorbells 0x0, masked 0xffffffff",
        "13 windows are not translated",
        "driver and device agree",
    ]
    assert lines[12].startswith("qemu2   89HPES24NT6AG2")


def test_a_disagreement_is_named(lab: LinuxLab, ntbdbg: Run) -> None:
    assert lab.manifest.link is not None
    switch = idt_switch()
    switch.translate(1, address=0x10_0000, size=0x4000)
    switch.save(lab.manifest.link.shared_page)
    done = ntbdbg("ntb", "qemu2")
    assert done.returncode == 1
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[-1] == (
        "mw0: translation that nobody asked for: the driver has none, the device "
        "partition 0 0x100000, 0x4000 bytes"
    )
    assert "mw0     direct  2:0  2 MiB  -       partition 0 0x100000, 16 KiB" in lines
    found = json.loads(ntbdbg("ntb", "qemu2", "--json").stdout)["disagreements"]
    assert [one["kind"] for one in found] == ["stray_translation"]


def test_for_a_program(lab: LinuxLab, ntbdbg: Run) -> None:
    documents = [json.loads(line) for line in ntbdbg("ntb", "--json").stdout.splitlines()]
    assert [d["guest"] for d in documents] == ["qemu1", "qemu2"]
    driver = documents[0]["driver"]
    assert driver["client"]["count"] == 7
    assert driver["windows"][1]["kind"] == "LUT12"
    assert documents[0]["disagreements"] == []
    assert documents[0]["problem"] is None


def test_every_window_on_demand(lab: LinuxLab, ntbdbg: Run) -> None:
    shown = ntbdbg("ntb", "qemu1", "--all").stdout
    assert shown.count("LUT12") == 12
    assert "not translated" not in shown


def test_a_guest_whose_driver_is_not_there(lab: LinuxLab, ntbdbg: Run) -> None:
    FakeGuest().save(lab.ram_path("qemu2"))
    alone = ntbdbg("ntb", "qemu2")
    assert alone.returncode == 5
    both = ntbdbg("ntb")
    assert both.returncode == 0
    first, second, link, empty, panel = both.stdout.splitlines()[:5]
    assert (first, empty) == ("qemu1: it runs; its log cannot be read", "")
    assert second.startswith("qemu2: it runs")
    assert link.startswith("link: up;")
    assert link.endswith("driver and device could not be compared in qemu2")
    assert panel.startswith("qemu1 ")
    assert "note: the types of this kernel have no struct pci_bus" in both.stderr


def test_without_a_link_the_driver_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ntbdbg: Run
) -> None:
    with LinuxLab(tmp_path / "run", furnish=furnish) as lab:
        lab.monkeypatch(monkeypatch)
        done = ntbdbg("ntb", "qemu1")
    assert done.returncode == 0
    assert "there is no device to compare with" in done.stdout
    assert "only the drivers' side is shown" in done.stderr
