# SPDX-License-Identifier: MIT
"""The command line as a user meets it: output, exit codes, and one clear line for bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ntbdbg import __version__
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab
from tests.support.fakeswitch import FakeSwitch

MIB = 1 << 20


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    """A lab whose qemu1 reaches 64 KiB of qemu2 at 1 MiB through its window 0."""
    from ntbdbg.memory import Segment

    switch = FakeSwitch()
    for part in (0, 1):
        switch.publish_ram(part, [Segment(0, 16 * MIB, 0)])
    switch.link_up()
    switch.translate(0, address=MIB, size=0x10000)
    with FakeLab(tmp_path / "run", page=switch.build()) as fake:
        fake.monkeypatch(monkeypatch)
        yield fake  # type: ignore[misc]


def ok(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stderr
    return done.stdout


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr; nothing on stdout, and no traceback."""
    assert (done.returncode, done.stdout) == (code, ""), done
    line = done.stderr.splitlines()[-1]
    assert line.startswith("ntbdbg: ")
    assert "Traceback" not in done.stderr
    return line.removeprefix("ntbdbg: ")


# -- dump ------------------------------------------------------------------------------


def test_dump_is_xxd(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x1000, bytes(range(256)))
    path = lab.ram_path("qemu1")
    theirs = subprocess.run(
        ["xxd", "-s", "0x1000", "-l", "64", path], capture_output=True, text=True, check=True
    )
    assert ok(ntbdbg("dump", "qemu1", "0x1000", "64")) == theirs.stdout
    assert ok(ntbdbg("dump", "qemu1", "4K", "-l", "64")) == theirs.stdout


@pytest.mark.parametrize(
    "options", [["-g", "1"], ["-c", "8"], ["-e"], ["-e", "-g", "8"], ["-c", "10"]]
)
def test_flags_mean_what_they_mean_to_xxd(lab: FakeLab, ntbdbg: Run, options: list[str]) -> None:
    lab.poke("qemu1", 0, bytes(range(160)))
    path = lab.ram_path("qemu1")
    theirs = subprocess.run(
        ["xxd", "-l", "160", *options, path], capture_output=True, text=True, check=True
    )
    assert ok(ntbdbg("dump", "qemu1", "0", "160", *options)) == theirs.stdout


def test_dump_of_256_bytes_by_default_squeezes_zeros(lab: FakeLab, ntbdbg: Run) -> None:
    lines = ok(ntbdbg("dump", "qemu1", "0x2000")).splitlines()
    assert [lines[0][:9], lines[1], lines[2][:9]] == ["00002000:", "*", "000020f0:"]
    assert len(ok(ntbdbg("dump", "qemu1", "0x2000", "--no-squeeze")).splitlines()) == 16


def test_dump_raw_is_byte_exact(lab: FakeLab, ntbdbg: Run) -> None:
    data = os.urandom(3 * MIB + 5)
    lab.poke("qemu1", MIB, data)
    done = ntbdbg("dump", "qemu1", "1M", str(len(data)), "--format", "raw", binary=True)
    assert done.stdout == data


def test_a_large_dump_is_xxd_too(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", MIB, os.urandom(MIB) + bytes(MIB) + os.urandom(100))
    size = 2 * MIB + 1000
    theirs = subprocess.run(
        ["xxd", "-a", "-s", "1048576", "-l", str(size), lab.ram_path("qemu1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ok(ntbdbg("dump", "qemu1", "1M", str(size))) == theirs.stdout


def test_dump_as_c_compiles_to_the_same_as_xxd_i(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0, bytes(range(30)))
    theirs = subprocess.run(
        ["xxd", "-i", "-l", "30", "-n", "qemu1_0x0", lab.ram_path("qemu1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ok(ntbdbg("dump", "qemu1", "0", "30", "--format", "c")) == theirs.stdout


def test_dump_json(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x1000, b"hello")
    for arguments in (["--json", "dump"], ["dump", "--json"], ["dump", "--format", "json"]):
        assert json.loads(ok(ntbdbg(*arguments, "qemu1", "0x1000", "5"))) == {
            "kind": "dump",
            "schema": 1,
            "guest": "qemu1",
            "address": 0x1000,
            "size": 5,
            "live": True,
            "via": None,
            "data": "68656c6c6f",
        }


def test_dump_both_sides_of_the_pci_hole(tmp_path: Path, ntbdbg: Run) -> None:
    with FakeLab(tmp_path / "big", ram=0xD000_0000) as big:
        big.poke("qemu1", 0x7FFF_FFF0, b"below the hole..")
        big.poke("qemu1", 1 << 32, b"above the hole..")
        low = ok(ntbdbg("dump", "qemu1", "0x7ffffff0", "16", env=big.environ))
        assert low.startswith("7ffffff0: ")
        assert low.endswith("below the hole..\n")
        high = ok(ntbdbg("dump", "qemu1", "4G", "16", env=big.environ))
        assert high.startswith("0000000100000000: ")
        assert high.endswith("above the hole..\n")
        assert complaint(ntbdbg("dump", "qemu1", "0x7ffffff0", "17", env=big.environ), 4) == (
            "qemu1: 0x80000000 is in the PCI hole [0x80000000, 0x100000000); "
            "the 0x10 bytes from 0x7ffffff0 on are RAM"
        )


def test_dump_through_a_window(linked: FakeLab, ntbdbg: Run) -> None:
    linked.poke("qemu2", MIB + 0x40, b"through the link")
    for place in ("mw0+0x40", "bar2+0x40"):
        done = ntbdbg("dump", "qemu1", place, "16")
        assert ok(done) == "00100040: 7468 726f 7567 6820 7468 6520 6c69 6e6b  through the link\n"
        assert done.stderr == f"note: qemu1:{place} reaches qemu2:0x100040\n"
    assert "qemu2:mw0 is closed: " in complaint(ntbdbg("dump", "qemu2", "mw0"), 3)
    assert complaint(ntbdbg("dump", "qemu1", "mw0+0xfff0", "17"), 4).startswith(
        "qemu1:mw0: 0x10000 is outside"
    )
    assert complaint(ntbdbg("dump", "qemu1", "mw1"), 3) == "qemu1 has no mw1; only mw0"
    assert "qemu1: bar4 holds no memory window; with one: bar2" in complaint(
        ntbdbg("dump", "qemu1", "bar4"), 3
    )


# -- search ----------------------------------------------------------------------------


def test_search(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x12345, b"needle")
    lab.poke("qemu1", 8 * MIB - 3, b"needle")
    assert ok(ntbdbg("search", "qemu1", "str:needle")) == (
        "00012345: 6e65 6564 6c65 0000 0000 0000 0000 0000  needle..........\n"
        "007ffffd: 6e65 6564 6c65 0000 0000 0000 0000 0000  needle..........\n"
    )
    assert ok(ntbdbg("search", "qemu1", "re:ne+dl.", "-c")) == "2\n"
    assert ok(ntbdbg("search", "qemu1", "str:needle", "--range", "1M:8M"), 1) == ""
    limited = ntbdbg("search", "qemu1", "str:needle", "--limit", "1", "--json")
    assert json.loads(ok(limited)) == {
        "kind": "search",
        "schema": 1,
        "guest": "qemu1",
        "pattern": "str:needle",
        "matches": [{"address": 0x12345, "data": "6e6565646c65"}],
        "count": 1,
        "complete": False,
    }
    assert limited.stderr == "note: stopped at --limit 1\n"
    assert ok(ntbdbg("search", "qemu1", "str:needle", "-C", "4", "--limit", "1")) == (
        "00012341: 0000 0000 6e65 6564 6c65 0000 0000       ....needle....\n--\n"
    )


def test_search_finds_nothing(lab: FakeLab, ntbdbg: Run) -> None:
    done = ntbdbg("search", "qemu1", "str:absent")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads(ok(ntbdbg("search", "qemu1", "str:absent", "--json"), 1))["matches"] == []


# -- patch and undo --------------------------------------------------------------------


def test_patch_and_undo(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x1000, b"old!")
    dry = ntbdbg("patch", "qemu1", "0x1000", "str:new!", "--dry-run")
    assert ok(dry) == "qemu1:0x1000: 6f 6c 64 21 -> 6e 65 77 21\n"
    assert dry.stderr == "note: dry run: nothing was written\n"
    assert lab.peek("qemu1", 0x1000, 4) == b"old!"
    done = ok(ntbdbg("patch", "qemu1", "0x1000", "str:new!", "--expect", "str:old!"))
    assert done == "patch 1: qemu1:0x1000: 6f 6c 64 21 -> 6e 65 77 21\n"
    assert lab.peek("qemu1", 0x1000, 4) == b"new!"
    assert complaint(ntbdbg("patch", "qemu1", "0x1000", "u8:1", "--expect", "str:old!"), 1) == (
        "qemu1:0x1000 holds 6e 65 77 21, not 6f 6c 64 21: nothing was changed; "
        "look at it with 'ntbdbg dump', or leave out --expect"
    )
    assert "applied      qemu1:0x1000: 6f 6c 64 21 -> 6e 65 77 21" in ok(ntbdbg("patch", "--list"))
    assert ok(ntbdbg("undo")) == "undo 1: qemu1:0x1000: 6e 65 77 21 -> 6f 6c 64 21\n"
    assert lab.peek("qemu1", 0x1000, 4) == b"old!"
    listed = json.loads(ok(ntbdbg("patch", "--list", "--json")))
    assert [p["state"] for p in listed["patches"]] == ["undone"]
    assert complaint(ntbdbg("undo"), 1) == (
        "there is nothing to undo; 'ntbdbg patch --list' shows all patches"
    )


def test_patch_through_a_window_changes_the_peer(linked: FakeLab, ntbdbg: Run) -> None:
    assert ok(ntbdbg("patch", "qemu1", "mw0+8", "u32be:0xcafe")) == (
        "patch 1: qemu2:0x100008: 00 00 00 00 -> 00 00 ca fe\n"
    )
    assert linked.peek("qemu2", MIB + 8, 4) == b"\0\0\xca\xfe"


def test_undo_after_the_guest_changed_the_bytes(lab: FakeLab, ntbdbg: Run) -> None:
    ok(ntbdbg("patch", "qemu1", "0", "u16:1"))
    lab.poke("qemu1", 0, b"\7")
    assert "changed since patch 1" in complaint(ntbdbg("undo"), 1)
    ok(ntbdbg("undo", "--force"))
    assert lab.peek("qemu1", 0, 2) == b"\0\0"


def test_bare_files_have_their_journal_in_the_state_folder(
    lab: FakeLab, tmp_path: Path, ntbdbg: Run
) -> None:
    ram = tmp_path / "bare"
    ram.write_bytes(bytes(MIB))
    env = lab.environ | {"XDG_RUNTIME_DIR": str(tmp_path / "none")}
    ok(ntbdbg("patch", ram, "16", "str:x", env=env))
    assert (lab.root / "state" / "ntbdbg" / "patches.jsonl").exists()
    assert ram.read_bytes()[16:17] == b"x"
    ok(ntbdbg("undo", env=env))
    assert ram.read_bytes() == bytes(MIB)


def test_a_full_disk_for_the_journal(lab: FakeLab, ntbdbg: Run) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40, -1));"
        "from ntbdbg.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, "patch", "qemu1", "0", "str:hello"],
        capture_output=True,
        text=True,
        check=False,
    )
    journal = lab.folder / "patches.jsonl"
    assert complaint(done, 3) == (
        f"patch journal {journal}: No space left on device; no memory was changed; "
        "the old bytes must be safe first: make room there, or see to its permissions"
    )
    assert lab.peek("qemu1", 0, 5) == bytes(5)


# -- freeze, resume, map, info ---------------------------------------------------------


def test_freeze_and_resume(lab: FakeLab, ntbdbg: Run) -> None:
    assert ok(ntbdbg("freeze")) == "stopped qemu1, qemu2\n"
    assert [q.status for q in lab.qmp.values()] == ["paused", "paused"]
    assert json.loads(ok(ntbdbg("resume", "--json"))) == {
        "kind": "resume",
        "schema": 1,
        "lab": "default",
        "resumed": ["qemu1", "qemu2"],
    }
    assert [q.status for q in lab.qmp.values()] == ["running", "running"]
    assert ntbdbg("resume").stderr == "note: no guest was paused\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dump", "qemu1", "0"],
        ["search", "qemu1", "hex:00", "--limit", "1"],
        ["patch", "qemu1", "0", "u8:1"],
        ["map", "qemu1"],
    ],
)
def test_freeze_as_an_option(lab: FakeLab, ntbdbg: Run, arguments: list[str]) -> None:
    for line in ([*arguments, "--freeze"], ["--freeze", *arguments]):
        ok(ntbdbg(*line))
        assert [c for c in lab.qmp["qemu1"].log if c in ("stop", "cont")] == ["stop", "cont"]
        lab.qmp["qemu1"].log.clear()
    assert lab.qmp["qemu2"].status == "running"


def test_freeze_where_it_makes_no_sense(lab: FakeLab, ntbdbg: Run) -> None:
    assert complaint(ntbdbg("--freeze", "freeze"), 2) == (
        "'freeze' does not take --freeze; 'ntbdbg freeze' stops the lab"
    )


def test_map(linked: FakeLab, ntbdbg: Run) -> None:
    linked.poke("qemu2", MIB, b"x")
    lines = ok(ntbdbg("map", "qemu2")).splitlines()
    assert [line.split() for line in lines] == [
        ["FROM", "TO", "SIZE", "ALLOCATED", "FILE", "OFFSET", "WHAT"],
        ["0x000000000", "0x00009ffff", "640", "KiB", "0", "B", "0x0", "RAM"],
        ["0x0000a0000", "0x0000bffff", "128", "KiB", "VGA", "hole"],
        ["0x0000c0000", "0x000ffffff", "15.25", "MiB", "4", "KiB", "0xc0000", "RAM"],
        ["0x000100000", "0x00010ffff", "64", "KiB", "reached", "by", "qemu1:mw0"],
    ]
    facts = json.loads(ok(ntbdbg("map", "qemu2", "--json")))
    assert facts["windows"] == [
        {"window": "qemu1:mw0", "start": MIB, "end": MIB + 0x10000, "open": True, "closed": None}
    ]
    assert [area["kind"] for area in facts["areas"]] == ["RAM", "VGA hole", "RAM"]


def test_map_with_a_corrupt_link_still_shows_the_ram(linked: FakeLab, ntbdbg: Run) -> None:
    (linked.folder / "page").write_bytes(b"\xff" * 0x10000)
    done = ntbdbg("map", "qemu2")
    assert "VGA hole" in ok(done)
    assert done.stderr.startswith("note: windows are not shown: ")
    assert complaint(ntbdbg("dump", "qemu1", "mw0"), 3)


def test_info(linked: FakeLab, ntbdbg: Run) -> None:
    text = ok(ntbdbg("info"))
    assert text.startswith(
        f"lab default, linked: {linked.path} (the only lab that runs, 'default')\n"
    )
    assert f"link: shared page {linked.folder}/page" in text
    assert [line.split()[:3] for line in text.splitlines()[2:4]] == [
        ["qemu1", "running", "q35"],
        ["qemu2", "running", "q35"],
    ]
    facts = json.loads(ok(ntbdbg("info", "--json")))
    assert [(g["name"], g["state"], g["ram"]) for g in facts["guests"]] == [
        ("qemu1", "running", 16 * MIB),
        ("qemu2", "running", 16 * MIB),
    ]


def test_info_with_a_dead_monitor_and_a_missing_file(lab: FakeLab, ntbdbg: Run) -> None:
    lab.qmp["qemu1"].close()
    lab.ram_path("qemu2").unlink()
    done = ntbdbg("info", "--json")
    first, second = json.loads(ok(done))["guests"]
    assert first["state"] == "alive"
    assert "QEMU's monitor" in done.stderr
    assert second["state"] == "running"
    assert "does not exist" in second["problem"]


def test_info_where_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ntbdbg.cli.main import main

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("NTBDBG_FROM", raising=False)
    monkeypatch.setattr("ntbdbg.lab.where.BARE_FOLDER", str(tmp_path))
    assert main(["info"]) == 3
    assert capsys.readouterr().err == (
        f"ntbdbg: no lab runs, and there is no RAM file {tmp_path}/qemu, {tmp_path}/qemu1, "
        f"{tmp_path}/qemu2; start one ('python3 run vms'), or give the path of a guest's RAM file "
        "or dump\n"
    )


# -- bad input -------------------------------------------------------------------------

NEGATIVE = "-5 is negative; addresses, sizes and numbers start at 0"

BAD = [
    (["dump", "qemu3", "0"], 3, "no guest 'qemu3' in lab 'default'; it has qemu1, qemu2"),
    (["dump", "qemu1", "0x10000000000000000"], 2,
     "address '0x10000000000000000' does not fit into 64 bits; "
     "write it like 64, 0x40, 4K, 1M or page"),
    (["dump", "qemu1", "0xfffffffffffffff+0xf000000000000001"], 2,
     "address '0xfffffffffffffff+0xf000000000000001' does not fit into 64 bits; "
     "an address looks like 0x1000, 4K, mw0+0x40, init_uts_ns.name or qemu2:0x1000"),
    (["dump", "qemu1", "pa:0xffffffffffffffff", "2"], 2,
     "qemu1: 0xffffffffffffffff + 0x2 is outside the 64-bit address space"),
    (["dump", "qemu1", "-5"], 2, NEGATIVE),
    (["dump", "qemu1", "0", "-5"], 2, NEGATIVE),
    (["patch", "qemu1", "0", "-5"], 2, NEGATIVE + "; before a value write --: patch … -- -5"),
    (["dump", "qemu1", "0", "0"], 2, "length is zero; write it like 64, 0x40, 4K, 1M or page"),
    (["dump", "qemu1", "0", "99999999999999999999"], 2,
     "length '99999999999999999999' does not fit into 64 bits; "
     "write it like 64, 0x40, 4K, 1M or page"),
    (["dump", "qemu1", "0", "16E"], 2,
     "length '16E' is not a number; write it like 64, 0x40, 4K, 1M or page"),
    (["dump", "qemu1", "0", "4", "-l", "4"], 2,
     "the length is given twice; leave out one of LENGTH and -l"),
    (["dump", "qemu1", "0", "-e", "--columns", "6"], 2,
     "6 columns are no whole number of little-endian groups of 4 bytes; "
     "take a multiple of 4 for --columns"),
    (["dump", "qemu1", "0xa0000"], 4,
     "qemu1: 0xa0000 is in the VGA hole [0xa0000, 0xc0000); "
     "RAM is at [0x0, 0xa0000), [0xc0000, 0x1000000)"),
    (["dump", "qemu1", "0", "1M"], 4,
     "qemu1: 0xa0000 is in the VGA hole [0xa0000, 0xc0000); "
     "the 0xa0000 bytes from 0x0 on are RAM"),
    (["dump", "qemu1", "1T", "64"], 4,
     "qemu1: 0x10000000000 is beyond the end of RAM at 0x1000000; "
     "RAM is at [0x0, 0xa0000), [0xc0000, 0x1000000)"),
    (["dump", "qemu1", "mw0"], 3,
     "qemu1 is not on an NTB link as far as is known; "
     "windows need a lab with a link; 'ntbdbg info' shows what is there"),
    (["dump", "qemu1", "init_uts_ns"], 5,
     "qemu1: no Linux kernel that keeps VMCOREINFO is in its RAM; it may still be in its firmware "
     "or boot loader, or be built without CONFIG_KEXEC or CONFIG_CRASH_DUMP; "
     "guest-physical addresses work all the same"),
    (["dump", "qemu1", "0xffff888000000000"], 5, None),
    (["dump", "qemu1", "before.cap:qemu2:0"], 3,
     "before.cap: no such capture; 'ntbdbg capture' makes one"),
    (["dump", "qemu1"], 2, "Missing argument 'ADDR'; 'ntbdbg dump --help' shows how it is used"),
    (["dump", "qemu1", "0", "--zzzz"], 2,
     "No such option '--zzzz'; 'ntbdbg dump --help' shows how it is used"),
    (["dmup"], 2, "no command 'dmup'; did you mean 'dump'?"),
    (["Dump", "qemu1"], 2, "no command 'Dump'; did you mean 'dump'?"),
    (["qemu1", "dump", "0"], 2,
     "no command 'qemu1'; the command comes first: ntbdbg dump qemu1 …"),
    (["ssh", "1"], 2, "no command 'ssh'; that is one of the launcher: python3 run ssh"),
    (["frobnicate"], 2, "no command 'frobnicate'; 'ntbdbg --help' lists them"),
    (["dump", "/etc/hostname", "0"], 3, None),
    (["dump", "/tmp", "0"], 3,
     "/tmp: RAM file /tmp is a directory; "
     "give a file: a dump, or that in which QEMU's memory-backend-file keeps a guest's RAM"),
    (["dump", "/dev/null", "0"], 3,
     "/dev/null: RAM file /dev/null is a character device; "
     "give a file: a dump, or that in which QEMU's memory-backend-file keeps a guest's RAM"),
    (["dump", "/nonexistent", "0"], 3,
     "there is no file /nonexistent; "
     "give the path of a RAM file, a dump or a capture, or a guest's name"),
    (["bt", "./x.core"], 3,
     "there is no file ./x.core; "
     "give the path of a RAM file, a dump or a capture, or a guest's name"),
    (["diff", "qemu1", "./nosuch"], 3,
     "there is no file ./nosuch; "
     "give the path of a RAM file, a dump or a capture, or a guest's name"),
    (["diff", "qemu1", "nosuch.cap"], 3,
     "nosuch.cap: no such capture; 'ntbdbg capture' makes one"),
    (["undo", "abc"], 2,
     "'abc' is no number of a patch; "
     "'ntbdbg patch --list' shows them; without a number the last one is taken back"),
    (["watch", "qemu1", "0", "--interval", "nan"], 2, None),
    (["watch", "qemu1", "0", "--timeout", "nan"], 2, None),
    (["search", "qemu1", "deadbeef"], 2,
     "value 'deadbeef' has no type; as bytes hex:deadbeef, as text str:deadbeef"),
    (["search", "qemu1", "hello"], 2,
     "value 'hello' has no type; as text 'str:hello'; "
     "a value looks like u32:5, u16be:0x1234, hex:de ad, str:text, utf16:text or @file"),
    (["search", "qemu1", "0x1234"], 2,
     "value '0x1234' has no type; as a number e.g. u32:0x1234, as text str:0x1234"),
    (["dump", "0x1000"], 2,
     "no guest is named for '0x1000', and there are qemu1, qemu2; write qemu1 0x1000"),
    (["dump", "0x1000", "64"], 2,
     "no guest is named for '0x1000', and there are qemu1, qemu2; write qemu1 0x1000"),
    (["dump", "qemu3:0x1000"], 3, "no guest 'qemu3' in lab 'default'; it has qemu1, qemu2"),
    (["dump", "qemu1", "0", "1", "2"], 2,
     "Got unexpected extra argument (2); 'ntbdbg dump --help' shows how it is used"),
    (["sym", "qemu1"], 2,
     "Missing argument 'NAME|ADDR'; 'ntbdbg sym --help' shows how it is used"),
    (["search", "qemu1"], 2,
     "Missing argument 'PATTERN'; 'ntbdbg search --help' shows how it is used"),
    (["search", "qemu1", "hex:0", ], 2,
     "value 'hex:0' is not pairs of hex digits; write hex:deadbeef"),
    (["search", "qemu1", "str:x", "--range", "5:5"], 2,
     "range '5:5' is empty or beyond 64 bits; "
     "write START:END or START+LENGTH, e.g. 1M:2M or 0x1000+4K"),
    (["search", "qemu1", "foo", "bar"], 2,
     "what is 'bar'?; a pattern with blanks goes into quotes: 'str:foo bar'"),
    (["search", "qemu1", "hex:de", "ad", "be"], 2,
     "what is 'ad'?; a pattern with blanks goes into quotes: 'hex:de ad be'"),
    (["dump", "qemu1", "qemu2"], 2,
     "qemu2 is a guest, where an address is wanted; "
     "say what of it: qemu2:0x1000; of one guest at a time"),
    (["dump", "qemu1", "0x1000..0x2000"], 2,
     "'0x1000..0x2000' is a range, where one address is wanted; "
     "say where it starts and how long it is: 0x1000 4K"),
    (["--from", "./nosuch", "info"], 3,
     "--from ./nosuch: there is no such file or folder, and no such guest runs here; "
     "give a capture, a run.json, the folder of a lab, a dump, "
     "or a guest that 'ntbdbg guests' lists"),
    (["postmortem", "nosuch"], 3, None),
    (["search", "qemu1", "str:x", "--align", "0"], 2,
     "number is zero; write it like 64, 0x40, 4K, 1M or page"),
    (["patch", "qemu1", "0", "u8:300"], 2,
     "value 'u8:300' does not fit u8; u8 holds 0 to 255"),
    (["patch", "qemu1", "0xa0000", "u8:3"], 4,
     "qemu1: 0xa0000 is in the VGA hole [0xa0000, 0xc0000); "
     "RAM is at [0x0, 0xa0000), [0xc0000, 0x1000000)"),
    (["undo", "9"], 1, "there is no patch 9; 'ntbdbg patch --list' shows all patches"),
    (["--lab", "other", "info"], 3, "no lab 'other'; this user's labs: default"),
    (["map", "qemu1", "--machine", "pc"], 2, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "words"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_bad_input(
    lab: FakeLab, ntbdbg: Run, arguments: list[str], code: int, words: str | None
) -> None:
    said = complaint(ntbdbg(*arguments), code)
    assert words is None or said == words


def test_a_name_with_escape_codes_does_not_reach_the_terminal(lab: FakeLab, ntbdbg: Run) -> None:
    assert "\x1b" not in complaint(ntbdbg("dump", "qemu\x1b[31m", "0"), 3)


def test_a_ram_file_that_vanished_shrank_or_was_replaced(lab: FakeLab, ntbdbg: Run) -> None:
    path = lab.ram_path("qemu1")
    os.truncate(path, 4096)
    assert complaint(ntbdbg("dump", "qemu1", "0"), 3).startswith(
        f"qemu1: RAM file {path} shrank below its 0x1000000 bytes; "
    )
    lab.replace_ram("qemu1")
    assert "was replaced by another file; a new run took its place" in complaint(
        ntbdbg("dump", "qemu1", "0"), 3
    )
    path.unlink()
    assert f"RAM file {path} does not exist; " in complaint(ntbdbg("dump", "qemu1", "0"), 3)


def test_a_stale_run_json_is_said_to_be_so(tmp_path: Path, ntbdbg: Run) -> None:
    with FakeLab(tmp_path / "run", live=False) as stale:
        done = ntbdbg("dump", "qemu1", "0", "16", env=stale.environ)
        assert done.stderr == "note: qemu1 does not run: this is the RAM it left behind\n"
        assert ok(done).startswith("00000000: ")
        assert complaint(ntbdbg("freeze", env=stale.environ), 3) == (
            "no guest of lab 'default' runs, so all stand still already; its RAM can be read"
        )


def test_a_dead_qmp_socket(lab: FakeLab, ntbdbg: Run) -> None:
    lab.qmp["qemu2"].close()
    assert "qemu2: QEMU's monitor" in complaint(ntbdbg("freeze"), 3)
    assert lab.qmp["qemu1"].status == "running"
    assert "qemu2: QEMU's monitor" in complaint(ntbdbg("dump", "qemu1", "0", "--freeze"), 3)


def test_reading_works_on_a_file_that_may_only_be_read(lab: FakeLab, ntbdbg: Run) -> None:
    """By the system calls: only patch and undo open the RAM file for writing."""
    path = lab.ram_path("qemu1")
    log = lab.root / "strace"
    for arguments, writes in [
        (["dump", "qemu1", "0"], False),
        (["search", "qemu1", "str:x"], False),
        (["map", "qemu1"], False),
        (["info"], False),
        (["patch", "qemu1", "0", "u8:1", "--dry-run"], False),
        (["patch", "qemu1", "0", "u8:1"], True),
        (["undo"], True),
    ]:
        subprocess.run(
            [
                "strace",
                "-f",
                "-e",
                "trace=open,openat",
                "-o",
                log,
                sys.executable,
                "-m",
                "ntbdbg",
                *arguments,
            ],
            capture_output=True,
            check=False,
        )
        modes = [line for line in log.read_text().splitlines() if str(path) in line]
        assert modes
        assert any("O_RDWR" in m or "O_WRONLY" in m for m in modes) == writes, arguments


def test_bare_file_assumptions_are_said(tmp_path: Path, lab: FakeLab, ntbdbg: Run) -> None:
    ram = tmp_path / "ram"
    ram.write_bytes(bytes(MIB))
    done = ntbdbg("dump", ram, "0", "16")
    assert ok(done) == "00000000: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n"
    assert done.stderr == (
        f"note: {ram}: no run.json knows it; taken for 1 MiB of RAM of a q35 machine "
        "(--machine pc or --segments say otherwise); nothing in it tells that it begins at "
        "guest-physical address 0: where a further NUMA node's RAM lies, only --segments can say\n"
    )
    assert ntbdbg("dump", ram, "0", "16", "--machine", "pc").stderr == ""
    assert ok(ntbdbg("dump", ram, "5G", "16", "--segments", "5G:1M:0")).startswith(
        "0000000140000000:"
    )


# -- the shell's side ------------------------------------------------------------------


HELP = """
import sys
from ntbdbg.cli.main import main
code = main(["--help"])
assert not [name for name in sys.modules if name.startswith("ntbdbg.cli.commands.")]
sys.exit(code)
"""


def test_help_names_every_command_and_imports_none(lab: FakeLab) -> None:
    argv = [sys.executable, "-c", HELP]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    from ntbdbg.cli.main import COMMANDS

    text = ok(done)
    for name in COMMANDS:
        assert f"\n  {name} " in text


LIGHT = """
import sys
from ntbdbg.cli.main import main
main(["dump", "qemu1", "0x1000", "64"])
heavy = {"numpy", "rich", "construct", "drgn", "asyncio", "pathlib", "dataclasses", "tempfile"}
kernel = {name for name in sys.modules if name.startswith("ntbdbg.kernel.")}
print(sorted(heavy & set(sys.modules) | kernel), file=sys.stderr)
"""


def test_a_plain_dump_stays_light(lab: FakeLab) -> None:
    argv = [sys.executable, "-c", LIGHT]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"


def test_nothing_and_the_word_help_are_help(ntbdbg: Run) -> None:
    whole = ok(ntbdbg("--help"))
    assert whole.startswith("Usage: ntbdbg [OPTIONS] COMMAND [ARGS]...\n\n  See, compare, watch")
    assert ok(ntbdbg()) == ok(ntbdbg("help")) == whole
    assert ok(ntbdbg("help", "dump")) == ok(ntbdbg("dump", "--help"))
    assert complaint(ntbdbg("help", "dmup"), 2) == "no command 'dmup'; did you mean 'dump'?"


def test_commands_of_the_launcher_are_known_as_such() -> None:
    from ntbdbg.cli.main import COMMANDS, LAUNCHER
    from run.cli import main as launcher

    assert set(LAUNCHER) <= set(launcher.COMMANDS) - set(COMMANDS)
    assert set(launcher.TOOLKIT) == set(COMMANDS) - set(launcher.COMMANDS)


def test_version(ntbdbg: Run) -> None:
    assert ok(ntbdbg("--version")) == f"ntbdbg, version {__version__}\n"
    assert ok(ntbdbg("-V")) == f"ntbdbg, version {__version__}\n"
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in text


def test_a_pipe_that_closes_early_is_no_error(lab: FakeLab) -> None:
    lab.poke("qemu1", MIB, b"x" * MIB)
    with subprocess.Popen(
        [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "1M", "8M", "--no-squeeze"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    "words", [["info"], ["map", "qemu1"], ["--json", "info"], ["dump", "qemu1", "0"]]
)
def test_a_reader_that_is_gone_before_the_first_word_is_no_error(
    lab: FakeLab, words: list[str]
) -> None:
    gone, pipe = os.pipe()
    os.close(gone)
    command = [sys.executable, "-m", "ntbdbg", *words]
    done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", ["info", "--json info", "dump qemu1 0", "shell -c 1"])
def test_a_closed_output_is_said(lab: FakeLab, words: str) -> None:
    done = redirected(f"{words} >&-")
    assert done.returncode == 3
    assert done.stderr.startswith("ntbdbg: cannot write the output: it is closed; ")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dump qemu1 0 16 2>&-", 0),
        ("dump qemu3 0 2>&-", 3),
        ("dump qemu3 0 2>/dev/full", 3),
        ("undo --nonsense 2>/dev/full", 2),
        ("shell <&-", 0),
    ],
)
def test_nobody_hears_words_or_types_any(lab: FakeLab, line: str, code: int) -> None:
    done = redirected(line)
    assert done.returncode == code
    assert done.stderr == ""


def test_an_output_that_cannot_take_every_character(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = redirected("shell -c 'print(\"2 \\u00d7 2\")'")
    assert (done.returncode, done.stdout) == (0, "2 x 2\n")
    done = redirected("shell -c 'print(\"\\u2514 a \\u2192 b\\u2026 \\xe9 \\udcff\")'")
    assert (done.returncode, done.stdout) == (0, "+ a -> b... \\xe9 \\udcff\n")


def redirected(line: str) -> subprocess.CompletedProcess[str]:
    """`ntbdbg LINE`, by a shell that redirects streams."""
    command = ["sh", "-c", f'exec "$0" -m ntbdbg {line}', sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_output_that_is_full_is_said(lab: FakeLab) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == (
        "ntbdbg: cannot write the output: No space left on device; give it room, or another place\n"
    )


def test_ctrl_c(lab: FakeLab) -> None:
    lab.poke("qemu1", 2 * MIB, b"x")
    with subprocess.Popen(
        [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "1M", "15M", "--no-squeeze"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()  # it now waits for us to read on
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in said


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colour_only_when_asked_or_on_a_terminal(
    lab: FakeLab, ntbdbg: Run, environ: dict[str, str]
) -> None:
    assert "\x1b" not in ok(ntbdbg("dump", "qemu1", "0", env=lab.environ | environ))
    colored = ok(ntbdbg("dump", "qemu1", "0", "--color", "always", env=lab.environ | environ))
    assert "\x1b[90m" in colored


def test_on_a_terminal(lab: FakeLab) -> None:
    """Colour, and the word about reading a guest that runs; neither with NO_COLOR nor --freeze."""

    def talk(*options: str, **extra: str) -> str:
        master, slave = os.openpty()
        argv = [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "0", "32", *options]
        env = lab.environ | {"TERM": "xterm"} | extra
        env = {k: v for k, v in env.items() if v}
        subprocess.run(argv, stdout=slave, stderr=slave, stdin=slave, env=env, check=True)
        os.close(slave)
        text = b""
        try:
            while part := os.read(master, 4096):
                text += part
        except OSError:
            pass
        os.close(master)
        return text.decode()

    said = talk(NO_COLOR="")
    assert "\x1b[90m" in said
    assert "note: qemu1 runs while it is read; --freeze holds the lab still" in said
    assert "\x1b" not in talk(NO_COLOR="1")
    assert "note:" not in talk("--freeze", NO_COLOR="")


def test_shell_completion_knows_commands_and_guests(lab: FakeLab, ntbdbg: Run) -> None:
    def complete(words: str, cword: int) -> list[str]:
        env = lab.environ | {
            "_NTBDBG_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(cword),
        }
        return [line.split(",")[1] for line in ntbdbg(env=env).stdout.splitlines()]

    assert complete("ntbdbg du", 1) == ["dump"]
    assert complete("ntbdbg dump qe", 2) == ["qemu1", "qemu2"]
    assert complete("ntbdbg dump qemu2", 2) == ["qemu2"]


def test_our_own_bugs_are_called_that(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ntbdbg.cli import main as cli

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("ntbdbg.lab.lab.Lab.open", broken)
    assert cli.main(["dump", "qemu1", "0"]) == 70
    assert capsys.readouterr().err == (
        "ntbdbg: this is a bug of ntbdbg: RuntimeError: oops; "
        "run it again with --debug and report both\n"
    )
    assert cli.main(["dump", "qemu1", "0", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_debug_shows_a_traceback_for_any_error(lab: FakeLab, ntbdbg: Run) -> None:
    done = ntbdbg("--debug", "dump", "qemu3", "0")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ntbdbg: no guest 'qemu3'")


def test_kill_9_while_frozen_then_resume(lab: FakeLab, ntbdbg: Run) -> None:
    lab.poke("qemu1", MIB, b"x")
    with subprocess.Popen(
        [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "1M", "15M", "--no-squeeze", "--freeze"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
    assert [q.status for q in lab.qmp.values()] == ["paused", "paused"]
    assert ok(ntbdbg("resume")) == "resumed qemu1, qemu2\n"
    assert [q.status for q in lab.qmp.values()] == ["running", "running"]


def test_ctrl_c_while_frozen_resumes(lab: FakeLab) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ntbdbg", "dump", "qemu1", "1M", "15M", "--no-squeeze", "--freeze"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert [q.status for q in lab.qmp.values()] == ["running", "running"]


def test_a_command_does_not_hang_on_a_fifo(lab: FakeLab, tmp_path: Path, ntbdbg: Run) -> None:
    os.mkfifo(tmp_path / "fifo")
    start = time.monotonic()
    assert "is a FIFO" in complaint(ntbdbg("dump", tmp_path / "fifo", "0"), 3)
    assert time.monotonic() - start < 30
