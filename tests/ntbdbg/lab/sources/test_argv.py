# SPDX-License-Identifier: MIT
"""What command lines of QEMU say, in all the forms that people and libvirt write them."""

from __future__ import annotations

import pytest

from ntbdbg.lab.sources.argv import Backend, MonitorOption, QemuLine, fields, parse_bytes

MIB = 1 << 20


def line(text: str) -> QemuLine:
    return QemuLine(("qemu-system-x86_64", *text.split()))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("q35,accel=kvm:tcg", {"": "q35", "accel": "kvm:tcg"}),
        (
            "socket,id=m,path=/a,,b,server",
            {"": "socket", "id": "m", "path": "/a,b", "server": "on"},
        ),
        ('{"qom-type":"x","id":"a","share":true}', {"": "x", "id": "a", "share": "on"}),
        ('{"driver":"d","size":4096}', {"": "d", "size": "4096"}),
        ("{broken", {}),
        ("[" * 9, {"": "[" * 9}),
        ("{" + '"a":{' * 100_000, {}),
    ],
)
def test_fields(value: str, found: dict[str, str]) -> None:
    assert fields(value) == found


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256", 256 * MIB),
        ("256M", 256 * MIB),
        ("1.5g", 1536 * MIB),
        ("4096k", 4 * MIB),
        ("0x100", 256 * MIB),
        ("4t", 4 << 40),
        *((text, None) for text in ("", "x", "nan", "inf", "1e999")),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_bytes(text, "m") == size


@pytest.mark.parametrize(
    ("argv", "backends"),
    [
        ("", [Backend("", "memory-backend-ram", 128 * MIB, None, False)]),
        ("-m 256", [Backend("", "memory-backend-ram", 256 * MIB, None, False)]),
        (
            "-m size=1G,slots=4,maxmem=4G -mem-path /dev/shm",
            [Backend("", "memory-backend-file", 1024 * MIB, "/dev/shm", False)],
        ),
        (
            "-M pc,memory-backend=r -object memory-backend-file,id=r,size=3G,mem-path=/x,share=on",
            [Backend("r", "memory-backend-file", 3 << 30, "/x", True)],
        ),
        (
            '--object {"qom-type":"memory-backend-memfd","id":"pc.ram","size":268435456} '
            "--machine pc-q35-7.2,memory-backend=pc.ram -object rng-random,id=rng",
            [Backend("pc.ram", "memory-backend-memfd", 256 * MIB, None, True)],
        ),
        (
            "-object memory-backend-ram,id=n0,size=1M -object memory-backend-ram,id=n1,size=2M "
            "-numa node,nodeid=1,memdev=n0 -numa node,nodeid=0,memdev=n1 -numa cpu,node-id=0",
            [
                Backend("n1", "memory-backend-ram", 2 * MIB, None, False),
                Backend("n0", "memory-backend-ram", MIB, None, False),
            ],
        ),
        (
            "-object memory-backend-file,id=dimm,size=1G,mem-path=/d -m 512",
            [Backend("", "memory-backend-ram", 512 * MIB, None, False)],
        ),
    ],
)
def test_what_ram_is_made_of(argv: str, backends: list[Backend]) -> None:
    assert list(line(argv).backends) == backends


@pytest.mark.parametrize(
    ("argv", "monitors"),
    [
        ("", []),
        ("-qmp unix:/run/q.sock,server=on,wait=off", [MonitorOption("unix", "/run/q.sock")]),
        ("-qmp tcp:localhost:3636,server", [MonitorOption("tcp", "localhost:3636")]),
        ("-qmp stdio", [MonitorOption("other", "")]),
        (
            "-chardev socket,id=m,path=/m.sock -mon chardev=m,mode=control -monitor stdio",
            [MonitorOption("unix", "/m.sock", "m")],
        ),
        (
            "-chardev socket,id=charmonitor,fd=22,server=on "
            "-mon chardev=charmonitor,id=monitor,mode=control",
            [MonitorOption("fd", "22", "charmonitor")],
        ),
        ("-chardev socket,id=m,port=5 -qmp chardev:m", [MonitorOption("tcp", "localhost:5", "m")]),
        ("-chardev stdio,id=c,mux=on -mon chardev=c -serial chardev:c", []),
        ("-mon chardev=absent,mode=control", [MonitorOption("other", "", "absent")]),
    ],
)
def test_where_qmp_is_offered(argv: str, monitors: list[MonitorOption]) -> None:
    assert list(line(argv).monitors) == monitors


def test_names_and_accelerators() -> None:
    one = line("-name guest=web1,debug-threads=on -uuid 1-2 -machine q35,accel=kvm:tcg")
    assert (one.name, one.uuid, one.accelerators) == ("web1", "1-2", ("kvm", "tcg"))
    assert line("-name plain -enable-kvm").name == "plain"
    assert line("-accel tcg,thread=multi -accel kvm").accelerators == ("tcg", "kvm")
    assert line("").name is None
    assert line("-machine q35,memory-encryption=sev0").confidential == "memory-encryption"
    assert line("-machine q35").confidential is None
