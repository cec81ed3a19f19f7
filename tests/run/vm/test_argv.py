# SPDX-License-Identifier: MIT
"""Command lines, compared as lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from run.base.errors import UsageError
from run.lab.lab import commands
from run.steps.artifacts import GuestImage, QemuInstall
from run.vm.argv import Build, escape, kernel_command_line, qemu_argv, server_argv
from run.vm.options import CLIENTS, Extra, LaunchOptions
from run.vm.plan import LabPaths, forwarded_ssh_port, plan_guests, telnet_port

PATHS = LabPaths(folder=Path("/run/u/ntbdbg/default"), uid=1000)
SHM = str(PATHS.shm)
BUILD = Build(
    QemuInstall("/b/qemu", "/b/server", ["/fw/a", "/fw/b"], "10", "k"),
    GuestImage("6.1", "/g/vmlinuz", "/g/initrd", "/g/vmlinux", "/g/modules", "k"),
    "tcg",
)
COMMON = ["-machine", "q35", "-smp", "4", "-accel", "tcg,thread=multi", "-cpu", "max"]
COMMON += ["-nodefaults", "-nographic", "-monitor", "null"]
CHARDEV = ["-chardev", "socket,path=/run/u/ntbdbg/default/ivshmem,id=ivshmem,reconnect-ms=1000"]
DEVICE = "idt-ntb-ivshmem,vectors=3,chardev=ivshmem,number={},bus=pcie.0"
CONSOLE = "socket,id=console,host=127.0.0.1,port=800{},server=on,wait=off,telnet=on,logfile="


def line(index: int = 0, **changes: object) -> list[str]:
    options = replace(LaunchOptions(), **changes)
    return qemu_argv(options, BUILD, plan_guests(options, PATHS)[index])


def own(number: int) -> list[str]:
    log = f"/run/u/ntbdbg/default/qemu{number}.console.log"
    return [
        *("-chardev", CONSOLE.format(number) + log, "-serial", "chardev:console"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:700{number}-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile=,bus=pcie.0"),
    ]


def base(number: int, ram: str) -> list[str]:
    folder = "/run/u/ntbdbg/default"
    return [
        *("-name", f"default/qemu{number}", "-msg", "timestamp=on", "-no-user-config"),
        *("-object", f"memory-backend-file,id=ram,size=256M,mem-path={ram},share=on"),
        *("-machine", "memory-backend=ram", "-m", "256M"),
        "-chardev",
        f"socket,id=qmp-launcher,path={folder}/qemu{number}.qmp-launcher,server=on,wait=off",
        *("-mon", "chardev=qmp-launcher,mode=control"),
        *("-chardev", f"socket,id=qmp,path={folder}/qemu{number}.qmp,server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-device", "pvpanic-pci,bus=pcie.0", "-action", "panic=none"),
        *("-L", "/fw/a", "-L", "/fw/b"),
    ]


KERNEL = ["-kernel", "/g/vmlinuz", "-initrd", "/run/u/ntbdbg/default/initrd", "-append"]
WORDS = "tsc=unstable no_timer_check rcupdate.rcu_expedited=1"


def test_first_of_two_by_default():
    assert line() == [
        "/b/qemu",
        *base(1, f"{SHM}/qemu1"),
        *COMMON,
        *CHARDEV,
        *("-device", f"{DEVICE.format(0)},mem-path={SHM}/qemu%d"),
        *own(1),
        *KERNEL,
        f"console=ttyS0 ntbdbg.hostname=qemu1 {WORDS} ivshmem_master",
    ]


def test_second_of_two_in_shm():
    assert line(1, shm=True) == [
        "/b/qemu",
        *base(2, "/dev/shm/qemu2"),
        *COMMON,
        *CHARDEV,
        *("-device", DEVICE.format(1)),
        *own(2),
        *KERNEL,
        f"console=ttyS0 ntbdbg.hostname=qemu2 {WORDS}",
    ]


def test_last_of_six():
    words = line(5, guests=6, per_vm=tuple(Extra(f"--vm{n}-opts", f"-x {n}") for n in range(1, 7)))
    device = f"{DEVICE.format(5)},nports=6,mem-path={SHM}/qemu%d"
    assert device in words
    assert f"memory-backend-file,id=ram,size=256M,mem-path={SHM}/qemu6,share=on" in words
    assert own(6) == words[words.index(device) + 1 :][: len(own(6))]
    assert words[words.index("-x") + 1] == "6"


def test_ports_of_six():
    options = LaunchOptions(guests=6)
    plans = plan_guests(options, PATHS)
    assert [plan.port for plan in plans] == [0, 2, 4, 6, 8, 12]
    assert [plan.ssh_port for plan in plans] == list(range(7001, 7007))
    assert [plan.console_port for plan in plans] == list(range(8001, 8007))


def test_one_alone_has_no_link():
    words = line(guests=1, shm=True)
    assert "memory-backend-file,id=ram,size=256M,mem-path=/dev/shm/qemu,share=on" in words
    assert not [word for word in words if "ivshmem" in word]
    assert words[-1] == f"console=ttyS0 ntbdbg.hostname=qemu {WORDS}"


def test_everything_listens_on_loopback():
    text = " ".join(line())
    assert "hostfwd=tcp:127.0.0.1:" in text
    assert "host=127.0.0.1,port=8001" in text
    assert "hostfwd=tcp::" not in text


def test_device_properties_are_appended():
    for spelling in ("db-loopback=on", ",db-loopback=on"):
        words = line(device=Extra("--ivshmem-common-opts", append=spelling))
        assert f"{DEVICE.format(0)},mem-path={SHM}/qemu%d,db-loopback=on" in words


def test_device_override_knows_index_and_socket():
    override = "-chardev socket,path=%s,id=c -device idt-ntb-ivshmem,chardev=c,number=%n"
    extra = Extra("--ivshmem-common-opts", override=override)
    words = line(1, device=extra)
    at = words.index("idt-ntb-ivshmem,chardev=c,number=1")
    chardev = "socket,path=/run/u/ntbdbg/default/ivshmem,id=c"
    assert words[at - 3 : at] == ["-chardev", chardev, "-device"]
    assert not [word for word in words if word.startswith("idt") and word != words[at]]


def test_a_runtime_folder_with_a_blank():
    odd = LabPaths(folder=Path("/run/a b/ntbdbg/default"), uid=1)
    extra = Extra("--ivshmem-common-opts", override="-chardev socket,path=%s,id=c -device x,n=%n")
    for options in (LaunchOptions(), LaunchOptions(device=extra)):
        words = qemu_argv(options, BUILD, plan_guests(options, odd)[0])
        assert [word for word in words if word.startswith("socket,path=/run/a b/ntbdbg/")]
        assert not [word for word in words if word.startswith("b/")]


def test_device_override_and_append():
    extra = Extra("--ivshmem-common-opts", append="b=1", override="-device a,x=%n -object o")
    words = line(device=extra)
    assert words[words.index("a,x=0,b=1") + 1 :][:2] == ["-object", "o"]
    with pytest.raises(UsageError, match="no -device"):
        line(device=replace(extra, override="-object o"))


def test_common_options():
    words = line(common=Extra("--common-opts", append="-d guest_errors"))
    at = words.index("null")
    assert words[at + 1 : at + 3] == ["-d", "guest_errors"]
    words = line(common=Extra("--common-opts", override="-machine pc -nographic"))
    assert "q35" not in words
    assert "-smp" not in words
    assert words.count("-machine") == 2


@pytest.mark.parametrize(
    ("common", "bus"),
    [
        ("-machine pc", ",bus=pci.0"),
        ("-M pc-i440fx-10.0,accel=tcg", ",bus=pci.0"),
        ("-machine type=pc-q35-10.0", ",bus=pcie.0"),
        ("-machine q35 -machine usb=off", ",bus=pcie.0"),
        ("-machine microvm", ""),
        ("", ""),
    ],
)
def test_our_devices_are_on_the_root_bus(common, bus):
    words = line(common=Extra("--common-opts", override=common))
    for name in ("pvpanic-pci", "virtio-net-pci,netdev=net,romfile="):
        assert f"{name}{bus}" in words
    assert [
        word for word in words if word.startswith(f"{DEVICE.partition(',bus')[0].format(0)}{bus},")
    ]


def test_options_of_one_vm():
    extras = (Extra("--vm1-opts", append="-s"), Extra("--vm2-opts", override="-serial null"))
    assert "-s" in line(0, per_vm=extras)
    second = line(1, per_vm=extras)
    assert "-s" not in second
    assert "-netdev" not in second
    assert second[second.index("-serial") + 1] == "null"


def test_clocks_where_the_processor_is_real():
    options = LaunchOptions()
    assert "tsc=reliable" in kernel_command_line(
        options, plan_guests(options, PATHS)[0], replace(BUILD, accelerator="kvm")
    )


def test_kernel_command_line():
    def made(index: int, **changes: str | None) -> str:
        options = LaunchOptions(cmdline=Extra("--cmdline-common", **changes))
        return kernel_command_line(options, plan_guests(options, PATHS)[index], BUILD)

    assert "tsc=unstable" in made(0)
    assert made(0, append="initcall_blacklist=pp_init").endswith(
        "ivshmem_master initcall_blacklist=pp_init"
    )
    assert made(0, override="root=/dev/vda") == "root=/dev/vda"
    assert made(1, override="a", append="b") == "a b"


YOCTO = GuestImage("6.18", "/y/bzImage", "", "/y/vmlinux", "/y/m.tgz", "k", "/y/r.ext4", "/y/d")


def test_yocto_image():
    options = LaunchOptions()
    build = replace(BUILD, image=YOCTO, accelerator="kvm")
    words = qemu_argv(options, build, plan_guests(options, PATHS)[0])
    disk = "file=/run/u/ntbdbg/default/qemu1.disk,if=virtio,format=raw,cache=unsafe"
    default = "root=/dev/vda rw ip=dhcp oprofile.timer=1"
    clock = "tsc=reliable no_timer_check rcupdate.rcu_expedited=1"
    line = f"console=ttyS0 {default} {clock} ivshmem_master"
    assert words[words.index("-kernel") :] == [
        *("-kernel", "/y/bzImage", "-drive", disk, "-append", line)
    ]
    assert "-initrd" not in words


def test_server():
    name = PATHS.page_name
    plain = ["/b/server", "-F", "-S", "/run/u/ntbdbg/default/ivshmem"]
    default = [*plain, "-M", name, "-l", "1M", "-n", "3"]
    assert server_argv(LaunchOptions(), BUILD, PATHS) == default
    more = LaunchOptions(server=Extra("--server-opts", append="-v"))
    assert server_argv(more, BUILD, PATHS) == [*default, "-v"]
    other = LaunchOptions(server=Extra("--server-opts", override="-m . -l 2M"))
    assert server_argv(other, BUILD, PATHS) == [*plain, "-m", ".", "-l", "2M"]


def test_trace_memory_and_processors():
    words = line(traces=("idt_ntb_*", "x"), memory=1000, smp=1)
    assert " -trace idt_ntb_* -trace x " in " ".join(words)
    assert words[words.index("-m") + 1] == "1000M"
    assert words[words.index("-smp") + 1] == "1"


def test_kvm():
    options = LaunchOptions()
    words = qemu_argv(options, replace(BUILD, accelerator="kvm"), plan_guests(options, PATHS)[0])
    at = words.index("-accel")
    assert words[at : at + 4] == ["-accel", "kvm", "-cpu", "host"]


def test_commas_in_paths_are_doubled():
    assert escape("/a,b") == "/a,,b"
    odd = LabPaths(folder=Path("/run/a,b/ntbdbg/default"), uid=1)
    words = qemu_argv(LaunchOptions(), BUILD, plan_guests(LaunchOptions(), odd)[0])
    assert "socket,path=/run/a,,b/ntbdbg/default/ivshmem,id=ivshmem,reconnect-ms=1000" in words


def test_names_of_two_labs_differ():
    names = {
        LabPaths(folder=Path(folder), uid=uid).tag
        for folder in ("/run/a/ntbdbg/x", "/run/b/ntbdbg/x", "/run/a/ntbdbg/y")
        for uid in (0, 1)
    }
    assert len(names) == 6


@pytest.mark.parametrize(
    ("words", "ssh", "console"),
    [
        (own(1), 7001, 8001),
        (["-net", "user,hostfwd=tcp::7005-:22"], 7005, None),
        (["-serial", "telnet::8009,server,nowait"], None, 8009),
        (["-serial", "telnet:127.0.0.1:8009,server=on"], None, 8009),
        (["-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:80-10.0.2.15:80"], None, None),
        ([], None, None),
    ],
)
def test_ports_are_read_from_the_options(words, ssh, console):
    assert (forwarded_ssh_port(words), telnet_port(words)) == (ssh, console)


def test_ports_of_overridden_options_are_those_of_the_guest():
    options = LaunchOptions(
        per_vm=(
            Extra("--vm1-opts", override="-net user,hostfwd=tcp::7070-:22"),
            Extra("--vm2-opts"),
        )
    )
    plans = [plan for plan, _ in commands(options, BUILD, PATHS).guests]
    assert [(p.ssh_port, p.console_port) for p in plans] == [(7070, None), (7002, 8002)]


@pytest.mark.parametrize("base_port", [0, -1, 65535, 70000])
def test_ports_out_of_range(base_port):
    with pytest.raises(UsageError, match="does not exist"):
        plan_guests(LaunchOptions(ssh_port_base=base_port), PATHS)


def test_ports_that_clash():
    with pytest.raises(UsageError, match="port 8001 would be used twice"):
        plan_guests(LaunchOptions(ssh_port_base=8000), PATHS)


def test_a_runtime_folder_too_deep_for_sockets():
    deep = LabPaths(folder=Path("/" + "d" * 100), uid=0)
    with pytest.raises(UsageError, match="shorter --name"):
        plan_guests(LaunchOptions(), deep)


def test_the_other_kind_of_port():
    words = line(1, ntb="epf")
    device = "ntb-epf-ivshmem,chardev=ivshmem,number=1,bus=pcie.0"
    assert f"{device},mem-path={SHM}/qemu%d" in words
    assert "ntbdbg.client" not in words[-1]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_uses_the_ntb(client: str):
    assert f"ntbdbg.hostname=qemu1 ntbdbg.client={client} tsc" in line(ntb="epf", client=client)[-1]
