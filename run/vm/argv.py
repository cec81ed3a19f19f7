# SPDX-License-Identifier: MIT
"""Configuration in, command lines out. Pure: nothing is read, nothing started.

A guest's line has five parts. Users may add to or replace what interface and habit call
theirs (`common`, `own`, `device`, the kernel's command line); `_base` holds what the launcher
itself stands on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from run.base.errors import UsageError
from run.steps.artifacts import GuestImage, QemuInstall
from run.vm.options import DEFAULT_GUESTS, Extra, LaunchOptions, split
from run.vm.plan import GuestPlan, LabPaths

#: identity of the RAM backend, by which QEMU's memory map names it
RAM_ID = "ram"

#: root buses by how the machine's name begins; `pc-q35-10.0` is a q35, too
ROOT_BUSES = {"q35": "pcie.0", "pc-q35": "pcie.0", "pc": "pci.0"}

#: kinds of NTB port, with what is always said of them
DEVICES = {"idt": "idt-ntb-ivshmem,vectors=3", "epf": "ntb-epf-ivshmem"}

#: milliseconds between attempts to reach a server that is gone
RECONNECT_MS = 1000

KVM = "kvm"
TCG = "tcg"


@dataclass(frozen=True)
class Build:
    """What lines are made for: programs, guest image, accelerator (`kvm` or `tcg`).

    :param others: images of guests, by index, that have another than `image`
    """

    qemu: QemuInstall
    image: GuestImage
    accelerator: str
    others: Mapping[int, GuestImage] = field(default_factory=dict)

    def image_of(self, guest: GuestPlan) -> GuestImage:
        """What a guest boots."""
        return self.others.get(guest.index, self.image)

    def initrd_of(self, guest: GuestPlan) -> Path:
        """Its first root file system; guests with one image share it."""
        own = guest.index in self.others
        return guest.paths.own_initrd(guest.name) if own else guest.paths.initrd


def qemu_argv(options: LaunchOptions, build: Build, guest: GuestPlan) -> list[str]:
    """The command line of one guest's QEMU."""
    return [
        build.qemu.qemu,
        *_base(options, build, guest),
        *options.common.words(common_words(options, build.accelerator)),
        *_device(options, guest),
        *own_words(options, guest),
        *_kernel(options, build, guest),
    ]


def server_argv(options: LaunchOptions, build: Build, paths: LabPaths) -> list[str]:
    """The command line of ivshmem-server."""
    return [
        build.qemu.ivshmem_server,
        # Foreground: a daemon would be nobody's child, and its end nobody's news.
        "-F",
        # A private socket: the default is one name in /tmp for all users.
        "-S",
        str(paths.server_socket),
        *options.server.words(server_words(paths)),
    ]


def server_words(paths: LabPaths) -> list[str]:
    """Defaults that ``--server-opts`` adds to."""
    return [
        # A named object instead of a file unlinked at once (-m): ntbdbg opens it by its name.
        "-M",
        paths.page_name,
        # The device wants at least 64 KiB; 1 MiB is what its users know.
        "-l",
        "1M",
        # As many vectors as the device is told; it needs one.
        "-n",
        "3",
    ]


def common_words(options: LaunchOptions, accelerator: str) -> list[str]:
    """Defaults that ``--common-opts`` adds to."""
    return [
        "-machine",
        "q35",
        "-smp",
        str(options.smp),
        *accelerator_words(accelerator),
        # No default floppy, CD, graphics card or second network card: nobody looks at them,
        # and the firmware spends a second on them.
        "-nodefaults",
        "-nographic",
        "-monitor",
        "null",
    ]


def accelerator_words(accelerator: str) -> list[str]:
    """How the processor is had."""
    if accelerator == KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    # thread=multi: a host thread per guest processor.
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


def on_root_bus(options: LaunchOptions) -> str:
    """The property that puts a device there: one that does not say may end up behind a bridge
    that the user added."""
    bus = next((bus for name, bus in ROOT_BUSES.items() if machine(options).startswith(name)), "")
    return f",bus={bus}" if bus else ""


def machine(options: LaunchOptions) -> str:
    """The machine that QEMU will make, as its options name it."""
    words = options.common.words(common_words(options, TCG))
    chosen = ""
    for option, value in itertools.pairwise(words):
        first = value.partition(",")[0].removeprefix("type=")
        if option in ("-machine", "--machine", "-M") and "=" not in first:
            chosen = first
    return chosen


def own_words(options: LaunchOptions, guest: GuestPlan) -> list[str]:
    """Console and network of one guest: what ``--vm1-opts`` and its like add to."""
    log = escape(str(guest.paths.console_log(guest.name)))
    default = [
        "-chardev",
        f"socket,id=console,host={options.listen},port={guest.console_port},"
        f"server=on,wait=off,telnet=on,logfile={log}",
        "-serial",
        "chardev:console",
        "-netdev",
        f"user,id=net,hostfwd=tcp:{options.listen}:{guest.ssh_port}-:22",
        # Without its boot ROM, which the firmware folders may lack: nobody boots from here.
        "-device",
        f"virtio-net-pci,netdev=net,romfile={on_root_bus(options)}",
    ]
    return options.per_vm[guest.index].words(default)


def kernel_command_line(options: LaunchOptions, guest: GuestPlan, build: Build) -> str:
    """What the guest's kernel is told."""
    client = options.client if guest.port is not None else None
    default = [
        "console=ttyS0",
        *(_root_words() if build.image_of(guest).rootfs else _initramfs_words(guest, client)),
        *clock_words(build.accelerator),
        # Grace periods of idle processors are most of what a boot waits for.
        "rcupdate.rcu_expedited=1",
    ]
    words = default if options.cmdline.override is None else [options.cmdline.override]
    if guest.port is not None and guest.index == 0 and options.cmdline.override is None:
        words.append("ivshmem_master")
    return " ".join([*words, options.cmdline.append]).strip()


def _initramfs_words(guest: GuestPlan, client: str | None) -> list[str]:
    # The guest's own name, for its prompt.
    words = [f"ntbdbg.hostname={guest.name}"]
    return words if client is None else [*words, f"ntbdbg.client={client}"]


def _root_words() -> list[str]:
    """What the Yocto image's users know; its kernel finds disk and network by itself."""
    return ["root=/dev/vda", "rw", "ip=dhcp", "oprofile.timer=1"]


def clock_words(accelerator: str) -> list[str]:
    """How the guest's kernel keeps time."""
    if accelerator == KVM:
        return ["tsc=reliable", "no_timer_check"]
    # On a busy host Linux measures an emulated TSC wrongly at times, once by a factor of fifty,
    # and all clocks of the guest with it; the HPET ticks by QEMU's own clock. The check of the
    # timer interrupt fails for the same reason.
    return ["tsc=unstable", "no_timer_check"]


def escape(value: str) -> str:
    """A value inside ``key=value,key=value``, where QEMU wants commas doubled."""
    return value.replace(",", ",,")


def qmp_chardev(identity: str, path: object) -> str:
    """The chardev of one monitor; being unique to its lab, it also tells a process is ours."""
    return f"socket,id={identity},path={escape(str(path))},server=on,wait=off"


def _base(options: LaunchOptions, build: Build, guest: GuestPlan) -> list[str]:
    paths = guest.paths
    words = [
        "-name",
        f"{options.name}/{guest.name}".replace(",", "_"),
        # Each line of QEMU's log with its time.
        "-msg",
        "timestamp=on",
        # /etc/qemu is the host's business, not the guest's.
        "-no-user-config",
        # RAM is a file that is mapped shared: the peer's windows and ntbdbg read it in place.
        "-object",
        f"memory-backend-file,id={RAM_ID},size={options.memory}M,"
        f"mem-path={escape(str(guest.ram))},share=on",
        "-machine",
        f"memory-backend={RAM_ID}",
        "-m",
        f"{options.memory}M",
        # QMP serves one client at a time: one socket is the launcher's, one is ntbdbg's.
        "-chardev",
        qmp_chardev("qmp-launcher", paths.qmp_launcher(guest.name)),
        "-mon",
        "chardev=qmp-launcher,mode=control",
        "-chardev",
        qmp_chardev("qmp", paths.qmp(guest.name)),
        "-mon",
        "chardev=qmp,mode=control",
        # A panic is reported, and the guest stays as it is, to be looked at.
        "-device",
        f"pvpanic-pci{on_root_bus(options)}",
        "-action",
        "panic=none",
    ]
    if options.share is not None:
        words += options.share.words(on_root_bus(options))
    for folder in build.qemu.firmware:
        words += ["-L", folder]
    for pattern in options.traces:
        words += ["-trace", pattern]
    return words


def _device(options: LaunchOptions, guest: GuestPlan) -> list[str]:
    """The NTB port and its connection to the switch; nothing for a VM alone."""
    if guest.port is None:
        return []
    words = _device_words(options, guest)
    if options.device.override is not None:
        socket = escape(str(guest.paths.server_socket))
        words = [  # the socket's path may have blanks, which separate words before it is put in
            word.replace("%n", str(guest.index)).replace("%s", socket)
            for word in split(options.device.override, f"{options.device.option}-override")
        ]
    return _with_properties(words, options.device)


def _with_properties(words: list[str], extra: Extra) -> list[str]:
    """Append ``key=value,…`` to the last -device."""
    properties = extra.append.strip().strip(",")
    if not properties:
        return words
    if "-device" not in words:
        raise UsageError(f"{extra.option}={extra.append}: the override has no -device to append to")
    last = len(words) - words[::-1].index("-device")
    return [*words[:last], f"{words[last]},{properties}", *words[last + 1 :]]


def _device_words(options: LaunchOptions, guest: GuestPlan) -> list[str]:
    device = f"{DEVICES[options.ntb]},chardev=ivshmem,number={guest.index}"
    device += on_root_bus(options)
    if options.guests != DEFAULT_GUESTS:
        device += f",nports={options.guests}"
    if not options.shm:
        # The device looks for its peers' RAM at /dev/shm/qemu%d unless told otherwise; it
        # puts the peer's number, from 1, in the place of %d.
        device += f",mem-path={escape(str(guest.paths.shm))}/qemu%d"
    socket = escape(str(guest.paths.server_socket))
    # A server that ends and is started again finds its ports.
    chardev = f"socket,path={socket},id=ivshmem,reconnect-ms={RECONNECT_MS}"
    return ["-chardev", chardev, "-device", device]


def _kernel(options: LaunchOptions, build: Build, guest: GuestPlan) -> list[str]:
    image = build.image_of(guest)
    words = ["-kernel", image.kernel]
    if image.initramfs:
        words += ["-initrd", str(build.initrd_of(guest))]
    if image.rootfs:
        disk = escape(str(guest.paths.disk(guest.name)))
        # A copy of the image that goes with the lab: nothing of it need survive a power cut.
        words += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    return [*words, "-append", kernel_command_line(options, guest, build)]
