# SPDX-License-Identifier: MIT
"""windows, regs and decode on a linked lab, good pages and bad ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from ntbdbg.inspect.zeropage import BOOT_PARAMS
from ntbdbg.memory.base import Segment
from tests.support.fakelab import FakeLab
from tests.support.fakeswitch import FakeSwitch
from tests.support.linkedlab import LinkedLab


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        yield lab


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_windows(linked, run) -> None:
    code, out, err = run("windows")
    assert (code, err) == (0, "")
    assert "qemu1:mw0" in out
    assert "qemu2:0x200000-0x20ffff" in out
    assert out.count("open") == 2


def test_windows_of_one_guest_and_why_closed(linked, run) -> None:
    linked.switch.link_down(0)
    linked.publish()
    _, out, _ = run("windows", "qemu2")
    assert "qemu1:mw0" not in out
    assert "qemu2:mw0 is closed: peer has not enabled the link (NTCTL.CPEN=0)" in out
    assert "qemu2:mw0 is closed: peer's mapping-table entry is not valid" in out


def test_windows_where_the_device_disagrees(linked, run) -> None:
    linked.switch.port(0).mw_open = 0
    linked.publish()
    _, out, err = run("windows")
    assert "qemu1:mw0: the device itself says closed" in out
    assert "disagree" in err


def test_windows_over_the_end_of_ram(linked, run) -> None:
    linked.switch.translate(0, address=(16 << 20) - 0x1000, size=0x3000)
    linked.publish()
    _, out, _ = run("windows")
    assert "qemu1:mw0 +0x1000, 8 KiB: 0x1000000 is beyond the end of RAM" in out


def test_windows_json(linked, run) -> None:
    _, out, _ = run("windows", "--json")
    document = json.loads(out)
    assert (document["kind"], document["schema"]) == ("windows", 1)
    window = document["windows"][0]
    assert (window["guest"], window["target"], window["translation"]) == (
        "qemu1",
        "qemu2",
        0x200000,
    )
    assert window["open"] is window["device_agrees"] is True
    assert window["pieces"] == [
        {"offset": 0, "size": 0x10000, "gpa": 0x200000, "gap": None, "trapped": False}
    ]


def test_a_page_without_run_json(linked, run) -> None:
    code, out, _ = run("windows", "--page", str(linked.page), "port2")
    assert code == 0
    assert "port2:mw0" in out
    assert "port0:0x200000" in out


def test_dead_qemu_is_told(linked, run) -> None:
    linked.switch.port(1).pid = 1 << 22
    linked.publish()
    _, out, err = run("windows")
    assert "peer's QEMU (port 2, pid 4194304) is gone" in out
    assert "qemu2: its QEMU (pid 4194304) is gone" in err


def test_regs(linked, run) -> None:
    linked.switch.ring(0, 0b101)
    linked.switch.port(0).indbellmsk = 0b100
    linked.switch.send(0, 1, 0xDEAD, source=1)
    linked.publish()
    code, out, _ = run("regs", "qemu1")
    assert code == 0
    assert "set 0, 2 (0x00000005); masked 2 (0x00000004); pending 0 (0x00000001)" in out
    assert "link to qemu2  up" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("1  "))
    assert row[:4] == ["1", "0x0000dead", "qemu2", "full"]
    row = next(line.split() for line in out.splitlines() if " NTCTL " in line)
    assert row == ["0x400", "NTCTL", "0x00000002", "levels", "CPEN"]


def test_regs_by_name(linked, run) -> None:
    code, out, _ = run("regs", "qemu1", "ntctl", "IDT_NT_MSGSTS")
    assert code == 0
    assert len(out.splitlines()) == 3


def test_regs_all_and_json(linked, run) -> None:
    _, out, _ = run("regs", "qemu1", "--all")
    assert "SEGSIGMSK" in out
    assert "doorbell writes" in out
    _, out, _ = run("regs", "qemu2", "--all", "--json")
    document = json.loads(out)
    assert document["kind"] == "regs"
    assert document["link"]["up_to"] == ["qemu1"]
    by_name = {register["name"]: register for register in document["registers"]}
    assert by_name["NTCTL"]["fields"]["CPEN"] == 1
    assert by_name["BARSETUP2"]["fields"]["SIZE"] == 21


def test_regs_usage(linked, run) -> None:
    code, _, err = run("regs", "qemu1", "msgst")
    assert code == 2
    assert "MSGSTS" in err
    code, _, err = run("regs", "qemu9")
    assert code == 3
    assert "qemu1, qemu2" in err


CORRUPT = {
    "zeros": (lambda page: page.write_bytes(bytes(0x10000)), "no device has set it up"),
    "noise": (lambda page: page.write_bytes(os.urandom(0x10000)), "not a shared page"),
    "short": (lambda page: os.truncate(page, 0x2100), "before its 2 port blocks"),
    "gone": (lambda page: page.unlink(), "does not exist"),
    "folder": (lambda page: (page.unlink(), page.mkdir()), "directory"),
}


@pytest.mark.parametrize("harm", CORRUPT)
@pytest.mark.parametrize(
    "words",
    [
        ("windows",),
        ("regs", "qemu1"),
        ("decode", "qemu1", "nt_port"),
        ("watch", "--link", "--timeout", "1"),
        ("diff", "--window", "qemu1:mw0"),
    ],
    ids=lambda words: words[0],
)
def test_corrupt_page(linked, run, harm, words) -> None:
    act, says = CORRUPT[harm]
    act(linked.page)
    code, out, err = run(*words)
    assert code == 3
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1


def test_version_of_another_build(linked, run) -> None:
    linked.switch.header.major, linked.switch.header.minor = 7, 0
    linked.publish()
    code, _, err = run("windows")
    assert code == 3
    assert "has layout version 7.0, this ntbdbg reads 1.x and 2.x" in err


def test_no_link(lab: FakeLab, run) -> None:
    for words in (["windows"], ["regs", "qemu1"], ["watch", "--link"]):
        code, _, err = run(*words)
        assert code == 3
        assert "no NTB link" in err


def test_a_corrupt_block_is_shown_in_part(linked, run) -> None:
    linked.switch.port(1).nseg = 4000
    linked.publish()
    code, out, err = run("windows")
    assert code == 0
    assert "claims 4000 segments" in out
    assert "qemu2: the RAM table claims 4000 segments" in err


def test_decode_nt_port(linked, run) -> None:
    code, out, _ = run("decode", "qemu2", "nt_port")
    assert code == 0
    assert "port 2, partition 1 (qemu2)" in out
    rows = {line.split()[1]: line.split()[2:] for line in out.splitlines() if line[:1] == "+"}
    assert rows["state"] == ["0x2", "attached"]
    assert rows["seg[0].len"][0] == "0xf00000"
    assert "rsvd_030" not in rows


def test_decode_shared_page(linked, run) -> None:
    _, out, _ = run("decode", "qemu1", "shared_page", "--json")
    parts = json.loads(out)["parts"]
    assert [part["address"] for part in parts] == [0, 0x2000, 0x3000]
    header = {member["name"]: member["value"] for member in parts[0]["members"]}
    assert header["nports"] == 2
    _, out, _ = run("decode", "qemu1", "shared_page", "--all")
    assert "rsvd_030" in out
    assert "left out" not in out


def test_decode_takes_no_address_for_the_page(linked, run) -> None:
    code, _, err = run("decode", "qemu1", "nt_port", "0x1000")
    assert code == 2
    assert "takes no ADDR" in err


def zero_page(*entries: tuple[int, int, int]) -> bytes:
    page = BOOT_PARAMS.parse(bytes(BOOT_PARAMS.sizeof()))
    page.hdr.update({"boot_flag": 0xAA55, "version": 0x20F})
    page.hdr.header = int.from_bytes(b"HdrS", "little")
    page.e820_entries = len(entries)
    for slot, (start, size, kind) in zip(page.e820_table, entries, strict=False):
        slot.update({"addr": start, "size": size, "type": kind})
    return BOOT_PARAMS.build(page)


def test_decode_e820_finds_the_kernels_copy(lab: FakeLab, run) -> None:
    lab.poke("qemu1", 0x13D00, zero_page((0, 0x9FC00, 1)))
    lab.poke("qemu1", 0x400100, zero_page((0, 0x9FC00, 1), (0x100000, 0xF00000, 2)))
    code, out, err = run("decode", "qemu1", "e820")
    assert code == 0
    assert "taken: 0x400100, the kernel's copy; also at 0x13d00" in err
    assert out.splitlines()[1:] == [
        "ENTRY  FROM         TO              SIZE  KIND",
        "    0  0x000000000  0x00009fbff  639 KiB  RAM",
        "    1  0x000100000  0x000ffffff   15 MiB  reserved",
    ]


def test_decode_boot_params_by_address(lab: FakeLab, run) -> None:
    lab.poke("qemu2", 0x13D00, zero_page((0, 0x9FC00, 1)))
    code, out, err = run("decode", "qemu2", "boot_params", "0x13d00")
    assert (code, err) == (0, "")
    assert "boot protocol 2.15" in out
    code, _, err = run("decode", "qemu2", "boot_params", "0x14d00")
    assert code == 0
    assert "does not look like boot parameters" in err


@pytest.mark.parametrize(
    "page",
    [
        zero_page(),  # a header without a map, as in a kernel image
        zero_page((0, 0, 1)),
        zero_page((1 << 63, 1 << 62, 1)),
        zero_page((0, 0x1000, 2)),  # no RAM at all
    ],
)
def test_what_is_not_taken_for_boot_params(lab: FakeLab, run, page) -> None:
    lab.poke("qemu1", 0x400000, page)
    code, _, err = run("decode", "qemu1", "e820")
    assert code == 3
    assert "no boot parameters found" in err


def test_decode_outside_ram(lab: FakeLab, run) -> None:
    assert run("decode", "qemu1", "boot_params", "0x9f800")[0] == 4
    assert run("decode", "qemu1", "boot_params", "1T")[0] == 4


def test_decode_usage(lab: FakeLab, run) -> None:
    assert run("decode")[0] == 2
    assert run("decode", "qemu1", "nothing")[0] == 5  # a variable, if there were a kernel
    code, out, _ = run("decode", "--list")
    assert code == 0
    assert "nt_port" in out
    assert {s["name"] for s in json.loads(run("decode", "--list", "--json")[1])["structs"]} >= {
        "boot_params",
        "e820",
    }


def test_big_endian_page(linked, run) -> None:
    switch = FakeSwitch(endian="big")
    for part in (0, 1):
        switch.publish_ram(part, [Segment(1 << 20, 15 << 20, 1 << 20)])
    switch.link_up()
    switch.save(linked.page)
    code, out, _ = run("decode", "qemu1", "nt_port")
    assert code == 0
    assert "attached" in out
