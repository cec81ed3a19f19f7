# SPDX-License-Identifier: MIT
"""Two linked ports under fire, and what must stay true meanwhile.

Rounds alternate. In one, a single guest is hostile: the other's registers must stay as they
are, but for those that take what others send, and the hostile guest's own RAM with them. In the
next, both are hostile and the shared page is overwritten: both must live. After each round the
link must come up again and carry doorbells.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.port import Port
from tests.device.qtest import Build, Qemu
from tests.device.test_window import digest
from tests.fuzz.scribble import Scribbler
from tests.fuzz.traffic import Guest, lines_of

RAM_SIZE = 32 << 20
BATCH = 256  # accesses on their way at once; their answers fit into a socket's buffer
BATCHES = 12  # of a round
SCRIBBLES = 16  # while a batch is on its way
LOG_LIMIT = 100_000

#: registers that take what other ports send
INBOX = {nt.NTINTSTS, nt.INDBELLSTS, nt.MSGSTS, *range(nt.INMSG0, nt.MSGSTS, 4)}
PRIVATE = [register for register in range(0x400, 0x500, 4) if register not in INBOX]


class Violation(AssertionError):
    """Something that a hostile guest must not bring about."""


class Campaign:
    """A switch with two ports; `operations` counts the accesses that were answered.

    What is here of IDT ports, a campaign against others replaces.
    """

    bench: type[Bench] = Bench
    guest: type[Any] = Guest

    def __init__(self, build: Build, stack: ExitStack, seed: int) -> None:
        self.seed = seed
        self.operations = 0
        self.rounds = 0
        self._bench = self.bench(build, stack)
        self._rng = random.Random(seed)
        self.ports = [self._start(part) for part in (0, 1)]
        self._guests = [
            self.guest(port, RAM_SIZE, random.Random(self._rng.getrandbits(64)))
            for port in self.ports
        ]
        self._revive()
        self._scribbler = Scribbler(self._bench.page, self._rng)
        self._bystander = self._bench.folder / "bystander"
        self._bystander.write_bytes(bytes(4096))

    @property
    def scribbles(self) -> int:
        return self._scribbler.count

    def run(self, enough: Callable[[], bool]) -> None:
        """Go on until `enough`; raises Violation."""
        try:
            while not enough():
                hostile = self.rounds % 3
                if hostile == 2:
                    self._both_hostile()
                else:
                    self._one_hostile(self._guests[hostile], self.ports[1 - hostile])
                self._revive()
                self._check_host()
                self.rounds += 1
        except (EOFError, OSError, AssertionError) as error:
            raise Violation(self._story(error)) from error

    def stop(self) -> None:
        """End both QEMUs, which must end well."""
        try:
            for port in self.ports:
                port.qemu.stop()
        except AssertionError as error:
            raise Violation(self._story(error)) from error
        self._check_logs()

    def _start(self, part: int) -> Port:
        properties: dict[str, Any] = {"quiesce_timeout_ms": 1}
        argv = self._bench.argv(part, RAM_SIZE, **properties)
        at = argv.index("-d")  # what a guest does wrong is logged on request only
        return self._bench.start_argv(argv[:at] + argv[at + 2 :], part)

    # -- rounds --------------------------------------------------------------------------

    def _one_hostile(self, guest: Guest, victim: Port) -> None:
        attacker = guest.port
        victim.settle()
        before = self.private(victim)
        self.take_interrupts(attacker)
        own_ram = digest(self._bench.ram(attacker.part))
        for _ in range(BATCHES):
            self.batch([guest])
        self.take_interrupts(attacker)
        after = self.private(victim)
        changed = [what for what in before if before[what] != after[what]]
        assert not changed, f"registers of the other port changed: {', '.join(changed)}"
        assert digest(self._bench.ram(attacker.part)) == own_ram, "the hostile guest's RAM changed"

    def _both_hostile(self) -> None:
        for _ in range(BATCHES):
            self.batch(self._guests, meanwhile=self._scribbler.damage)
        self._scribbler.repair()

    def batch(self, guests: list[Guest], meanwhile: Callable[[], None] | None = None) -> None:
        """Let all guests work at once; damage the page while they do."""
        sent: list[tuple[Qemu, int]] = []
        for guest in guests:
            lines = self.lines(guest)
            guest.port.qemu.begin(lines)
            sent.append((guest.port.qemu, len(lines)))
        for _ in range(SCRIBBLES if meanwhile else 0):
            assert meanwhile is not None
            meanwhile()
        for qemu, count in sent:
            qemu.finish(count)
            self.operations += count

    # -- what ports of this kind are ------------------------------------------------------

    def lines(self, guest: Any) -> list[str]:
        """A batch of what a hostile guest does."""
        return lines_of(guest, BATCH)

    def private(self, victim: Port) -> dict[str, object]:
        """By name, what nobody but the port's own guest may change."""
        victim.write(nt.NTMTBLADDR, victim.part)
        return {hex(register): victim.read(register) for register in PRIVATE}

    def take_interrupts(self, port: Port) -> None:
        """Messages are the only writes of the device to its own guest's RAM."""
        port.qemu.write(port.msi_address, 0)

    # -- what must be true ---------------------------------------------------------------

    def _revive(self) -> None:
        """Reset both; the link comes up and carries doorbells."""
        a, b = self.ports
        for guest in self._guests:
            guest.bar2 = guest.home
        for port in self.ports:
            port.bar2 = nt.BAR2 + nt.BAR_SPACING
            port.reset()
            port.setup()
            port.enable_msi()
            port.init_link_events()
            port.link_enable()
        eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
        for sender, receiver in ((a, b), (b, a)):
            receiver.write(nt.INDBELLSTS, nt.ALL_ONES)
            sender.write(nt.OUTDBELLSET, 0x3C)
            receiver.settle()
            assert receiver.read(nt.INDBELLSTS) == 0x3C, "doorbells do not pass"

    def _check_host(self) -> None:
        for part in (0, 1):
            assert self._bench.ram(part).stat().st_size == RAM_SIZE, "a RAM file changed its size"
        assert self._bystander.read_bytes() == bytes(4096), "a file of nobody was written"
        names = sorted(os.listdir(self._bench.folder))
        assert names == self._expected_files(), f"unexpected files: {names}"
        self._check_logs()

    def _expected_files(self) -> list[str]:
        qemus = [f"qemu{n}.{kind}" for n in (1, 2) for kind in ("log", "qmp", "qtest")]
        return sorted(["bystander", "ram1", "ram2", "server.log", "server.sock", *qemus])

    def _check_logs(self) -> None:
        for port in self.ports:
            text = port.qemu.log_text()
            assert "AddressSanitizer" not in text, text
            assert "runtime error" not in text, text
            assert len(text) < LOG_LIMIT, f"the log has {len(text)} bytes"

    def _story(self, error: BaseException) -> str:
        parts = [f"seed {self.seed}, round {self.rounds}, {self.operations:,} accesses: {error}"]
        for port in self.ports:
            with contextlib.suppress(Exception):
                port.qemu.process.wait(2)
            text = port.qemu.log_text()[-8000:]
            parts.append(f"partition {port.part}: exit code {port.qemu.process.poll()}\n{text}")
        return "\n".join(parts)


def run(
    build: Build,
    seed: int,
    enough: Callable[[Campaign], bool],
    kind: type[Campaign] = Campaign,
) -> Campaign:
    """A whole campaign; gives it for what it counted."""
    with ExitStack() as stack:
        campaign = kind(build, stack, seed)
        campaign.run(lambda: enough(campaign))
        campaign.stop()
        return campaign


def summary(campaign: Campaign, begun: float, qemu: Path) -> str:
    seconds = time.monotonic() - begun
    rate = campaign.operations / seconds
    return (
        f"fuzz: {campaign.operations:,} accesses in {seconds:.0f} s ({rate:,.0f}/s), "
        f"{campaign.rounds} rounds, {campaign.scribbles:,} scribbles on the shared page, "
        f"seed {campaign.seed}, {qemu}"
    )
