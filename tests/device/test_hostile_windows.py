# SPDX-License-Identifier: MIT
"""Windows under a hostile guest: no byte is reached but those that its registers name."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.device import port as nt
from tests.device.conftest import RAM_SIZE, Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port
from tests.device.windowmodel import PAGE, BarModel, PortModel, Segment, Target

pytestmark = pytest.mark.sanitized  # whatever goes wrong shall not go unseen

SEED = 20240607
STEPS = 700
MIB, GIB = 1 << 20, 1 << 30
BIG_RAM = 4 * GIB
LOW_RAM = 2 * GIB
"""Of a q35 machine with 4 GiB: the rest lies from 4 GiB on."""

SMALL = (Segment(MIB, RAM_SIZE - MIB, MIB),)
BIG = (
    Segment(MIB, LOW_RAM - MIB, MIB),
    Segment(4 * GIB, BIG_RAM - LOW_RAM, LOW_RAM),
)
EDGES = [0, MIB, RAM_SIZE, LOW_RAM, 3 * GIB, 4 * GIB, 6 * GIB, 2**64]
ZEROS = bytes(PAGE)


class Contents:
    """What RAM files should hold: as they were, and what the model says was written."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.pages = [self._read(path) for path in paths]
        self.sizes = [path.stat().st_size for path in paths]

    @staticmethod
    def _read(path: Path) -> dict[int, bytes]:
        """All pages that are not zero; holes are not read."""
        pages: dict[int, bytes] = {}
        with path.open("rb") as file:
            fd, at = file.fileno(), 0
            while True:
                try:
                    at = os.lseek(fd, at, os.SEEK_DATA)
                except OSError:
                    return pages
                end = os.lseek(fd, at, os.SEEK_HOLE)
                for page in range(at // PAGE, -(-end // PAGE)):
                    data = os.pread(fd, PAGE, page * PAGE)
                    if data != ZEROS:
                        pages[page] = data
                at = end

    def put(self, part: int, offset: int, value: int) -> None:
        page, rest = divmod(offset, PAGE)
        data = bytearray(self.pages[part].get(page, ZEROS))
        data[rest] = value
        self.pages[part][page] = bytes(data)

    def byte(self, part: int, offset: int) -> int:
        page, rest = divmod(offset, PAGE)
        return self.pages[part].get(page, ZEROS)[rest]

    def check(self) -> None:
        for part, path in enumerate(self.paths):
            assert path.stat().st_size == self.sizes[part]
            found = self._read(path)
            expected = {page: data for page, data in self.pages[part].items() if data != ZEROS}
            wrong = {page for page in found | expected if found.get(page) != expected.get(page)}
            assert not wrong, f"RAM of partition {part} differs in pages {sorted(wrong)[:8]}"


class Guest:
    """A port whose windows are programmed at random, and the model that is told of it."""

    def __init__(self, port: Port, model: PortModel, contents: Contents, seed: int) -> None:
        self.port = port
        self.model = model
        self.contents = contents
        self.rng = random.Random(seed)
        self.arrived = dict.fromkeys(model.targets, 0)
        self.programs = 0

    def address(self, span: int) -> int:
        near = self.rng.choice(EDGES) + self.rng.choice(
            [0, 0, 4, -4, PAGE, -PAGE, -span, -span // 2]
        )
        far = self.rng.choice([self.rng.randrange(RAM_SIZE), self.rng.getrandbits(64)])
        aligned = self.rng.randrange(MIB, RAM_SIZE, PAGE)
        return self.rng.choice([near, near, aligned, aligned, far]) % 2**64 & ~3

    def partition(self, most: int) -> int:
        return self.rng.choice([1, 1, 2, 2, 1, 2, self.rng.randrange(most)])

    def program(self) -> None:
        bar = self.rng.choice([bar for bar in self.model.bars if bar.translations])
        if bar.mode == "direct":
            self.program_direct(bar)
        else:
            self.program_entry(bar)

    def program_direct(self, bar: BarModel) -> None:
        size, rng, port = bar.size, self.rng, self.port
        within = rng.choice([0, 1, PAGE, size, size - 1, size + 1, 1 << 33, rng.randrange(size)])
        limit = rng.choice([bar.base + within, bar.base + within, 0, rng.getrandbits(64)])
        self.programs += 1
        what = bar.translations[0]
        what.when = self.programs
        what.part, what.address, what.limit = self.partition(8), self.address(size), limit
        at = nt.BARSETUP0 + 0x10 * bar.number
        values = {
            at: rng.getrandbits(32) & ~0xE000 | what.part << 13,  # all but TPART is locked
            at + 4: limit & nt.ALL_ONES,
            at + 8: what.address & nt.ALL_ONES | rng.randrange(4),
            at + 12: what.address >> 32,
            at + 0x14: limit >> 32,
        }
        for register in rng.sample(list(values), len(values)):
            port.write(register, values[register])

    def program_entry(self, bar: BarModel) -> None:
        entry = self.rng.randrange(32)
        part, valid = self.partition(16), self.rng.random() < 0.8
        address = self.address(bar.aperture)
        if entry < len(bar.translations):
            self.programs += 1
            what = bar.translations[entry]
            what.when = self.programs
            what.part, what.address, what.valid = part, address, valid
        self.port.set_entry(entry, address, part=part, bar=bar.number, valid=valid)

    def move(self) -> None:
        bar = self.rng.choice(self.model.bars)
        if not bar.translations:
            return
        home = nt.BAR2 if bar.number == 2 else nt.BAR4
        bar.base = self.rng.choice([home + bar.size, home + 2 * bar.size, 0x9_0000_0000])
        if bar.number == 4 and bar.base == 0x9_0000_0000:
            bar.base += 1 * GIB  # not over the other one
        at = 0x10 + 4 * bar.number
        self.port.cfg_write(at, bar.base & nt.ALL_ONES)
        self.port.cfg_write(at + 4, bar.base >> 32)

    def stop_or_go(self) -> None:
        self.model.sends = self.rng.random() < 0.7
        self.port.write(nt.NTCTL, nt.CPEN * self.model.sends)

    def access(self) -> None:
        """Write and read back, and tell what of it must have arrived."""
        bar = self.rng.choice([bar for bar in self.model.bars if bar.translations])
        size = self.rng.choice([1, 2, 4, 8, 8, 64])
        window = self.rng.randrange(len(bar.translations)) * bar.aperture
        edge = self.rng.choice([0, bar.aperture, PAGE, bar.extent(window // bar.aperture)])
        offset = window + self.rng.choice([edge, edge, self.rng.randrange(bar.aperture)])
        offset = max(0, min(offset - self.rng.randrange(size), bar.size - size))
        data = self.rng.randbytes(size)
        reached = [self.model.byte(bar, offset + i) for i in range(size)]
        for place, value in zip(reached, data, strict=True):
            if place is not None:
                self.contents.put(*place, value)
                self.arrived[place[0]] += 1
        self.port.qemu.write_bytes(bar.base + offset, data)
        expected = bytes(0xFF if p is None else self.contents.byte(*p) for p in reached)
        assert self.port.qemu.read_bytes(bar.base + offset, size) == expected

    def check_masks(self) -> None:
        shown = self.port.stat("mw_open"), self.port.stat("mw_trapped")
        assert shown == self.model.masks()


SHAPES = {
    "default": ("direct", 2 * MIB, "lut12", 32 * MIB),
    "small entries": ("direct", 64 << 10, "lut24", 64 << 10),
    "two tables": ("lut12", 256 << 10, "lut12", 16 << 10),
    "table first": ("lut24", 8 * MIB, "direct", 16 << 10),
    "only a table": ("off", 2 * MIB, "lut24", 128 << 10),
}


RAM_SIZES = [RAM_SIZE, RAM_SIZE, BIG_RAM]
RAM_LAYOUTS = [SMALL, SMALL, BIG]


def linked_ports(
    bench: Bench, count: int, shape: tuple[str, int, str, int], **properties: object
) -> list[Port]:
    """A port to send, one to receive with 64 MiB, perhaps one with 4 GiB; all links are up."""
    words = dict(zip(("bar2_mode", "bar2_size", "bar4_mode", "bar4_size"), shape, strict=True))
    ports = [
        bench.start(part, ram_size=RAM_SIZES[part], nports=count, **words, **properties)
        for part in range(count)
    ]
    for port in ports:
        port.link_enable()
    eventually(lambda: all(p.link_up(q) for p in ports for q in ports if p is not q), "the links")
    return ports


def exercise(
    bench: Bench, ports: list[Port], shape: tuple[str, int, str, int], mirrors: bool = False
) -> None:
    """Program, close, move and use the first port's windows, and miss nothing that changes."""
    sender, *receivers = ports
    bars = [BarModel(2, *shape[:2], sender.bar2), BarModel(4, *shape[2:], sender.bar4)]
    targets = {port.part: Target(RAM_LAYOUTS[port.part]) for port in receivers}
    model = PortModel(sender.part, bars, targets, mirrors=mirrors)
    contents = Contents([bench.ram(port.part) for port in ports])
    guest = Guest(sender, model, contents, SEED)
    rng = random.Random(SEED)
    for step in range(STEPS):
        rng.choices([guest.program, guest.move, guest.stop_or_go], [20, 1, 1])[0]()
        if rng.random() < 0.05:
            receiver = rng.choice(receivers)
            admits = rng.random() < 0.6
            model.targets[receiver.part].admits = admits
            receiver.write(nt.NTCTL, nt.CPEN * admits)
            sender.settle()
        guest.check_masks()
        for _ in range(6):
            guest.access()
        if step % 40 == 0:
            contents.check()
    contents.check()
    assert min(guest.arrived.values()) > STEPS  # the chances above leave enough to look at
    for port in ports:
        port.qemu.stop()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_every_byte_is_where_the_registers_say(
    bench: Bench, shape: tuple[str, int, str, int]
) -> None:
    exercise(bench, linked_ports(bench, 3, shape), shape)


@pytest.mark.parametrize("name", ["default", "table first", "two tables"])
def test_mirrored_windows_lead_nowhere_else(bench: Bench, name: str) -> None:
    shape = SHAPES[name]
    ports = linked_ports(bench, 2, shape, x_mirror_mw="on")
    exercise(bench, ports, shape, mirrors=True)


Act = Callable[[Port, random.Random], None]
ELSEWHERE = 0xD0000000


def hammer_entry(port: Port, rng: random.Random) -> None:
    port.write(nt.LUTUDATA, nt.LUT_VALID * rng.randrange(2) | rng.choice([2, 2, rng.randrange(16)]))


def any_lut_word(port: Port, rng: random.Random) -> None:
    values = {
        nt.LUTOFFSET: rng.randrange(12) | 4 << 8,
        nt.LUTLDATA: rng.randrange(MIB, RAM_SIZE),
        nt.LUTMDATA: 0,
        nt.LUTUDATA: nt.LUT_VALID | 2,
    }
    register = rng.choice(list(values))
    hostile = rng.choice([rng.getrandbits(32), nt.ALL_ONES, rng.getrandbits(6)])
    port.write(register, hostile if rng.random() < 0.1 else values[register])


def any_bar_word(port: Port, rng: random.Random) -> None:
    register = rng.randrange(nt.BARSETUP0, nt.NTMTBLADDR, 4)
    usual = {
        nt.BARSETUP2: 2 << 13,
        nt.BARLIMIT2: port.bar2 + rng.randrange(WINDOW_SIZE),
        nt.BARLTBASE2: rng.randrange(RAM_SIZE),
    }
    hostile = rng.choice([nt.ALL_ONES, rng.getrandbits(32), ELSEWHERE])
    port.write(register, hostile if rng.random() < 0.2 else usual.get(register, 0))


def any_move(port: Port, rng: random.Random) -> None:
    """BARs over each other, away, above 4 GiB, nowhere; then home again."""
    port.cfg_write(rng.choice([0x18, 0x20]), rng.choice([port.bar2, port.bar4, ELSEWHERE]))
    port.cfg_write(rng.choice([0x1C, 0x24]), rng.choice([0, 9, nt.ALL_ONES]))
    any_access(port, rng)
    port.setup()


def any_gate(port: Port, rng: random.Random) -> None:
    port.write(nt.NTCTL, rng.choice([0, nt.IDPROTDIS, nt.CPEN | nt.IDPROTDIS]))
    any_access(port, rng)
    port.write(nt.NTCTL, nt.CPEN)


def any_access(port: Port, rng: random.Random) -> None:
    home = rng.choice([port.bar2, port.bar4 + rng.randrange(16) * WINDOW_SIZE])
    at = rng.choice([home, home, home, ELSEWHERE, 0x9_0000_0000 | port.bar4])
    at += rng.choice([rng.randrange(WINDOW_SIZE), WINDOW_SIZE - rng.randrange(8)])
    size = rng.choice([1, 2, 4, 8])
    if rng.random() < 0.5:
        port.qemu.write(at, rng.getrandbits(8 * size), size)
    else:
        port.qemu.read(at, size)


ACTS: dict[Act, int] = {
    hammer_entry: 25,
    any_lut_word: 30,
    any_bar_word: 15,
    any_move: 1,
    any_gate: 1,
    any_access: 40,
}


def test_two_hostile_senders_and_bystanders(bench: Bench) -> None:
    """Only the RAM of those that let writes in may change, whatever the others do."""
    ports = [bench.start(part, nports=5, quiesce_timeout_ms=5) for part in range(5)]
    for port in ports[:4]:  # the last one never goes up
        port.link_enable()
    ports[3].link_disable()
    for port in ports[:2]:
        eventually(lambda port=port: port.link_up(ports[2]), "the link")
    untouched = Contents([bench.ram(3), bench.ram(4)])
    quiet = [nt.NTCTL, nt.BARSETUP2, nt.BARLIMIT2, nt.LUTOFFSET, nt.NTINTMSK, nt.INDBELLSTS]
    before = [[port.read(register) for register in quiet] for port in ports[2:]]
    failures: list[BaseException] = []

    def run(port: Port) -> None:
        rng = random.Random(SEED + port.part)
        try:
            for act in rng.choices(list(ACTS), list(ACTS.values()), k=20_000):
                act(port, rng)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(port,)) for port in ports[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert all(port.stat("win_map") > 300 for port in ports[:2])  # the chances above suffice
    untouched.check()
    assert [[port.read(register) for register in quiet] for port in ports[2:]] == before
    assert [bench.ram(part).stat().st_size for part in range(5)] == [RAM_SIZE] * 5
    for port in ports:
        port.qemu.stop()
