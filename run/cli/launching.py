# SPDX-License-Identifier: MIT
"""What `vm` and `vms` have in common: their options, and the way from there to a lab."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from run.base.config import DEFAULT_BUILD_DIR, Paths, spelt
from run.base.errors import RunError, UsageError
from run.base.interrupts import Interrupts
from run.cli.building import (
    IMAGES,
    image_option,
    kernel_choice,
    kernel_option,
    kernel_options,
    not_for_yocto,
)
from run.cli.params import LAB_OPTIONS, LAB_VARIABLE, Seconds
from run.guest.choice import DEFAULT, DebianKernel, KernelChoice, parse_kernel
from run.lab.choose import paths_of
from run.lab.lab import Commands, Lab, Say, commands
from run.lab.supervise import in_background, in_foreground
from run.make.images import guest_image
from run.steps.artifacts import GuestImage, MissingBuild, QemuInstall
from run.vm.argv import Build
from run.vm.kvm import MOST_PROCESSORS, accelerator, default_processors
from run.vm.options import (
    DEFAULT_CONSOLE_PORT,
    DEFAULT_GUESTS,
    DEFAULT_MEMORY,
    DEFAULT_SSH_PORT,
    LOOPBACK,
    MOST_GUESTS,
    NTBS,
    Extra,
    LaunchOptions,
    choose_memory,
    parse_memory,
)
from run.vm.plan import LabPaths
from run.vm.share import Share, check_kernel
from run.yocto.layout import Layout

F = TypeVar("F", bound=Callable[..., Any])

#: option -> what it adds to, in the order of --help
EXTRAS = {
    "ivshmem-common-opts": "properties for the NTB device, KEY=VALUE,… ; default"
    " `-device idt-ntb-ivshmem,vectors=3,chardev=ivshmem,number=N,bus=pcie.0"
    " -chardev socket,path=SOCKET,id=ivshmem,reconnect-ms=1000`. The override replaces both"
    " words; in it %n stands for the guest's index from 0, %s for SOCKET",
    "cmdline-common": "words for the guests' kernel command line; default `console=ttyS0"
    " ntbdbg.hostname=NAME tsc=… no_timer_check rcupdate.rcu_expedited=1`, on VM 1"
    " also `ivshmem_master`; of the Yocto image `root=/dev/vda rw ip=dhcp oprofile.timer=1`"
    " instead of the hostname",
    "common-opts": "QEMU options of every guest; default `-machine q35 -smp N -accel A -cpu C"
    " -nodefaults -nographic -monitor null`",
    "vm1-opts": "QEMU options of VM 1; default: console by telnet on 127.0.0.1:8001,"
    " a network card with 127.0.0.1:7001 forwarded to its port 22",
    **{
        f"vm{n}-opts": f"QEMU options of VM {n}; default: the same with 800{n} and 700{n}"
        for n in range(2, MOST_GUESTS + 1)
    },
    "server-opts": "options of ivshmem-server; default `-M NAME -l 1M -n 3`",
}

#: options that work alike for every VM; --help shows those of the first two
_RARE = {f"vm{n}-opts" for n in range(3, MOST_GUESTS + 1)}


def launch_options(function: F) -> F:
    """The options of `vm` and `vms`."""
    for decorate in reversed(_options()):
        function = decorate(function)
    return function


def launch(guests: int, given: dict[str, Any]) -> int:
    """Do what the options ask for; gives the exit code."""
    options = parse(guests, given)
    build = load_build(given["build_dir"], given["image"], kernels_of(guests, given), guests)
    _tell_notes(build)
    paths = paths_of(options.name)
    _check_traces(options, build)
    _check_share(options, build, given)
    lines = commands(options, build, paths)
    if given["dry_run"]:
        _print_commands(lines)
        return 0

    def make_lab(say: Say, interrupts: Interrupts) -> Lab:
        return Lab(options, build, paths, say=say, sleep=interrupts.sleep)

    if given["detach"]:
        return in_background(make_lab, paths, _say, lambda: _ready(options, paths, lines))
    return in_foreground(make_lab, _say, lambda _: _ready(options, paths, lines, here=True))


def parse(guests: int, given: dict[str, Any]) -> LaunchOptions:
    """Check what was typed; raises UsageError."""
    extras = {
        name: Extra(f"--{name}", given[_key(name)] or "", given[_key(f"{name}-override")])
        for name in EXTRAS
    }
    shm, memory = given["qemu_map_ram_to_shm"], given["memory"]
    return LaunchOptions(
        guests=guests,
        name=given["name"],
        memory=choose_memory(memory and parse_memory(memory, "--memory"), shm),
        shm=shm is not None,
        smp=given["smp"] or default_processors(accelerator(), guests),
        ntb=given.get("ntb") or NTBS[0],
        client=given.get("client"),
        device=extras["ivshmem-common-opts"],
        cmdline=extras["cmdline-common"],
        common=extras["common-opts"],
        server=extras["server-opts"],
        per_vm=tuple(extras[f"vm{n}-opts"] for n in range(1, MOST_GUESTS + 1)),
        traces=given["trace"],
        ssh_port_base=given["ssh_port_base"],
        console_port_base=given["console_port_base"],
        boot_timeout=given["boot_timeout"],
        keep_ram=given["keep_ram"],
        overcommit=given["overcommit"],
        listen=os.environ.get("NTBDBG_LISTEN") or LOOPBACK,
        share=Share.of(given["share"]) if given["share"] else None,
    )


def kernels_of(guests: int, given: dict[str, Any]) -> Kernels:
    """Which kernels are asked for; raises UsageError."""
    others: dict[int, KernelChoice] = {}
    for number in range(1, MOST_GUESTS + 1):
        option, text = f"--vm{number}-kernel", given[f"vm{number}_kernel"]
        if text is None:
            continue
        if given["image"] == "yocto":
            raise not_for_yocto(option)
        if number > guests:
            raise UsageError(
                f"{option}={text}: there is no VM {number}",
                hint=f"this run has {guests}; --vms=N of 'vms' has more",
            )
        others[number - 1] = parse_kernel(text, option)
    return Kernels(kernel_choice(given), others)


@dataclass(frozen=True)
class Kernels:
    """The guests' kernels: one for all, and others by a guest's index."""

    common: KernelChoice = DEFAULT
    others: Mapping[int, KernelChoice] = field(default_factory=dict)


def load_build(
    build_dir: str | None,
    image: str = IMAGES[0],
    kernels: Kernels | None = None,
    guests: int = 1,
) -> Build:
    """What the builds left, and the accelerator this host is good for."""
    paths = Paths.of(build_dir)
    if image == "yocto":
        return _load_yocto(Layout(paths).installed.build)
    kernels = kernels or Kernels()
    choice = kernels.common
    try:
        qemu = QemuInstall.load(paths.build)
        if len(kernels.others) < guests:
            common = guest_image(paths, choice, linked=guests > 1)
        others = {}
        for index, choice in kernels.others.items():
            others[index] = guest_image(paths, choice, linked=guests > 1)
        if len(others) == guests:
            common = others[0]
        return Build(qemu, common, accelerator(), others)
    except MissingBuild as error:
        if build_dir is not None and not paths.build.is_dir():
            raise RunError(
                f"--build-dir={build_dir}: there is no such folder",
                hint=f"leave it out for {DEFAULT_BUILD_DIR}, or 'python3 run build --build-dir"
                f" {build_dir}' builds there",
            ) from error
        missing_own = error.what == "guest" and isinstance(choice, DebianKernel)
        more = kernel_option(choice) if missing_own else ""
        more += f" --build-dir={build_dir}" if build_dir is not None else ""
        raise RunError(f"{error}{more}") from error


def _load_yocto(folder: Path) -> Build:
    try:
        return Build(QemuInstall.load(folder), GuestImage.load(folder), accelerator())
    except MissingBuild as error:
        what = {"qemu": "QEMU", "guest": "image"}[error.what]
        raise RunError(
            f"no Yocto {what} in {folder.parent}", hint="python3 run build yocto"
        ) from error


def _tell_notes(build: Build) -> None:
    images = [build.image, *build.others.values()]
    for note in dict.fromkeys(note for image in images for note in image.notes):
        _say(f"run: {note}")


def _options() -> list[Callable[[F], F]]:
    option: Any = click.option
    extras = []
    for name, words in EXTRAS.items():
        hidden = name in _RARE
        extras.append(option(f"--{name}", metavar="TEXT", help=f"Append {words}.", hidden=hidden))
        extras.append(
            option(
                f"--{name}-override",
                metavar="TEXT",
                help=f"Replace the default of --{name}.",
                hidden=hidden,
            )
        )
    return [
        option(
            "--qemu-map-ram-to-shm",
            is_flag=False,
            flag_value="",
            metavar="[=SIZE]",
            help="RAM at /dev/shm/qemu (one VM) or /dev/shm/qemu1, qemu2, …; SIZE in MiB per guest"
            f" without suffix, default {DEFAULT_MEMORY}. Otherwise RAM lies in a private folder"
            " in /dev/shm.",
        ),
        option("--memory", metavar="MIB", help=f"RAM per guest [{DEFAULT_MEMORY}]."),
        option(
            "--smp",
            type=click.IntRange(1, 255),
            metavar="N",
            help=f"Processors per guest [{MOST_PROCESSORS}; emulated: the guest's share of the"
            f" host's, 1 to {MOST_PROCESSORS}].",
        ),
        *extras,
        image_option,
        kernel_options,
        *(
            option(
                f"--vm{number}-kernel",
                metavar="FILE|DIR|debian:…",
                help=f"The kernel of VM {number} alone.",
                hidden=number > DEFAULT_GUESTS,
            )
            for number in range(1, MOST_GUESTS + 1)
        ),
        option(
            *reversed(LAB_OPTIONS),
            "name",
            default="default",
            show_default=True,
            envvar=LAB_VARIABLE,
            metavar="NAME",
            help="Name of the lab.",
        ),
        option("--detach", is_flag=True, help="Return once the guests accept ssh."),
        option("--dry-run", is_flag=True, help="Print the command lines, start nothing."),
        option(
            "--share",
            metavar="DIR[:ro]",
            help="A folder of this host at /host in every guest, which may write to it unless :ro.",
        ),
        option("--keep-ram", is_flag=True, help="Leave the RAM files when the lab is stopped."),
        option(
            "--trace",
            multiple=True,
            metavar="PATTERN",
            help="QEMU trace events into the guests' logs, e.g. '*ntb_*'; repeatable.",
        ),
        option(
            "--ssh-port-base",
            type=int,
            default=DEFAULT_SSH_PORT,
            show_default=True,
            metavar="PORT",
            help="ssh of VM 1 on 127.0.0.1; VM 2 has the next.",
        ),
        option(
            "--console-port-base",
            type=int,
            default=DEFAULT_CONSOLE_PORT,
            show_default=True,
            metavar="PORT",
            help="Serial console of VM 1 by telnet on 127.0.0.1; VM 2 has the next.",
        ),
        option(
            "--boot-timeout",
            type=Seconds(min=0, min_open=True),
            default=LaunchOptions.boot_timeout,
            show_default=True,
            metavar="SECONDS",
            help="Until every guest must accept ssh.",
        ),
        option(
            "--overcommit",
            is_flag=True,
            help="Start even if /dev/shm has not room for all RAM; files are sparse, but a guest"
            " that fills its own then dies.",
        ),
        option("--build-dir", metavar="DIR", help="Where QEMU and the guest were built [./build]."),
    ]


def _key(name: str) -> str:
    return name.replace("-", "_")


def _check_share(options: LaunchOptions, build: Build, given: dict[str, Any]) -> None:
    """Raise RunError if a guest's kernel would silently do without the folder."""
    if options.share is None:
        return
    if given["image"] == "yocto":
        raise UsageError("--share is for guests of the quick build, not for --image=yocto")
    for index in range(options.guests):
        image = build.others.get(index, build.image)
        check_kernel(Path(image.modules), image.release)


def _check_traces(options: LaunchOptions, build: Build) -> None:
    if options.traces:
        from run.vm.traces import check

        check(build.qemu.qemu, options.traces)


def _print_commands(lines: Commands) -> None:
    if lines.server:
        click.echo(shlex.join(lines.server))
    for _, argv in lines.guests:
        click.echo(shlex.join(argv))


def _say(words: str) -> None:
    # A closed terminal must not keep guests from being stopped.
    with suppress(OSError):
        click.echo(spelt(words), err=True)


def _ready(options: LaunchOptions, paths: LabPaths, lines: Commands, *, here: bool = False) -> None:
    """Tell what to do with the lab now."""
    name = "" if options.name == "default" else f" --name {options.name}"
    lab = "" if options.name == "default" else f" --lab {options.name}"
    plans = [plan for plan, _ in lines.guests]
    first = plans[0].name
    rows = []
    for plan in plans:
        how = [f"ssh -p {plan.ssh_port} root@localhost"] if plan.ssh_port else []
        how += [f"telnet localhost {plan.console_port}"] if plan.console_port else []
        rows.append((f"{plan.name}", "   ".join(how)))
    rows += [
        ("shell", f"python3 run ssh{name} 1"),
        ("console", f"python3 run console{name} 1"),
        ("memory", f"{ntbdbg()}{lab} dump {first} 0x1000 64"),
    ]
    if len(plans) > 1:
        rows.append(("link", f"{ntbdbg()}{lab} watch --link"))
    rows.append(("state", f"python3 run status{name}; logs in {paths.folder}"))
    rows.append(("end", "Ctrl-C" if here else f"python3 run stop{name}"))
    for left, right in rows:
        click.echo(spelt(f"  {left:<8} {right}"))


def ntbdbg() -> str:
    """How to call the toolkit from here: it is in .venv, which need not be activated."""
    if shutil.which("ntbdbg"):
        return "ntbdbg"
    program = str(Path(sys.executable).with_name("ntbdbg"))
    return min(program, os.path.relpath(program), key=len)


def refuse_unused(given: dict[str, Any], names: list[str]) -> None:
    """Options of two linked VMs that one alone has no use for: accepted, with a word about it."""
    for name in names:
        if given[_key(name)] is not None:
            _say(f"run: --{name} has no effect on a VM without a link")
