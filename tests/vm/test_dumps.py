# SPDX-License-Identifier: MIT
"""Dumps and backtraces of real guests, against QEMU, other tools, and what the guests say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ntbdbg.lab.qmp import Qmp
from ntbdbg.memory.formats import open_image, sniff
from ntbdbg.memory.image import ImageMemory
from tests.vm import traces, waiting
from tests.vm.support import Lab

MIB = 1 << 20
pytestmark = pytest.mark.vm

SHOW_TASKS = "echo t > /proc/sysrq-trigger; dmesg"


@pytest.fixture(scope="module")
def dumps(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Guest 1 at one moment: QEMU's own dumps of it, ours, and a copy of its RAM file."""
    folder = tmp_path_factory.mktemp("dumps")
    record = lab.manifest.guests[0]
    lab.ntbdbg("freeze")
    try:
        with Qmp(record.qmp, who=record.name) as qmp:
            for form in ("elf", "kdump-zlib"):
                protocol = f"file:{folder}/qemu.{form}"
                qmp.execute(
                    "dump-guest-memory", paging=False, protocol=protocol, format=form, timeout=120
                )
        for form in ("elf", "kdump"):
            lab.ntbdbg("export", "qemu1", "--format", form, "-o", f"{folder}/ours.{form}")
        source = record.ram.path
        subprocess.run(["cp", "--sparse=always", source, folder / "ram"], check=True)
    finally:
        lab.ntbdbg("resume")
    return folder


def opened(path: Path) -> ImageMemory:
    reader = sniff(str(path))
    assert reader
    return open_image(str(path), reader, path.name)


DUMPS = ["qemu.elf", "qemu.kdump-zlib", "ours.elf", "ours.kdump"]


@pytest.mark.parametrize("name", DUMPS)
def test_a_dump_holds_what_the_ram_file_holds(lab: Lab, dumps: Path, name: str) -> None:
    end = lab.json_lines("diff", str(dumps / "ram"), str(dumps / name), "--summary")[-1]
    assert end["identical"], end
    assert end["compared"] >= lab.manifest.guests[0].ram.size - MIB


@pytest.mark.parametrize("name", ["ours.elf", "ours.kdump"])
def test_our_notes_say_what_qemu_says(dumps: Path, name: str) -> None:
    ours, theirs = opened(dumps / name).facts, opened(dumps / "qemu.elf").facts
    assert len(ours.vcpus) == len(theirs.vcpus) > 0
    same = ("rip", "rsp", "rbp", "rax", "r15", "rflags", "cs", "cr3", "gs_base", "idt_base")
    for mine, other in zip(ours.vcpus, theirs.vcpus, strict=True):
        assert {key: mine[key] for key in same} == {key: other[key] for key in same}


def test_makedumpfile_finds_the_log_and_filters(lab: Lab, dumps: Path, tmp_path: Path) -> None:
    core = dumps / "ours.elf"
    _run("makedumpfile", "--dump-dmesg", core, tmp_path / "log")
    assert "ntb_hw_idt" in (tmp_path / "log").read_text(errors="replace")
    _run("makedumpfile", "-c", "-d", "31", core, tmp_path / "filtered")
    filtered, whole = opened(tmp_path / "filtered"), opened(core)
    kept = 0
    for extent in filtered.extents():
        same = filtered.read(*_sized(extent)) == whole.read(*_sized(extent))
        assert same, extent
        kept += extent.size
    assert 8 * MIB < kept < sum(extent.size for extent in whole.extents())
    assert lab.ntbdbg("bt", str(tmp_path / "filtered"), "1") == lab.ntbdbg("bt", str(core), "1")
    assert lab.ntbdbg("search", str(tmp_path / "filtered"), "str:ntb_hw_idt", "--limit", "3")
    # What the filter left out nobody compared; the rest does not differ.
    compared = lab.json("diff", str(tmp_path / "filtered"), str(core), "--summary", expect=4)
    assert (compared["identical"], compared["different"]) == (None, 0)
    assert compared["compared"] >= kept


def test_gdb_reads_the_banner_by_its_virtual_address(lab: Lab, dumps: Path) -> None:
    core = dumps / "ours.elf"
    address = lab.json("translate", str(core), "linux_banner")["address"]
    shown = _run("gdb", "-nx", "-batch", "-ex", f"x/s {address:#x}", "-c", core)
    assert lab.sh(1, "cut -c1-40 /proc/version") in shown


def test_crash_tells_the_release(lab: Lab, dumps: Path) -> None:
    for form in ("elf", "kdump"):
        assert _run("crash", "--osrelease", dumps / f"ours.{form}").strip() == lab.sh(1, "uname -r")


# -- backtraces ------------------------------------------------------------------------------


def test_waiting_tasks_are_where_the_guest_says(lab: Lab) -> None:
    waiting.check_proc(lab)


def test_waiting_tasks_are_where_sysrq_t_says(lab: Lab) -> None:
    lab.sh(1, "echo 1 > /proc/sys/kernel/sysrq")
    found, before, after = waiting.between(lab, lambda: traces.of_tasks(lab.sh(1, SHOW_TASKS)))
    ours = {stack["pid"]: [frame["symbol"] for frame in stack["frames"]] for stack in found}
    waiting.compare(ours, before, after)


def test_every_processor_is_known_while_it_stands_still(lab: Lab) -> None:
    found = lab.json("bt", "qemu1", "--freeze")
    cpus = int(lab.sh(1, "grep -c ^processor /proc/cpuinfo"))
    assert [stack["cpu"] for stack in found["stacks"]] == list(range(cpus))
    for stack in found["stacks"]:
        assert stack["end"], stack
        assert stack["problem"] is None


def _run(*argv: str | Path) -> str:
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, timeout=300, check=False, errors="replace",
        encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, (argv, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def _sized(extent: object) -> tuple[int, int]:
    return extent.start, extent.size  # type: ignore[attr-defined]
