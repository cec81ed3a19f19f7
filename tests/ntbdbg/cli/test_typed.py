# SPDX-License-Identifier: MIT
"""decode and patch of the kernel's own types, on fake kernels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.linuxlab import LinuxLab

TASK = """
enum states { IDLE, BUSY = 4 };
struct cred { int uid; char *label; };
struct task_struct {
    int state; unsigned int flag:1; unsigned int level:3; enum states phase;
    struct task_struct *parent; struct cred *cred; struct list_head tasks;
    union { int number; char bytes[4]; };
    char comm[16]; u16 table[4]; struct { int key; int value; } pairs[2]; u8 tail[];
};
"""


def furnish(name: str, guest: FakeGuest) -> None:
    guest.types.declare(TASK)
    guest.twins += [("cred", 24), ("cred", 32)]
    cred = guest.new("struct cred", uid=1000, label=guest.text("root"))
    task = guest.variable("init_task", "struct task_struct", state=-1, comm=b"swapper/0")
    task.set(flag=1, level=5, phase=4, parent=task, cred=cred, number=65)
    task.set(**{"table[0]": 7, "pairs[1].value": 9})
    task.empty_list("tasks")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinuxLab]:
    with LinuxLab(tmp_path / "run", furnish=furnish) as made:
        made.monkeypatch(monkeypatch)
        yield made


@pytest.fixture
def at(lab: LinuxLab) -> int:
    """VA of init_task of qemu1."""
    return lab.linux["qemu1"].symbols["init_task"]


def test_a_variable(lab: LinuxLab, ntbdbg: Run, at: int) -> None:
    done = ntbdbg("decode", "qemu1", "init_task")
    cred = lab.linux["qemu1"].at(at, "struct task_struct")["cred"]
    assert (
        done.stdout
        == f"""\
init_task: struct task_struct at qemu1:{at:#x}, 96 bytes
+0x0000      state      -1                  int
+0x0004:0    flag       1                   unsigned int
+0x0004:1-3  level      5                   unsigned int
+0x0008      phase      BUSY (4)            enum states
+0x0010      parent     {at:#x}  struct task_struct *  init_task
+0x0018      cred       {cred:#x}  struct cred *
+0x0020      tasks      {{}}                  struct list_head
+0x0020        next     {at + 32:#x}  struct list_head *  init_task+0x20
+0x0028        prev     {at + 32:#x}  struct list_head *  init_task+0x20
+0x0030      number     65                  int
+0x0030      bytes      "A"                 char [4]
+0x0034      comm       "swapper/0"         char [16]
+0x0044      table      7 0 0 0             u16 [4]
+0x004c      pairs      []                  struct <anonymous> [2]
+0x0054        [1]      {{}}                  struct <anonymous>
+0x0058          value  9                   int
4 members that are 0 are left out (--all)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_depth_and_zeros(lab: LinuxLab, ntbdbg: Run) -> None:
    lines = ntbdbg("decode", "qemu1", "init_task", "--depth", "1", "--all").stdout.splitlines()
    assert len(lines) == 14
    assert lines[7] == "+0x0020      tasks   {…}                 struct list_head"
    lines = ntbdbg("decode", "qemu1", "init_task", "--elements", "1", "--all").stdout.splitlines()
    assert "+0x0044      table      7 …                 u16 [4]  3 more" in lines
    assert lines[-2].endswith("struct <anonymous> [2]  1 more elements")


def test_pointers_are_followed(lab: LinuxLab, ntbdbg: Run) -> None:
    lines = ntbdbg("decode", "qemu1", "init_task", "--follow", "2").stdout.splitlines()
    words = [line.split() for line in lines]
    assert ["+0x0000", "uid", "1000", "int"] in words
    assert ["+0x0000", "->", '"root"', "char"] in words
    assert ["+0x0000", "->", "-", "struct", "task_struct", "shown", "above"] in words


def test_a_member(lab: LinuxLab, ntbdbg: Run) -> None:
    assert ntbdbg("decode", "qemu1", "init_uts_ns.name.machine").stdout.endswith(
        '+0x0000    "x86_64"  char [65]\n'
    )
    assert ntbdbg("decode", "qemu2", "qemu1:init_task.level").stdout.endswith(
        "1 byte\n+0x0000:1-3    5  unsigned int\n"
    )
    assert "1000" in ntbdbg("decode", "qemu1", "init_task.cred.uid").stdout
    assert "193" in ntbdbg("decode", "qemu1", "cpu_number@1").stdout


def test_a_type_at_an_address(lab: LinuxLab, ntbdbg: Run, at: int) -> None:
    for address in ("init_task", f"{at:#x}", f"pa:{lab.physical('qemu1', 'init_task'):#x}"):
        lines = ntbdbg("decode", "qemu1", "struct task_struct", address).stdout.splitlines()
        assert lines[0].startswith(f"{address}: struct task_struct at qemu1:0x")
        assert lines[12] == '+0x0034      comm       "swapper/0"         char [16]'
    assert ntbdbg("decode", "qemu1", "u32", "jiffies_64").stdout.endswith("  4660  u32\n")


def test_json(lab: LinuxLab, ntbdbg: Run, at: int) -> None:
    document = json.loads(ntbdbg("decode", "qemu1", "init_task", "--json").stdout)
    fields = {field["path"]: field for field in document.pop("fields")}
    assert document == {
        "kind": "decode", "schema": 1, "target": "qemu1", "name": "init_task",
        "type": "struct task_struct", "guest": "qemu1", "address": at, "space": "va", "via": None,
        "size": 96, "choices": [],
    }  # fmt: skip
    assert fields["level"] == {
        "path": "level", "depth": 0, "address": at + 4, "offset": 4, "size": 1,
        "type": "unsigned int", "kind": "int", "value": 5, "meaning": "", "bit_offset": 1,
        "bit_size": 3,
    }  # fmt: skip
    assert (fields["phase"]["value"], fields["phase"]["meaning"]) == (4, "BUSY")
    assert fields["parent"]["meaning"] == "init_task"
    assert (fields["tail"]["value"], fields["table"]["value"]) == ("00000000", [7, 0, 0, 0])
    assert (fields["pairs"]["kind"], fields["pairs[1].value"]["value"]) == ("array", 9)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["init_task.lvl"], 5, "has no member 'lvl'; it has level"),
        (["nothing"], 5, "no symbol 'nothing'"),
        (["huge_table"], 5, "say it: decode"),
        (["struct nothing", "init_task"], 5, "no type 'struct nothing'"),
        (["struct {", "init_task"], 5, "is no type"),
        (["void", "init_task"], 5, "has no size"),
        (["struct cred"], 2, "where is struct cred?"),
        (["0x1000"], 2, "what type has '0x1000'?"),
        (["init_task+8"], 2, "what type has"),
        (["struct cred", "0xffffffffffff0000"], 4, "is not mapped"),
        (["struct cred", "1T"], 4, "RAM"),
        (["e820", "--depth", "1"], 2, "neither --depth nor --follow"),
    ],
)
def test_what_cannot_be_decoded(
    lab: LinuxLab, ntbdbg: Run, arguments: list[str], code: int, why: str
) -> None:
    done = ntbdbg("decode", "qemu1", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr


# -- patch -----------------------------------------------------------------------------------


def read(ntbdbg: Run, path: str) -> object:
    return json.loads(ntbdbg("decode", "qemu1", path, "--json").stdout)["fields"][0]["value"]


@pytest.mark.parametrize(
    ("path", "text", "value", "back"),
    [
        ("init_uts_ns.name.nodename", "changed", "changed", "qemu1"),
        ("init_task.state", "7", 7, -1),
        ("init_task.phase", "IDLE", 0, 4),
        ("init_task.level", "2", 2, 5),
        ("init_task.comm", "hex:62", "bwapper/0", "swapper/0"),
        ("init_task.parent", "NULL", 0, None),
        ("init_task.table", "1,2,3,4", [1, 2, 3, 4], [7, 0, 0, 0]),
        ("init_task.pairs[1].value", "0xff", 255, 9),
        ("init_task.cred.uid", "0", 0, 1000),
    ],
)
def test_a_member_is_patched_and_put_back(
    lab: LinuxLab, ntbdbg: Run, at: int, path: str, text: str, value: object, back: object
) -> None:
    before = lab.ram_path("qemu1").read_bytes()
    first = read(ntbdbg, path)
    assert first == (at if path == "init_task.parent" else first)
    done = ntbdbg("patch", "qemu1", path, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(ntbdbg, path) == value
    assert read(ntbdbg, "init_task.flag") == 1
    changed = [a for a, b in zip(before, lab.ram_path("qemu1").read_bytes(), strict=True) if a != b]
    assert 0 < len(changed) <= 8
    assert ntbdbg("undo").returncode == 0
    assert read(ntbdbg, path) == first
    assert back is None or first == back
    assert lab.ram_path("qemu1").read_bytes() == before


def test_a_pointer_is_patched_by_symbol(lab: LinuxLab, ntbdbg: Run) -> None:
    assert ntbdbg("patch", "qemu1", "init_task.parent", "init_uts_ns").returncode == 0
    assert read(ntbdbg, "init_task.parent") == lab.linux["qemu1"].symbols["init_uts_ns"]


def test_only_if_the_member_holds_what_is_expected(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("patch", "qemu1", "init_task.phase", "IDLE", "--expect", "IDLE")
    assert done.returncode == 1
    assert read(ntbdbg, "init_task.phase") == 4
    assert ntbdbg("patch", "qemu1", "init_task.phase", "IDLE", "--expect", "BUSY").returncode == 0
    assert read(ntbdbg, "init_task.phase") == 0
    assert ntbdbg("patch", "qemu1", "init_task.level", "1", "--dry-run").returncode == 0
    assert read(ntbdbg, "init_task.level") == 5


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("init_task.phase", "SLEEPING", "it knows IDLE, BUSY"),
        ("init_task.comm", "much too long for that", "too long"),
        ("init_task.level", "8", "it holds 0 to 7"),
        ("init_task.state", "-1", "is negative"),
        ("init_task.state", "u64:5", "8 bytes"),
        ("init_task.tasks", "5", "name one of its members"),
        ("0x1000", "5", "has no type"),
        ("init_task+4", "5", "has no type"),
    ],
)
def test_values_that_do_not_fit_change_nothing(
    lab: LinuxLab, ntbdbg: Run, path: str, text: str, why: str
) -> None:
    before = lab.ram_path("qemu1").read_bytes()
    done = ntbdbg("patch", "qemu1", path, text)
    assert done.returncode == 2
    assert why in done.stderr
    assert lab.ram_path("qemu1").read_bytes() == before


def test_of_several_types_of_one_name_the_one_taken_is_told(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("decode", "qemu1", "struct cred", "init_task", "--json")
    found = json.loads(done.stdout)
    names = [one["type"] for one in found["choices"]]
    assert [one["size"] for one in found["choices"]] == [16, 24, 32]
    assert found["size"] == 16
    others = ", ".join(
        f"'{name}' ({size} bytes)" for name, size in zip(names[1:], (24, 32), strict=True)
    )
    assert done.stderr == (
        f"note: 3 types are called so; taken: '{names[0]}' (16 bytes); "
        f"to choose another: {others}\n"
    )
    for one in found["choices"]:
        done = ntbdbg("decode", "qemu1", one["type"], "init_task", "--json")
        assert (json.loads(done.stdout)["size"], done.stderr) == (one["size"], "")
    done = ntbdbg("decode", "qemu1", f"vmlinux:{names[2]}", "init_task")
    assert "+0x0000  twin  -1  int" in done.stdout


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("struct cred#1", "type 1 of vmlinux is "),
        ("struct cred#999999", "is not there"),
        ("ntb:struct cred", "ntb"),
    ],
)
def test_types_that_are_not_there(lab: LinuxLab, ntbdbg: Run, kind: str, told: str) -> None:
    done = ntbdbg("decode", "qemu1", kind, "init_task")
    assert done.returncode == 5
    assert told in done.stderr
