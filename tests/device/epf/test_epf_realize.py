# SPDX-License-Identifier: MIT
"""Configurations that must be refused, each with a word about what is wrong."""

from __future__ import annotations

import pytest

from tests.device.epf.support import EpfBench
from tests.device.qtest import base_argv, failed_start
from tests.device.switch import IDT

BAD_PROPERTIES = {
    "number=2": "number=2 is out of range",
    "nports=3": "nports=3 is out of range: an NTB of endpoint functions has two ports",
    "map=j721e": "map=j721e is not known: it is mx8",
    "msix-vectors=3": "msix-vectors=3 is out of range: it is 4 to 32",
    "msix-vectors=33": "msix-vectors=33 is out of range",
    "spads=5": "spads=5 is out of range: it is 6 to 64",
    "spads=65": "spads=65 is out of range",
    "mw0-size=32K": "mw0-size must be a power of two from 64K to 64M",
    "mw1-size=3M": "mw1-size must be a power of two",
    "mw1-size=128M": "mw1-size must be a power of two from 64K to 64M",
    "mem-path=/dev/shm/%s": "only %d is replaced",
}


@pytest.mark.parametrize(("words", "complaint"), BAD_PROPERTIES.items())
def test_bad_properties(bench: EpfBench, words: str, complaint: str) -> None:
    argv = base_argv(bench.build, bench.ram(0), 64 << 20)
    argv += ["-chardev", f"socket,id=c,path={bench.switch.socket}"]
    argv += ["-device", f"ntb-epf-ivshmem,chardev=c,{words}"]
    assert complaint in failed_start(argv)


def test_without_a_chardev(bench: EpfBench) -> None:
    argv = base_argv(bench.build, bench.ram(0), 64 << 20)
    assert "chardev= is missing" in failed_start([*argv, "-device", "ntb-epf-ivshmem"])


def test_a_machine_without_msi(bench: EpfBench) -> None:
    argv = [*bench.argv(0), "-cpu", "qemu64,apic=off"]
    assert "this machine has no MSI, without which no driver takes" in failed_start(argv)


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({"mw0_size": "4M"}, "BAR4 is set up as 0x00000016 here, but as 0x00000015"),
        ({"mw1_size": "64K"}, "BAR5 is set up as 0x00000010 here"),
        ({"spads": 16}, "give all ports the same mwN-size and spads"),
    ],
)
def test_ports_must_be_alike(bench: EpfBench, properties: dict, complaint: str) -> None:
    bench.start(0)
    assert complaint in failed_start(bench.argv(1, **properties))


def test_vectors_may_differ(bench: EpfBench) -> None:
    bench.start(0)
    assert bench.start(1, msix_vectors=4).stat("state") == 2


def test_port_in_use(bench: EpfBench) -> None:
    bench.start(0)
    assert "port 0 (number=0) is already in use" in failed_start(bench.argv(0))


def test_another_kind_of_port_on_the_page(bench: EpfBench) -> None:
    bench.start(0)
    argv = [word.replace(bench.kind.device, IDT.device) for word in bench.argv(1)]
    told = failed_start(argv)
    assert "joins ports of model 0x0809, this one is 0x8091" in told
    assert "give each kind of port an ivshmem-server of its own" in told


def test_on_the_page_of_another_kind(bench: EpfBench) -> None:
    first = [word.replace(bench.kind.device, IDT.device) for word in bench.argv(0)]
    bench.start_argv(first, 0)
    assert "joins ports of model 0x8091, this one is 0x0809" in failed_start(bench.argv(1))


def test_conventional_bus_is_refused(bench: EpfBench) -> None:
    argv = [word.replace("q35,", "pc,") for word in bench.argv(0)]
    assert "ntb-epf-ivshmem" in failed_start(argv)


def test_migration_is_refused(bench: EpfBench) -> None:
    a = bench.start(0)
    with pytest.raises(AssertionError, match="ntb-epf-ivshmem"):
        a.qemu.qmp("migrate", uri=f"file:{bench.folder / 'state'}")
