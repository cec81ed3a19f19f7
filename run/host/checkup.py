# SPDX-License-Identifier: MIT
"""What `doctor` finds: each finding says what it is about, how it stands, and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from run.base.config import Paths
from run.base.forroot import for_root
from run.host.install import mend
from run.host.packages import NEEDS, OPTIONAL, PURPOSES, lacking
from run.steps.artifacts import GuestImage, MissingBuild, QemuInstall
from run.vm import kvm

GIB = 1 << 30
MIB = 1 << 20

#: RAM of two guests of default size, with some room
SHM_NEEDED = 576 * MIB

#: bytes that compiling QEMU and a guest takes, with downloads and caches
DISK_NEEDED = 5 * GIB

MEMORY_NEEDED = 2 * GIB

PORTS = {7001: "ssh of VM 1", 7002: "ssh of VM 2", 8001: "console of VM 1", 8002: "console of VM 2"}


class State(StrEnum):
    """How a finding stands: `NOTE` is worth knowing and no obstacle."""

    OK = "ok"
    NOTE = "note"
    LACKING = "lacking"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    :param mend: a command that mends it, if there is one
    """

    subject: str
    state: State
    words: str
    mend: str | None = None


def examine(paths: Paths) -> list[Finding]:
    """All findings about this host."""
    return [
        *packages(),
        accelerator(),
        processors(),
        memory(),
        shared_memory(),
        disk(paths),
        *ports(),
        *builds(paths),
    ]


def packages() -> Iterator[Finding]:
    """System packages, purpose by purpose."""
    for purpose, needs in NEEDS.items():
        missing = lacking([purpose])
        subject = subject_of(purpose)
        if missing:
            names = " ".join(need.names[0] for need in missing)
            state = State.NOTE if purpose in OPTIONAL else State.LACKING
            yield Finding(subject, state, f"missing: {names}", mend(missing))
        else:
            yield Finding(subject, State.OK, f"all {len(needs)} installed")


#: commands, and the purposes whose packages they need
COMMANDS = {
    "build": ("qemu", "guest"),
    "vm, vms, demo": ("qemu", "guest", "run"),
    "test": ("qemu", "guest", "run", "test"),
    "enter_qemu_devenv": ("devenv",),
    "bench": ("bench",),
    "build yocto": ("yocto",),
}


@dataclass(frozen=True)
class Ability:
    """Whether commands can run here.

    :param lacks: what is missing for them, empty if they can
    """

    commands: str
    lacks: tuple[str, ...] = ()


def abilities(findings: Iterable[Finding]) -> list[Ability]:
    """What follows from `findings`; where both builds stand, nothing is needed to build them."""
    bad = {f.subject for f in findings if f.state is not State.OK}
    lacking_here = {f.subject for f in findings if f.state is State.LACKING}
    stand = not {"QEMU", "guest"} & bad
    found = []
    for commands, purposes in COMMANDS.items():
        needed = [p for p in purposes if not (stand and p in ("qemu", "guest"))]
        subjects = [subject_of(p) for p in needed or purposes]
        lacks = [s for s in subjects if s in bad]
        if "vm" in commands or commands == "test":
            lacks += [s for s in ("/dev/shm",) if s in lacking_here]
        found.append(Ability(commands, tuple(lacks)))
    return found


def subject_of(purpose: str) -> str:
    """What the finding about a purpose's packages is called."""
    return f"packages to {PURPOSES[purpose]}"


def accelerator(why_not: Callable[[], str | None] = kvm.why_not) -> Finding:
    """KVM, or why guests are emulated."""
    obstacle = why_not()
    if obstacle is None:
        return Finding("KVM", State.OK, "usable, backed by hardware")
    return Finding("KVM", State.NOTE, f"not used: {obstacle}; guests are emulated (TCG)")


def processors() -> Finding:
    count = len(os.sched_getaffinity(0))
    return Finding("processors", State.OK, f"{count}, {platform.machine()}")


def memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Memory that programs can get now."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    state = State.OK if free >= MEMORY_NEEDED else State.NOTE
    return Finding("memory", state, f"{_gib(free)} available, {_gib(MEMORY_NEEDED)} wanted")


def shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    """Room for the guests' RAM files."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(str(folder), State.LACKING, f"{error.strerror}; guests keep their RAM there")
    words = f"{free // MIB} MiB free, two guests of default size want {SHM_NEEDED // MIB}"
    if free >= SHM_NEEDED:
        return Finding(str(folder), State.OK, words)
    return Finding(
        str(folder), State.LACKING, words, for_root(f"mount -o remount,size=1G {folder}")
    )


def disk(paths: Paths) -> Finding:
    """Room for builds, where the cache is."""
    place = paths.cache
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    built = QemuInstall.path(paths.build).exists() and GuestImage.path(paths.build).exists()
    state = State.OK if free >= DISK_NEEDED else State.NOTE if built else State.LACKING
    return Finding(
        "disk", state, f"{_gib(free)} free for {paths.cache}, {_gib(DISK_NEEDED)} wanted"
    )


def ports(is_taken: Callable[[int], bool] | None = None) -> Iterator[Finding]:
    """The default ports of guests."""
    look = is_taken or _is_taken
    taken = [port for port in PORTS if look(port)]
    if not taken:
        yield Finding("ports", State.OK, f"{', '.join(map(str, PORTS))} are free")
    for port in taken:
        option = "--ssh-port-base" if port < 8000 else "--console-port-base"
        words = f"taken, so {PORTS[port]} needs another: {option}; or a lab runs already"
        yield Finding(f"port {port}", State.NOTE, words, "python3 run status")


def builds(paths: Paths) -> Iterator[Finding]:
    """What is built."""
    try:
        yield Finding("QEMU", State.OK, QemuInstall.load(paths.build).version)
    except MissingBuild:
        yield Finding("QEMU", State.NOTE, f"not built in {paths.build}", "python3 run build qemu")
    try:
        release = GuestImage.load(paths.build).release
        yield Finding("guest", State.OK, f"Linux {release}")
    except MissingBuild:
        yield Finding("guest", State.NOTE, f"not built in {paths.build}", "python3 run build guest")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
