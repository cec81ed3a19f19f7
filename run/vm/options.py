# SPDX-License-Identifier: MIT
"""What a user may ask of `vm` and `vms`, checked and frozen. Nothing here touches the host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from run.base.errors import UsageError
from run.vm.kvm import MOST_PROCESSORS
from run.vm.share import Share

DEFAULT_MEMORY = 256

#: guests of one switch: it has six NT ports
DEFAULT_GUESTS = 2
MOST_GUESTS = 6

DEFAULT_SSH_PORT = 7001
DEFAULT_CONSOLE_PORT = 8001

#: kinds of NTB port, and what may use one in a guest
NTBS = ("idt", "epf")
CLIENTS = ("pingpong", "tool", "perf", "netdev", "none")

#: nobody but this host reaches guests, which have no passwords
LOOPBACK = "127.0.0.1"

#: more is no guest but a typing error (1 TiB)
MAX_MEMORY = 1 << 20


@dataclass(frozen=True)
class Extra:
    """Options as text: `append` to the default, or `override` in its place.

    :param option: how it is spelt, for messages
    """

    option: str
    append: str = ""
    override: str | None = None

    def words(self, default: Sequence[str]) -> list[str]:
        """The resulting words; `default` stays unless it is overridden."""
        chosen = list(default) if self.override is None else split(self.override, self.option)
        return chosen + split(self.append, self.option)


@dataclass(frozen=True)
class LaunchOptions:
    """One run, as asked for.

    :param guests: 1 (`vm`) or 2 to 6 (`vms`)
    :param memory: MiB per guest
    :param shm: RAM at /dev/shm/qemu or /dev/shm/qemu1, qemu2, …; else in a private folder there
    :param smp: processors per guest
    :param ntb: which kind of port, one of `NTBS`
    :param client: which driver uses it in the guests, one of `CLIENTS`; None: the guest's choice
    :param per_vm: options of each guest
    :param traces: patterns of QEMU trace events
    :param boot_timeout: seconds until all guests must accept ssh
    :param listen: the address at which guests' ports are; a container's own is not its loopback
    :param share: a folder of the host, in every guest
    :param overcommit: start even if /dev/shm could not hold all RAM at once
    """

    guests: int = DEFAULT_GUESTS
    name: str = "default"
    memory: int = DEFAULT_MEMORY
    shm: bool = False
    smp: int = MOST_PROCESSORS
    ntb: str = NTBS[0]
    client: str | None = None
    device: Extra = field(default_factory=lambda: Extra("--ivshmem-common-opts"))
    cmdline: Extra = field(default_factory=lambda: Extra("--cmdline-common"))
    common: Extra = field(default_factory=lambda: Extra("--common-opts"))
    server: Extra = field(default_factory=lambda: Extra("--server-opts"))
    per_vm: tuple[Extra, ...] = field(
        default_factory=lambda: tuple(Extra(f"--vm{n}-opts") for n in range(1, MOST_GUESTS + 1))
    )
    traces: tuple[str, ...] = ()
    ssh_port_base: int = DEFAULT_SSH_PORT
    console_port_base: int = DEFAULT_CONSOLE_PORT
    boot_timeout: float = 180.0
    keep_ram: bool = False
    overcommit: bool = False
    listen: str = LOOPBACK
    share: Share | None = None

    def __post_init__(self) -> None:
        check_memory(self.memory)
        _check_ntb(self)
        for extra in (self.common, *self.per_vm):
            _refuse_ours(extra)


def _check_ntb(options: LaunchOptions) -> None:
    if options.ntb == "epf" and options.guests > DEFAULT_GUESTS:
        raise UsageError(
            f"--ntb=epf joins two guests, not {options.guests}: Linux' transport knows one peer",
            hint="--ntb=idt joins up to six",
        )
    if options.client == "netdev" and options.ntb != "epf":
        raise UsageError(
            "--client=netdev: ntb_transport cannot use an IDT port, which has no scratchpads",
            hint="say --ntb=epf",
        )


def split(text: str, option: str) -> list[str]:
    """Words as a shell would split them; raises UsageError for an open quote."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error} in {text!r}") from None


def parse_memory(text: str, option: str) -> int:
    """MiB, without suffix."""
    if not re.fullmatch(r"[0-9]+", text):
        raise UsageError(
            f"{option}={text}: not a size", hint="give MiB without suffix, for example 1000"
        )
    return check_memory(int(text), option)


def check_memory(mib: int, option: str = "--memory") -> int:
    """`mib` itself, if a guest can have that much."""
    if not 1 <= mib <= MAX_MEMORY:
        raise UsageError(
            f"{option}={mib}: a guest has 1 to {MAX_MEMORY} MiB", hint="give MiB without suffix"
        )
    return mib


def choose_memory(memory: int | None, shm_size: str | None) -> int:
    """One size from ``--memory`` and ``--qemu-map-ram-to-shm[=SIZE]`` (empty: no size)."""
    if not shm_size:
        return DEFAULT_MEMORY if memory is None else check_memory(memory)
    size = parse_memory(shm_size, "--qemu-map-ram-to-shm")
    if memory not in (None, size):
        raise UsageError(
            f"--memory {memory} and --qemu-map-ram-to-shm={size} contradict each other",
            hint="give the size once",
        )
    return size


#: QEMU's options that are the launcher's own affair, and what is to be said instead
_OURS = {
    "m": "use --memory MIB",
    "kernel": "use --kernel, or --vm1-kernel for one guest",
    "initrd": "use --kernel FILE with --initrd",
    "append": "use --cmdline-common, or --cmdline-common-override",
    "daemonize": "use --detach",
}


def _refuse_ours(extra: Extra) -> None:
    """What QEMU takes once only, and the launcher needs as it is: RAM has a file behind it whose
    size must match, and the kernel is the one whose symbols and modules are known."""
    for word in extra.words(()):
        name = word.removeprefix("-").removeprefix("-")
        if word.startswith("-") and name in _OURS:
            raise UsageError(f"{word} inside {extra.option} does not work", hint=_OURS[name])
