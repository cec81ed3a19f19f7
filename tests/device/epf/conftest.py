# SPDX-License-Identifier: MIT
"""Ports of endpoint functions for tests of the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.device.deadline import eventually
from tests.device.epf.support import EpfBench, EpfPort, link
from tests.device.qtest import Build


@pytest.fixture
def new_bench(request: pytest.FixtureRequest) -> Iterator[Callable[..., EpfBench]]:
    """A factory for switches that only this test uses; marked `sanitized`, with sanitizers."""
    wants = request.node.get_closest_marker("sanitized")
    build: Build = request.getfixturevalue("sanitized" if wants else "build")
    with ExitStack() as stack:
        yield lambda **options: EpfBench(build, stack, **options)


@pytest.fixture(scope="session")
def _shared_epf(build: Build) -> Iterator[tuple[EpfBench, EpfPort, EpfPort]]:
    with ExitStack() as stack:
        bench = EpfBench(build, stack)
        a, b = bench.start_pair()
        yield bench, a, b
        for port in (a, b):
            port.qemu.stop()


@pytest.fixture
def pair(_shared_epf: tuple[EpfBench, EpfPort, EpfPort]) -> tuple[EpfPort, EpfPort]:
    """Two ports in two QEMUs, both fresh from a system reset, no driver loaded."""
    bench, *ports = _shared_epf
    a, b = (EpfPort(port.qemu, bench.page, port.part) for port in ports)
    for port in (a, b):
        port.reset()
        port.setup()
        eventually(lambda port=port: port.stat("linkup"), "the end of the reset")
    for port in (a, b):
        port.settle()
    return a, b


@pytest.fixture
def linked(pair: tuple[EpfPort, EpfPort]) -> tuple[EpfPort, EpfPort]:
    """Two ports with their drivers loaded and the link up; no interrupt is due."""
    link(*pair)
    return pair
