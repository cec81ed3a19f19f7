# SPDX-License-Identifier: MIT
"""ntbdbg disas: code, its symbols, and who is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support import fakevmlinux
from tests.support.elfwriter import Load, elf_core, note, prstatus
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakelog import FakeLog

NOP, UD2, RETURN = b"\x90", b"\x0f\x0b", b"\xc3"


class Dump:
    """A core in which `victim` calls `helper`; CPU 0 is in it, and it had an oops."""

    def __init__(self, folder: Path) -> None:
        guest = self.guest = FakeGuest()
        log = FakeLog(guest)
        self.helper = guest.function("helper", 16, kind="T")
        self.victim = guest.function("victim", 32)
        after = guest.function("after_it", 16)
        call = b"\xe8" + (self.helper - (self.victim + 5)).to_bytes(4, "little", signed=True)
        guest.space.write(self.victim, (call + NOP + UD2 + RETURN).ljust(32, b"\xcc"))
        guest.space.write(self.helper, RETURN.ljust(16, b"\xcc"))
        guest.space.write(after, RETURN)
        for text in (
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "Oops: 0000 [#1] PREEMPT SMP",
            "CPU: 0 PID: 8 Comm: runner Not tainted 6.1.0",
            "RIP: 0010:victim+0x6/0x20",
            "---[ end trace 0000000000000000 ]---",
        ):
            log.add(text, level=1)
        data = guest.memory.read(0, len(guest.space.data))
        notes = note(b"CORE", 1, prstatus(self.victim + 5, 0x1000))
        self.path = folder / "guest.core"
        self.path.write_bytes(elf_core([Load(0, data)], notes))


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dump:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return Dump(tmp_path)


def test_a_function_with_symbols_and_marks(ntbdbg: Run, dump: Dump) -> None:
    done = ntbdbg("disas", dump.path, "victim")
    assert done.returncode == 0, done.stderr
    lines, start = done.stdout.splitlines(), dump.victim
    assert lines[0] == "victim:"
    call = f"   {start:016x} +0x0    callq   {dump.helper:#x}"
    assert lines[1] == f"{call:<72} <helper>"
    assert lines[2].startswith(f"=> {start + 5:016x} +0x5    nop ")
    assert lines[2].endswith("<- CPU 0")
    assert lines[3].startswith(f"=> {start + 6:016x} +0x6    ud2 ")
    assert lines[3].endswith("<- last oops")
    assert lines[4].split() == [f"{start + 8:016x}", "+0x8", "retq"]
    assert "after_it" not in done.stdout, "the function ends before"
    assert len(lines) == 1 + 4 + 23


def test_so_many_instructions(ntbdbg: Run, dump: Dump) -> None:
    lines = ntbdbg("disas", dump.path, "victim+0x5", "2").stdout.splitlines()
    assert [line.split("<-")[-1].strip() for line in lines[1:]] == ["CPU 0", "last oops"]


@pytest.mark.parametrize("where", ["cpu:0", "oops", "CPU0"])
def test_where_something_happened(ntbdbg: Run, dump: Dump, where: str) -> None:
    done = ntbdbg("disas", dump.path, where)
    assert done.returncode == 0, done.stderr
    assert "callq" in done.stdout.splitlines()[1], "what comes before is shown, too"
    assert "<- last oops" in done.stdout


def test_json_bytes_and_syntax(ntbdbg: Run, dump: Dump) -> None:
    found = json.loads(ntbdbg("disas", dump.path, "victim", "2", "--json").stdout)
    assert (found["kind"], found["function"], found["notes"]) == ("disas", "victim", [])
    first, second = found["instructions"]
    assert (first["address"], first["offset"], first["target"]) == (dump.victim, 0, dump.helper)
    assert (first["label"], first["marks"], second["marks"]) == ("helper", [], ["CPU 0"])
    assert first["bytes"].startswith("e8")
    shown = ntbdbg("disas", dump.path, "victim", "1", "--intel", "--bytes").stdout
    assert "call    0x" in shown
    assert " e8 " in shown


SOURCE = """
void _stext(void) { }
__attribute__((noinline)) int twice(int n) {
    return 2 * n;
}
"""


def test_source_lines_by_debug_information(
    ntbdbg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    vmlinux = fakevmlinux.build(tmp_path, SOURCE, "-g", "-O1", "-fcf-protection=none", text=0x1000)
    guest = FakeGuest()
    guest.function("what_vmlinux_has", 0x2000)
    place = guest.symbol("twice", guest.base + fakevmlinux.symbols(vmlinux)["twice"], "T")
    guest.space.write(place, bytes.fromhex("8d043fc3"))
    guest.save(tmp_path / "guest.ram")
    words = ["disas", tmp_path / "guest.ram", "twice", "2", "--symbols", vmlinux]
    lines = ntbdbg(*words).stdout.splitlines()
    assert lines[0] == "twice:"
    assert lines[1].endswith(("vmlinux.c:3", "vmlinux.c:4"))
    assert "leal" in "".join(lines[2:])
    sources = [one["source"] for one in json.loads(ntbdbg(*words, "--json").stdout)["instructions"]]
    assert sources[1].endswith(("vmlinux.c:4", "vmlinux.c:5"))


def test_memory_by_its_physical_address_has_no_symbols(ntbdbg: Run, dump: Dump) -> None:
    place = dump.guest.physical(dump.victim)
    shown = ntbdbg("disas", dump.path, f"{place:#x}", "1").stdout
    assert shown.startswith(f"   {place:016x}         callq ")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["victim", "0"], 2, "0 instructions cannot be shown; 1 to 4096 can"),
        (["victim", "x"], 2, "COUNT 'x' is not a number"),
        (["cpu:7"], 3, "the place of CPU 7 is not known; it has 0"),
        (["nothing_here"], 5, "no symbol 'nothing_here'"),
        (["0xffffffff00000000"], 4, "0xffffffff00000000"),
    ],
)
def test_wrong_requests(ntbdbg: Run, dump: Dump, words: list[str], code: int, why: str) -> None:
    done = ntbdbg("disas", dump.path, *words)
    assert done.returncode == code, done.stderr
    assert why in done.stderr


def test_without_registers_and_log_it_says_so(lab: FakeLab, ntbdbg: Run) -> None:
    guest = FakeGuest()
    victim = guest.function("victim")
    guest.space.write(victim, RETURN * 16)
    guest.save(lab.ram_path("qemu1"))
    lab.qmp["qemu1"].refuse["human-monitor-command"] = "not now"
    done = ntbdbg("disas", "qemu1", "victim")
    assert done.stdout.count("retq") == 16
    assert "the places of its processors are not known: " in done.stderr
    assert "whether its log tells of an oops is not known: " in done.stderr
    assert ntbdbg("disas", "qemu1", "oops").returncode == 3
