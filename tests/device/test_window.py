# SPDX-License-Identifier: MIT
"""Direct windows: what they reach, what they do not, and who can close them."""

from __future__ import annotations

import os
import signal
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.device import port as nt
from tests.device.conftest import RAM_SIZE, Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port

Pair = tuple[Port, Port]
TARGET = 0x1000000


def digest(path: Path) -> int:
    """Of all bytes; holes are zeros and need not be read."""
    value = 0
    with path.open("rb") as file:
        fd, at = file.fileno(), 0
        while True:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                return value
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                data = os.pread(fd, min(1 << 20, end - at), at)
                if data.count(0) != len(data):
                    value = zlib.crc32(data, value ^ at & 0xFFFFFFFF)
                at += len(data)


def assert_closed(port: Port, offset: int = 0, size: int = WINDOW_SIZE) -> None:
    """All-ones everywhere in the given part of the window, and no write gets through."""
    for at in {offset, offset + size // 2 & ~7, offset + size - 8}:
        for width in (1, 2, 4, 8):
            assert port.qemu.read(port.bar2 + at, width) == (1 << 8 * width) - 1
            port.qemu.write(port.bar2 + at, 0x1122334455667788 & (1 << 8 * width) - 1, width)


def assert_open(port: Port, path: Path, offset: int, file_offset: int, size: int = 4096) -> None:
    """Bytes pass in both directions between the window and the RAM file."""
    data = os.urandom(size)
    port.qemu.write_bytes(port.bar2 + offset, data)
    with path.open("r+b") as file:
        assert os.pread(file.fileno(), size, file_offset) == data
        os.pwrite(file.fileno(), data[::-1], file_offset)
    assert port.qemu.read_bytes(port.bar2 + offset, size) == data[::-1]


@pytest.fixture
def quiet_files(rams: tuple[Path, Path]) -> Callable[[], None]:
    """A check that no byte of either RAM file has changed since the test began."""
    before = [digest(path) for path in rams]

    def check() -> None:
        assert [digest(path) for path in rams] == before

    return check


def test_window_reaches_the_peers_ram(linked: Pair, rams: tuple[Path, Path]) -> None:
    for port, path in zip(linked, reversed(rams), strict=True):
        port.set_window(TARGET)
        assert port.window_open()
        for offset in (0, 0x1000, WINDOW_SIZE // 2, WINDOW_SIZE - 4096):
            assert_open(port, path, offset, TARGET + offset)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_every_access_size(linked: Pair, width: int) -> None:
    a, b = linked
    a.set_window(TARGET)
    b.qemu.write_bytes(TARGET, b"\xee" * 64)
    value = 0x8877665544332211 & (1 << 8 * width) - 1
    a.qemu.write(a.bar2 + 16, value, width)
    expected = b"\xee" * 16 + value.to_bytes(width, "little") + b"\xee" * (48 - width)
    assert b.qemu.read_bytes(TARGET, 64) == expected
    assert a.qemu.read(a.bar2 + 16, width) == value


def test_open_window_does_not_trap(linked: Pair) -> None:
    a, _ = linked
    a.set_window(TARGET)
    traps = a.stat("win_trap")
    a.qemu.write_bytes(a.bar2, bytes(0x10000))
    a.qemu.read_bytes(a.bar2, 0x10000)
    assert a.stat("win_trap") == traps
    a.set_window(TARGET, size=0)
    a.qemu.read(a.bar2)
    assert a.stat("win_trap") == traps + 1


def test_unprogrammed_window_is_closed(linked: Pair, quiet_files: Callable[[], None]) -> None:
    for port in linked:
        assert not port.window_open()
        assert_closed(port)
    quiet_files()


# bytes after the start of the BAR -> bytes that are open
LIMITS = {
    -0x100000: 0,
    -1: 0,
    0: 0,
    4096: 4096,
    4096 - 1: 4096,
    0x10000: 0x10000,
    WINDOW_SIZE - 1: WINDOW_SIZE,
    WINDOW_SIZE: WINDOW_SIZE,
    WINDOW_SIZE + 1: WINDOW_SIZE,
    2 * WINDOW_SIZE: WINDOW_SIZE,
    1 << 32: WINDOW_SIZE,
}


@pytest.mark.parametrize(("limit", "extent"), LIMITS.items())
def test_limit(linked: Pair, rams: tuple[Path, Path], limit: int, extent: int) -> None:
    a, _ = linked
    a.set_window(TARGET, limit=a.bar2 + limit)
    if extent:
        assert_open(a, rams[1], 0, TARGET)
        assert_open(a, rams[1], extent - 4096, TARGET + extent - 4096)
    before = digest(rams[1])
    if extent < WINDOW_SIZE:
        assert_closed(a, extent, WINDOW_SIZE - extent)
    assert a.window_open() == bool(extent)
    assert digest(rams[1]) == before


@pytest.mark.parametrize("limit", [0, 2**64 - 1, 2**64 - 1024, 2**64 - 1025])
def test_extreme_limits(linked: Pair, limit: int) -> None:
    a, _ = linked
    a.set_window(TARGET, limit=limit)
    assert a.window_open() == bool(limit)


def test_limit_counts_in_kibibytes(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.set_window(TARGET, limit=a.bar2 + 4097)
    assert_open(a, rams[1], 0, TARGET)
    assert_open(a, rams[1], 4096, TARGET + 4096, 1024)
    assert_closed(a, 4096 + 1024, 1024)
    a.set_window(TARGET, limit=a.bar2 + 1)
    assert_open(a, rams[1], 0, TARGET, 1024)
    assert_closed(a, 1024, 4096)


def test_window_above_4_gib(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.move_window(0x8_0000_0000)
    a.set_window(TARGET)
    assert a.read(nt.BARLIMIT3) == 8
    assert_open(a, rams[1], 0x1000, TARGET + 0x1000)
    a.write(nt.BARLIMIT3, 0)
    assert not a.window_open()
    assert_closed(a)


def test_limit_is_absolute_when_the_bar_moves(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    home = a.bar2
    a.set_window(TARGET, 0x10000)
    a.move_window(home + WINDOW_SIZE)
    assert not a.window_open()
    assert_closed(a)
    a.move_window(home - WINDOW_SIZE)
    assert_open(a, rams[1], WINDOW_SIZE - 4096, TARGET + WINDOW_SIZE - 4096)
    assert a.page.get_all(0, "bar_addr")[2] == a.bar2
    a.move_window(home)
    assert_open(a, rams[1], 0x10000 - 4096, TARGET + 0x10000 - 4096)
    assert_closed(a, 0x10000, WINDOW_SIZE - 0x10000)
    a.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MASTER, 2)
    assert not a.window_open()
    assert a.page.get_all(0, "bar_addr")[2] == 2**64 - 1


def test_translation_can_change(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    for target in (TARGET, 0x100000, RAM_SIZE - WINDOW_SIZE, TARGET + 4096):
        a.set_window(target)
        assert_open(a, rams[1], 0, target)
        assert_open(a, rams[1], WINDOW_SIZE - 4096, target + WINDOW_SIZE - 4096)


def test_translation_at_the_end_of_ram(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, _ = linked
    a.set_window(RAM_SIZE - 0x10000)
    assert_open(a, rams[1], 0, RAM_SIZE - 0x10000, 0x10000)
    before = digest(rams[1])
    assert_closed(a, 0x10000, WINDOW_SIZE - 0x10000)
    assert digest(rams[1]) == before
    assert rams[1].stat().st_size == RAM_SIZE


BAD_TARGETS = {
    "past the RAM": RAM_SIZE,
    "far past the RAM": 1 << 40,
    "upper half all-ones": 0xFFFFFFFF_00000000,
    "last page": 0xFFFFFFFF_FFFFF000,
    "last dword": 0xFFFFFFFF_FFFFFFFC,
    "local APIC": 0xFEE00000,
}


@pytest.mark.parametrize("target", BAD_TARGETS.values(), ids=BAD_TARGETS.keys())
def test_bad_targets(linked: Pair, quiet_files: Callable[[], None], target: int) -> None:
    a, _ = linked
    a.set_window(target)
    assert not a.window_open()
    assert_closed(a)
    quiet_files()


@pytest.mark.parametrize("part", [0, 2, 3, 4, 5, 6, 7])
def test_own_and_unused_partitions(
    linked: Pair, quiet_files: Callable[[], None], part: int
) -> None:
    a, _ = linked
    a.set_window(TARGET, part=part)
    assert not a.window_open()
    assert_closed(a)
    quiet_files()


def test_legacy_memory_is_not_reachable(linked: Pair, quiet_files: Callable[[], None]) -> None:
    a, _ = linked
    a.set_window(0, 0x100000)
    assert not a.window_open()
    assert_closed(a, 0, 0x100000)
    quiet_files()


Gate = Callable[[Port], None]
GATES: dict[str, tuple[Gate, Gate]] = {
    "CPEN": (lambda p: p.write(nt.NTCTL, 0), lambda p: p.write(nt.NTCTL, nt.CPEN)),
    "BME": (
        lambda p: p.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY, 2),
        lambda p: p.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2),
    ),
    "VALID": (lambda p: p.set_mapping(0), lambda p: p.set_mapping(1)),
}


@pytest.mark.parametrize("side", [0, 1], ids=["sender", "receiver"])
@pytest.mark.parametrize("gate", GATES)
def test_each_gate_closes(linked: Pair, rams: tuple[Path, Path], gate: str, side: int) -> None:
    a, _ = linked
    port = linked[side]
    shut, reopen = GATES[gate]
    timeouts = port.stat("quiesce_timeouts")
    a.set_window(TARGET)
    assert_open(a, rams[1], 0, TARGET)
    before = digest(rams[1])
    shut(port)
    # no waiting: the window is closed when the write returns
    assert_closed(a)
    assert not a.window_open()
    assert digest(rams[1]) == before
    assert port.stat("quiesce_timeouts") == timeouts
    reopen(port)
    a.settle()
    assert a.window_open()
    assert_open(a, rams[1], 0, TARGET)


def test_id_protection_off_needs_no_mapping(linked: Pair) -> None:
    a, _ = linked
    a.set_window(TARGET)
    a.set_mapping(0)
    assert not a.window_open()
    a.write(nt.NTCTL, nt.CPEN | nt.IDPROTDIS)
    assert a.window_open()


def test_reset_of_the_receiver_closes(linked: Pair, rams: tuple[Path, Path]) -> None:
    a, b = linked
    a.set_window(TARGET)
    assert a.window_open()
    before = digest(rams[1])
    b.reset()
    assert_closed(a)
    assert digest(rams[1]) == before
    b.setup()
    b.link_enable()
    a.settle()
    assert_open(a, rams[1], 0, TARGET)


def test_reset_of_the_sender_closes(linked: Pair) -> None:
    a, b = linked
    a.set_window(TARGET)
    a.reset()
    a.setup()
    a.link_enable()
    a.settle()
    assert a.link_up(b)
    assert not a.window_open()
    assert_closed(a)


@pytest.mark.parametrize("skew", [0, 4], ids=["mapped", "copied"])
def test_nothing_passes_after_link_disable(
    linked: Pair, rams: tuple[Path, Path], skew: int
) -> None:
    """ntb_link_disable()'s promise, against a sender that never stops writing."""
    a, b = linked
    a.set_window(TARGET - skew)
    stop, writes = threading.Event(), 0

    def hammer() -> None:
        nonlocal writes
        while not stop.is_set():
            a.qemu.write(a.bar2 + skew, writes)
            writes += 1

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        for _ in range(20):
            target = writes + 20
            eventually(lambda: writes > target, "more writes")  # noqa: B023
            b.write(nt.NTCTL, 0)
            with rams[1].open("r+b") as file:
                os.pwrite(file.fileno(), b"untouched", TARGET)
                target = writes + 20
                eventually(lambda: writes > target, "more writes")  # noqa: B023
                assert os.pread(file.fileno(), 9, TARGET) == b"untouched"
            b.write(nt.NTCTL, nt.CPEN)
            eventually(lambda: b.qemu.read_bytes(TARGET, 9) != b"untouched", "the window to open")
    finally:
        stop.set()
        thread.join()


def test_repeating_a_translation_costs_nothing(linked: Pair) -> None:
    a, _ = linked
    a.set_window(TARGET)
    maps = a.stat("win_map")
    for _ in range(50):
        a.set_window(TARGET)
    assert a.stat("win_map") == maps


# peers with special RAM


@pytest.fixture
def big(new_bench: Callable[..., Bench]) -> tuple[Port, Path]:
    """A port whose peer has 4 GiB: 2 below the PCI hole, 2 from 4 GiB on."""
    bench = new_bench()
    a, b = bench.start(0), bench.start(1, ram_size=4 << 30)
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    assert b.page.get(1, "nseg") == 2
    return a, bench.ram(1)


def test_both_sides_of_the_pci_hole(big: tuple[Port, Path]) -> None:
    a, path = big
    low, four = 2 << 30, 4 << 30
    a.set_window(low - WINDOW_SIZE)
    assert_open(a, path, WINDOW_SIZE - 4096, low - 4096)
    a.set_window(low - 0x100000)
    assert_open(a, path, 0x100000 - 4096, low - 4096)
    assert_closed(a, 0x100000, WINDOW_SIZE - 0x100000)
    a.set_window(four - 0x100000)
    assert_closed(a, 0, 0x100000)
    assert_open(a, path, 0x100000, low)
    a.set_window(3 << 30)
    assert not a.window_open()
    assert_closed(a)
    a.set_window(four)
    assert_open(a, path, 0, low)
    a.set_window(6 * (1 << 30) - 4096)
    assert_open(a, path, 0, four - 4096)
    assert_closed(a, 4096, WINDOW_SIZE - 4096)
    assert path.stat().st_size == four


Prepare = Callable[[Path, Path], object]
WRONG_FILES: dict[str, Prepare] = {
    "missing": lambda path, ram: None,
    "empty": lambda path, ram: path.touch(),
    "another": lambda path, ram: path.write_bytes(bytes(RAM_SIZE)),
    "folder": lambda path, ram: path.mkdir(),
    "fifo": lambda path, ram: os.mkfifo(path),
}


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_wrong_ram_file(bench: Bench, kind: str) -> None:
    other = bench.folder / "other"
    WRONG_FILES[kind](other, bench.ram(1))
    a, b = bench.start(0, mem_path_1=other), bench.start(1)
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.set_window(TARGET)
    assert not a.window_open()
    assert_closed(a)
    if kind == "another":
        assert other.read_bytes() == bytes(RAM_SIZE)
    if kind == "empty":
        assert other.stat().st_size == 0
    expected = kind not in ("missing", "empty")
    assert a.qemu.log_text().count("windows into port 2 stay closed") == expected
    # a file that comes late is found at the peer's next sign of life
    other.rmdir() if kind == "folder" else other.unlink(missing_ok=True)
    other.hardlink_to(bench.ram(1))
    b.write(nt.OUTDBELLSET, 1)
    a.settle()
    assert a.window_open()
    assert_open(a, bench.ram(1), 0, TARGET)


BAD_TABLES: dict[str, dict[str, Sequence[int]]] = {
    "no segments": {"nseg": (0,)},
    "too many segments": {"nseg": (17,)},
    "larger than the file": {"ram_size": (RAM_SIZE * 4,), "seg": (0, RAM_SIZE * 2, 0, *[0] * 45)},
    "beyond its own size": {"seg": (0, RAM_SIZE, 4096, *[0] * 45)},
    "wraps": {"seg": (2**64 - 4096, 8192, 0, *[0] * 45)},
    "offset wraps": {"seg": (0, 4096, 2**64 - 4096, *[0] * 45)},
    "empty segment": {"seg": [0] * 48},
    "overlap": {"nseg": (2,), "seg": (0, 0x2000000, 0, 0x1000000, 0x1000000, 0, *[0] * 42)},
    "another file": {"ram_ino": (1,)},
    "another file system": {"ram_dev": (1,)},
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_lying_ram_table(bench: Bench, kind: str) -> None:
    """Whatever a peer publishes, only its own file is reached, and only inside."""
    a, b = bench.start_pair()
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.set_window(TARGET)
    assert a.window_open()
    for name, values in BAD_TABLES[kind].items():
        a.page.put(1, name, *values)
    a.page.put(1, "incarnation", 12345)
    b.write(nt.OUTDBELLSET, 1)
    a.settle()
    assert not a.window_open()
    assert_closed(a)
    assert bench.ram(1).stat().st_size == RAM_SIZE


def test_ram_table_that_is_never_finished(bench: Bench) -> None:
    a, b = bench.start_pair()
    for port in (a, b):
        port.link_enable()
    a.settle()
    a.set_window(TARGET)
    assert a.window_open()
    a.page.put(1, "ram_seq", a.page.get(1, "ram_seq") | 1)
    a.page.put(1, "incarnation", 12345)
    b.write(nt.OUTDBELLSET, 1)
    a.settle()
    assert not a.window_open()


def test_private_ram_is_not_reachable(bench: Bench) -> None:
    a = bench.start(0)
    argv = bench.argv(1)
    argv = [word.replace(",share=on", ",share=off") for word in argv]
    b = bench.start_argv(argv, 1)
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    assert not a.page.get(1, "flags") & 1
    a.set_window(TARGET)
    assert not a.window_open()
    assert "share=on" in b.qemu.log_text()
    b.set_window(TARGET)
    assert b.window_open()


def test_window_size_follows_the_property(bench: Bench) -> None:
    a, b = bench.start_pair(bar2_size="16K")
    for port in (a, b):
        port.link_enable()
    a.settle()
    assert a.read(nt.BARSETUP2) == 0x800000EC
    a.set_window(TARGET, 0x4000)
    assert_open(a, bench.ram(1), 0x3000, TARGET + 0x3000)


def test_window_can_be_off(bench: Bench) -> None:
    a, _ = bench.start_pair(bar2_mode="off")
    assert a.read(nt.BARSETUP2) == 0
    a.write(nt.BARSETUP2, nt.ALL_ONES)
    assert a.read(nt.BARSETUP2) == 0
    assert a.cfg_read(0x18) == 0
    a.set_window(TARGET)
    assert not a.window_open()


def test_stopped_sender_still_lets_go(linked: Pair) -> None:
    """A frozen guest answers for its windows like a running one."""
    a, b = linked
    timeouts = b.stat("quiesce_timeouts")
    a.set_window(TARGET)
    a.qemu.qmp("stop")
    try:
        b.link_disable()
        assert not a.window_open()
        assert b.stat("quiesce_timeouts") == timeouts
    finally:
        a.qemu.qmp("cont")


def test_vanished_sender_delays_nobody_for_long(bench: Bench) -> None:
    """One that does not answer costs the timeout, is counted, and is reported."""
    a, b = bench.start_pair(quiesce_timeout_ms=20)
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    a.qemu.process.send_signal(signal.SIGSTOP)
    try:
        b.write(nt.NTCTL, 0)
        assert b.stat("quiesce_timeouts") == 1
        assert "did not close" in b.qemu.log_text()
    finally:
        a.qemu.process.send_signal(signal.SIGCONT)
    a.settle()
    assert not a.link_up(b)
