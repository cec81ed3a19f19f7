# SPDX-License-Identifier: MIT
"""A lab on its way: off → built → booted → linked. A failed step stays failed.

off     nothing of it exists
built   folder, RAM files and run.json are made, ports are free
booted  the server and every QEMU run and answer
linked  every guest accepts ssh
"""

from __future__ import annotations

import dataclasses
import enum
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ntbdbg.lab import frozenmark
from ntbdbg.lab.manifest import Manifest, ProcessRef
from run.base.deadline import Deadline
from run.base.errors import RunError
from run.base.interrupts import Interrupted
from run.guest import hostkey
from run.lab import leftovers
from run.lab.ledger import Ledger
from run.lab.name import take_lock
from run.lab.requests import StartRequest
from run.reach import ssh
from run.vm import disks, ports, ram
from run.vm.argv import Build, own_words, qemu_argv, server_argv
from run.vm.machine import Machine
from run.vm.options import LaunchOptions
from run.vm.plan import GuestPlan, LabPaths, forwarded_ssh_port, plan_guests, telnet_port
from run.vm.records import guest_record
from run.vm.switch import Switch

#: seconds for ivshmem-server to make its socket, and for QEMU's monitor to greet
START = 30.0

MIB = 1 << 20

Say = Callable[[str], None]


class State(enum.Enum):
    """How far a lab has come; the value is what run.json says."""

    OFF = "off"
    BUILT = "built"
    BOOTED = "booted"
    LINKED = "linked"
    STOPPED = "stopped"


@dataclass
class Commands:
    """The command lines of a run, as ``--dry-run`` shows them."""

    guests: list[tuple[GuestPlan, list[str]]]
    server: list[str] | None


def commands(options: LaunchOptions, build: Build, paths: LabPaths) -> Commands:
    """Work out everything that would be started; touches nothing."""
    plans = []
    for plan in plan_guests(options, paths):
        own = own_words(options, plan)
        plans.append(_with_ports(plan, own))
    guests = [(plan, qemu_argv(options, build, plan)) for plan in plans]
    server = server_argv(options, build, paths) if options.guests > 1 else None
    return Commands(guests, server)


class Lab:
    """One lab of this launcher.

    :param say: tells the user how things go
    :param sleep: waits between two looks; may raise Interrupted
    """

    def __init__(
        self,
        options: LaunchOptions,
        build: Build,
        paths: LabPaths,
        *,
        say: Say,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.options = options
        self.paths = paths
        self.state = State.OFF
        self.failure: Exception | None = None
        self._build = build
        self._say = say
        self._sleep = sleep
        self._lock: int | None = None
        lines = commands(options, build, paths)
        self.machines = [Machine(plan, argv, sleep=sleep) for plan, argv in lines.guests]
        self._switch = Switch(paths, lines.server) if lines.server else None
        self._book: Ledger | None = None
        self._ram: dict[str, int] = {}

    @property
    def holds_name(self) -> bool:
        """Whether the lab's name is ours, so that there may be something to end."""
        return self._lock is not None

    # -- the way up ----------------------------------------------------------------------

    def build(self) -> None:
        """Take the lab's name, clean up after a dead run, check the host, make the files."""
        with self._step(State.BUILT):
            self._lock = take_lock(self.paths)
            reclaim(self.paths, self._say)
            ports.check([machine.plan for machine in self.machines])
            needed = self.options.memory * MIB * len(self.machines)
            ram.check_room(needed, overcommit=self.options.overcommit)
            _remove_logs(self.paths)
            leftovers.make_private(self.paths)
            for machine in self.machines:
                self._make_ram(machine.plan)
            self._make_disks()
            self._make_initrds()
            if self.options.keep_ram:
                self.paths.keep_ram.touch(mode=0o600)
            self._book = Ledger(self.paths.manifest, self._first_manifest())

    def boot(self) -> None:
        """Start the server, then all guests; raises LaunchError."""
        with self._step(State.BOOTED):
            if self._switch:
                self._ledger.link(self._switch.start(self._deadline(START)))
            for machine in self.machines:
                machine.start(self._ram[machine.name])
                # From here on QEMU's own descriptor holds the file.
                os.close(self._ram.pop(machine.name))
                self._ledger.guest(machine)
            for machine in self.machines:
                machine.connect(self._deadline(START))
                self._note_layout(machine)

    def link(self) -> None:
        """Wait until every guest accepts ssh; raises RunError naming the one that does not."""
        with self._step(State.LINKED):
            deadline = self._deadline(self.options.boot_timeout)
            self._say("booting, until every guest accepts ssh ...")
            for machine in self.machines:
                if machine.plan.ssh_port is not None:
                    self._wait_for_ssh(machine, machine.plan.ssh_port, deadline)
                    self._say(f"{machine.name} is up")

    # -- afterwards ----------------------------------------------------------------------

    def watch(self) -> None:
        """Look after the guests until the last one ends; raises Interrupted."""
        while self.look():
            self._sleep(0.2)

    def look(self) -> bool:
        """Take note of guests that ended or panicked; False when none is left."""
        for index, machine in enumerate(self.machines):
            if StartRequest(self.paths, machine.name).is_made():
                self._serve(index)
        for machine in self.machines:
            if machine.runs and not machine.poll():
                self._note(machine)
                self._say(f"{machine.name} {machine.describe_exit()}")
            elif machine.note_events():
                self._note(machine)
                if machine.panicked:
                    self._say(f"{machine.name}: kernel panic; it stays to be looked at")
        return any(machine.runs for machine in self.machines)

    def settle(self) -> None:
        """All guests ended by themselves: end the server, keep what there is to be looked at."""
        leftovers.end_processes(self.paths)
        self._ledger.state(State.STOPPED.value)
        self.release()

    def stop(self, *, hurry: leftovers.Hurry) -> None:
        """End the lab and remove its files; RAM stays if that was asked for."""
        for machine in self.machines:
            machine.disconnect()
        leftovers.end_processes(self.paths, hurry=hurry)
        for machine in self.machines:
            machine.poll()
        keep = self.paths.keep_ram.exists() and self._book is not None
        if keep:
            for machine in self.machines:
                self._ledger.guest(machine)
            self._ledger.state(State.STOPPED.value)
        leftovers.remove_files(self.paths, keep_ram=keep)
        self.state = State.STOPPED
        self.release()

    def release(self) -> None:
        """Give the name back."""
        for handle in self._ram.values():
            os.close(handle)
        self._ram.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- inside --------------------------------------------------------------------------

    def _serve(self, index: int) -> None:
        """Start a guest again because somebody asked for it, and tell them how that went."""
        machine = self.machines[index]
        request = StartRequest(self.paths, machine.name)
        if machine.poll():
            request.done(failure=f"{machine.name} runs")
            return
        try:
            self._restart(index)
        except RunError as error:
            self._say(str(error))
            request.done(failure=str(error))
        else:
            self._say(f"{machine.name} was started again")
            request.done()

    def _restart(self, index: int) -> None:
        """The same command line, a new RAM file; raises RunError."""
        old = self.machines[index]
        machine = Machine(old.plan, old.argv, sleep=self._sleep)
        ports.check([machine.plan])
        leftovers.keep_logs(self.paths, machine.name)
        frozenmark.forget(self.paths.folder, [machine.name], frozenmark.PAUSED)
        handle = ram.create(machine.plan.ram, self.options.memory * MIB)
        try:
            status = os.fstat(handle)
            machine.start(handle)
        finally:
            os.close(handle)
        self.machines[index] = machine
        file = dataclasses.replace(
            self._ledger.of(machine).ram, device=status.st_dev, inode=status.st_ino
        )
        self._ledger.guest(machine, ram=file)
        machine.connect(self._deadline(START))

    @contextmanager
    def _step(self, goal: State) -> Iterator[None]:
        """A step that leads to `goal`; the first failure is kept, and repeated by later steps."""
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except Interrupted:
            raise
        except Exception as error:
            self.failure = error
            raise
        self.state = goal
        self._ledger.state(goal.value)

    @property
    def _ledger(self) -> Ledger:
        assert self._book is not None, "the lab is not built"
        return self._book

    def _note(self, machine: Machine) -> None:
        """Write down what happened to a guest; a full disk is no reason to leave it alone."""
        try:
            self._ledger.guest(machine)
        except RunError as error:
            self._say(str(error))

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, sleep=self._sleep)

    def _make_ram(self, plan: GuestPlan) -> None:
        self._ram[plan.name] = ram.create(plan.ram, self.options.memory * MIB)

    def _make_disks(self) -> None:
        for machine in self.machines:
            image = self._build.image_of(machine.plan)
            if image.rootfs:
                self._say(f"copying the disk of {machine.name} ...")
                disks.make(self.paths, machine.name, Path(image.rootfs), Path(image.disks))

    def _make_initrds(self) -> None:
        plans = [machine.plan for machine in self.machines]
        wanted = {self._build.initrd_of(p): self._build.image_of(p).initramfs for p in plans}
        for target, archive in wanted.items():
            if archive:
                hostkey.write_initrd(target, Path(archive), hostkey.host_key())

    def _first_manifest(self) -> Manifest:
        return Manifest(
            lab=self.options.name,
            state=State.BUILT.value,
            created=time.time(),
            guests=tuple(
                guest_record(m, self.options, self._build, os.fstat(self._ram[m.name]))
                for m in self.machines
            ),
            launcher=ProcessRef.of(os.getpid()),
        )

    def _note_layout(self, machine: Machine) -> None:
        kind = machine.machine_kind()
        segments = machine.segments(kind, self.options.memory * MIB)
        ram_record = dataclasses.replace(self._ledger.of(machine).ram, segments=segments)
        changes = {"machine": kind, "ram": ram_record}
        self._ledger.guest(machine, **changes)

    def _wait_for_ssh(self, machine: Machine, port: int, deadline: Deadline) -> None:
        def ready() -> bool:
            self.look()
            if not machine.runs or machine.panicked:
                return True
            attempt = Deadline(min(ssh.TRIVIAL, deadline.remaining), sleep=self._sleep)
            return ssh.greets(port) and ssh.answers(port, attempt)

        if not deadline.poll(ready):
            why = f"did not accept ssh within {deadline.seconds:g} s"
        elif machine.panicked:
            why = "had a kernel panic while booting"
        elif machine.exit is not None:
            why = f"{machine.describe_exit()} while booting"
        else:
            return
        raise RunError(
            f"{machine.name} {why}", hint="the lab stays as it is: see 'python3 run status'"
        )


def reclaim(paths: LabPaths, say: Say) -> None:
    """Remove what a run of this name left whose launcher is gone. The lock must be held."""
    if leftovers.end_processes(paths):
        say(f"lab {paths.folder.name!r}: ended guests whose launcher was killed")
    leftovers.remove_files(paths, keep_ram=False)


def _remove_logs(paths: LabPaths) -> None:
    for log in paths.folder.glob("*.log"):
        if log != paths.launcher_log:
            with suppress(OSError):
                log.unlink()


def _with_ports(plan: GuestPlan, own: Sequence[str]) -> GuestPlan:
    """The ports that the guest will really have: users may have put in options of their own."""
    return dataclasses.replace(
        plan, ssh_port=forwarded_ssh_port(own), console_port=telnet_port(own)
    )


def lab_paths(folder: Path) -> LabPaths:
    """Paths of the lab in `folder`, for this user."""
    return LabPaths(folder=folder, uid=os.getuid())
