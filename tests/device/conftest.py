# SPDX-License-Identifier: MIT
"""Real QEMUs and a real ivshmem-server for tests of the device."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from run.base.config import Paths
from run.steps.artifacts import MissingBuild, QemuInstall
from tests.device.deadline import eventually
from tests.device.port import Port
from tests.device.qtest import Build, Qemu, base_argv
from tests.device.switch import IDT, Switch

REPOSITORY = Path(__file__).parents[2]
RAM_SIZE = 64 << 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.device)


def qemu_build(flavour: str = "") -> Build:
    """The QEMU under test: $NTBDBG_QEMU_BUILD, a build folder, or what `run build qemu` left.

    :param flavour: subfolder of our build folder
    """
    folder = os.environ.get("NTBDBG_QEMU_BUILD")
    if folder:
        firmware = os.environ.get("NTBDBG_QEMU_FIRMWARE", "")
        return Build(
            Path(folder, "qemu-system-x86_64"),
            Path(folder, "contrib/ivshmem-server/ivshmem-server"),
            tuple(Path(part) for part in firmware.split(":") if part),
        )
    ours = Path(os.environ.get("NTBDBG_BUILD_DIR", REPOSITORY / "build"))  # as `run test` sets it
    try:
        install = QemuInstall.load(ours / flavour)
    except MissingBuild as missing:
        pytest.fail(f"no QEMU to test ('python3 run test' builds it): {missing}")
    return Build(
        Path(install.qemu),
        Path(install.ivshmem_server),
        tuple(Path(part) for part in install.firmware),
    )


@pytest.fixture(scope="session")
def build() -> Build:
    return qemu_build()


@pytest.fixture(scope="session")
def sanitized() -> Build:
    """The same with AddressSanitizer and UBSan in the device."""
    return qemu_build(Paths().sanitized.build.name)


class Bench:
    """A switch and the QEMUs on it, with their files in a folder of their own."""

    kind = IDT
    port: type[Any] = Port

    def __init__(self, build: Build, stack: ExitStack, vectors: int = 1, size: str = "1M") -> None:
        self.build = build
        self.stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ntb-")))
        self.switch = Switch(build, self.folder, vectors, size, self.kind)
        stack.callback(self.switch.stop)
        assert self.switch.page is not None
        self.page = self.switch.page
        self.mem_path = self.folder / "ram%d"
        self._started = 0

    def restart_server(self, same_page: bool = False, softly: bool = False) -> None:
        """Another server on the same socket; `page` stays the old one."""
        self.switch.end(softly)
        if not same_page:
            self.switch.shm.unlink()
        self.switch = Switch(self.build, self.folder, kind=self.kind)
        self.stack.callback(self.switch.stop)

    def connections(self) -> int:
        return self.switch.connections()

    def ram(self, part: int) -> Path:
        return self.folder / f"ram{part + 1}"

    def argv(self, part: int, ram_size: int = RAM_SIZE, **properties: Any) -> list[str]:
        properties.setdefault("mem_path", self.mem_path)
        return [
            *base_argv(self.build, self.ram(part), ram_size),
            *self.switch.device(part, ",addr=1", **properties),
        ]

    def start(
        self,
        part: int,
        ram_size: int = RAM_SIZE,
        extra_port: int | None = None,
        **properties: Any,
    ) -> Port:
        """A QEMU with one port, or two in one guest; firmware's work is done."""
        if extra_port is not None:
            properties["mem_path"] = self.ram(part)
        argv = self.argv(part, ram_size, **properties)
        if extra_port is not None:
            argv += self.switch.device(extra_port, ",addr=2", **properties)
        return self.start_argv(argv, part)

    def start_argv(self, argv: list[str], part: int) -> Port:
        self._started += 1
        qemu = Qemu(argv, self.folder, f"qemu{self._started}")
        self.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
        port: Port = self.port(qemu, self.page, part)
        port.setup()
        eventually(lambda: self.page.get(part, "state") == 2, f"the attachment of partition {part}")
        return port

    def start_pair(self, **properties: Any) -> tuple[Port, Port]:
        a, b = self.start(0, **properties), self.start(1, **properties)
        eventually(lambda: a.sees_port(b) and b.sees_port(a), "both ports to see each other")
        return a, b


@pytest.fixture
def new_bench(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bench]]:
    """A factory for switches that only this test uses; marked `sanitized`, with sanitizers."""
    wants = request.node.get_closest_marker("sanitized")
    build: Build = request.getfixturevalue("sanitized" if wants else "build")
    with ExitStack() as stack:
        yield lambda **options: Bench(build, stack, **options)


@pytest.fixture
def bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench()


@pytest.fixture(scope="session")
def _shared(build: Build) -> Iterator[tuple[Bench, Port, Port]]:
    with ExitStack() as stack:
        bench = Bench(build, stack, vectors=3)
        a, b = bench.start_pair(vectors=3)
        yield bench, a, b
        for port in (a, b):
            port.qemu.stop()


@pytest.fixture
def pair(_shared: tuple[Bench, Port, Port]) -> tuple[Port, Port]:
    """Two ports in two QEMUs, both fresh from a system reset, the link down."""
    bench, *ports = _shared
    a, b = (Port(port.qemu, bench.page, port.part) for port in ports)
    for port in (a, b):
        port.reset()
        port.setup()
    eventually(lambda: a.sees_port(b) and b.sees_port(a), "both ports to see each other")
    return a, b


@pytest.fixture
def linked(pair: tuple[Port, Port]) -> tuple[Port, Port]:
    """Two ports whose drivers report the link as up; MSI is on, events are quiet."""
    a, b = pair
    for port in pair:
        port.enable_msi()
        port.init_link_events()
    for port in pair:
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    for port in pair:
        port.quiet()
    return pair


@pytest.fixture
def rams(_shared: tuple[Bench, Port, Port]) -> tuple[Path, Path]:
    """The RAM files behind `pair` and `linked`."""
    bench, _, _ = _shared
    return bench.ram(0), bench.ram(1)
