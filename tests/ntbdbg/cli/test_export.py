# SPDX-License-Identifier: MIT
"""Exports: what we write, we read, and other tools read the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ntbdbg as library
from ntbdbg.arch.x86_64 import X86_64
from ntbdbg.cli.main import main
from ntbdbg.errors import TargetError
from ntbdbg.lab.registers import parse_registers
from ntbdbg.memory.formats import open_image, sniff
from ntbdbg.memory.formats.content import Content
from ntbdbg.memory.formats.plainwrite import write_elf, write_raw
from ntbdbg.memory.formats.sink import FileSink
from ntbdbg.memory.image import ImageMemory
from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core, note, prstatus
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakeqmp import REGISTERS
from tests.support.hugeelf import open_huge
from tests.support.kdumpwriter import kdump

MIB = 1 << 20
DUMPS = {
    "elf": ("elf", None),
    "kdump-zstd": ("kdump", "zstd"),
    "kdump-zlib": ("kdump", "zlib"),
    "lime": ("lime", None),
}

RIP, RSP = 0xFFFF_FFFF_8123_4567, 0xFFFF_C900_0000_1000


@pytest.fixture(scope="module")
def linux() -> FakeGuest:
    return FakeGuest()


@pytest.fixture
def core(linux: FakeGuest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A core of a Linux guest with two CPUs and a hole, and no lab beside it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    data = linux.memory.read(0, 16 * MIB)
    loads = [Load(0, data[:0xA0000]), Load(0xC0000, data[0xC0000:]), Load(1 << 32, b"end" * 4096)]
    cpus = note(b"CORE", 1, prstatus(RIP, RSP)) + note(b"CORE", 1, prstatus(RIP + 1, RSP))
    path = tmp_path / "guest.core"
    path.write_bytes(elf_core(loads, cpus))
    return path


@pytest.fixture(params=DUMPS.values(), ids=DUMPS)
def exported(
    request: pytest.FixtureRequest, ntbdbg: Run, core: Path, tmp_path: Path
) -> tuple[str, Path]:
    """That guest in each format: format and file."""
    form, method = request.param
    return form, export(ntbdbg, core, tmp_path / f"out.{form}", form, method)


def export(ntbdbg: Run, source: Path, path: Path, form: str, method: str | None = None) -> Path:
    words = ["--compress", method] if method else []
    done = ntbdbg("export", source, "--format", form, "-o", path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: ")
    return path


def opened(path: Path) -> ImageMemory:
    reader = sniff(str(path))
    assert reader
    return open_image(str(path), reader, "x")


def same(ours: ImageMemory, theirs: ImageMemory) -> bool:
    """Whether all of `theirs` is in `ours`; not shown byte by byte where it is not."""
    runs = theirs.segments.runs()
    return all(ours.read(r.start, r.size) == theirs.read(r.start, r.size) for r in runs)


def test_memory_is_the_same(exported: tuple[str, Path], core: Path) -> None:
    ours, theirs = opened(exported[1]), opened(core)
    assert same(ours, theirs)
    assert list(ours.segments.runs()) == list(theirs.segments.runs())


def test_registers_and_vmcoreinfo_are_in_it(exported: tuple[str, Path], linux: FakeGuest) -> None:
    form, path = exported
    facts = opened(path).facts
    if form == "lime":
        assert (facts.vcpus, facts.vmcoreinfo) == ((), None)
        return
    assert [cpu["rip"] for cpu in facts.vcpus] == [RIP, RIP + 1]
    assert facts.vmcoreinfo == linux.vmcoreinfo().encode()


def test_the_kernel_in_it_is_understood(exported: tuple[str, Path], linux: FakeGuest) -> None:
    kernel = library.open(exported[1])["out"].kernel
    assert kernel.symbol("init_uts_ns").address == linux.symbols["init_uts_ns"]


def test_raw_has_everything_at_its_address(ntbdbg: Run, core: Path, tmp_path: Path) -> None:
    path = export(ntbdbg, core, tmp_path / "guest.raw", "raw")
    theirs = opened(core)
    assert path.stat().st_size == (1 << 32) + 3 * 4096
    assert path.stat().st_blocks * 512 < 17 * MIB, "it is sparse"
    with path.open("rb") as file:
        for run in theirs.segments.runs():
            file.seek(run.start)
            same = file.read(run.size) == theirs.read(run.start, run.size)
            assert same


def test_a_pipe_gets_the_same(ntbdbg: Run, exported: tuple[str, Path], core: Path) -> None:
    form, path = exported
    method = ["--compress", "zlib"] if form == "kdump" else []
    done = ntbdbg("export", core, "--format", form, "-o", "-", *method, binary=True)
    assert b"of RAM" in done.stderr
    piped = path.with_name("piped")
    piped.write_bytes(done.stdout)
    ours, theirs = opened(piped), opened(path)
    assert ours.facts == theirs.facts
    assert same(ours, theirs)


def test_json(ntbdbg: Run, core: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    done = ntbdbg("export", core, "--format", "elf", "-o", path, "--json")
    facts = json.loads(done.stdout)
    assert (facts["kind"], facts["format"], facts["path"]) == ("export", "elf", str(path))
    assert facts["size"] == path.stat().st_size
    assert (facts["vcpus"], facts["vmcoreinfo"], facts["torn"]) == (2, True, False)


def test_a_guest_without_linux_is_exported_all_the_same(ntbdbg: Run, tmp_path: Path) -> None:
    source = tmp_path / "plain.core"
    source.write_bytes(elf_core([Load(0x1000, b"\1" * 8192)]))
    done = ntbdbg("export", source, "--format", "kdump", "-o", tmp_path / "x")
    assert "without what the kernel says of itself" in done.stderr
    assert "no registers in it" in done.stderr
    assert opened(tmp_path / "x").read(0x1000, 8192) == b"\1" * 8192


def test_odd_borders_are_filled_up_with_zeros_in_kdump(ntbdbg: Run, tmp_path: Path) -> None:
    source = tmp_path / "odd.core"
    source.write_bytes(elf_core([Load(0x1100, b"\1" * 100), Load(0x1F00, b"\2" * 0x200)]))
    ntbdbg("export", source, "--format", "kdump", "-o", tmp_path / "x")
    memory = opened(tmp_path / "x")
    assert [str(run) for run in memory.segments.runs()] == ["[0x1000, 0x3000)"]
    assert memory.read(0x10FF, 102) == b"\0" + b"\1" * 100 + b"\0"
    assert memory.read(0x1EFF, 0x202) == b"\0" + b"\2" * 0x200 + b"\0"


def test_filtered_pages_become_zeros(ntbdbg: Run, tmp_path: Path) -> None:
    source = tmp_path / "filtered"
    source.write_bytes(kdump({0: b"\1" * 4096, 2: b"\3" * 4096}, absent=[1]))
    for form in ("elf", "kdump"):
        ntbdbg("export", source, "--format", form, "-o", tmp_path / form)
        memory = opened(tmp_path / form)
        assert memory.read(0xFFF, 4098) == b"\1" + bytes(4096) + b"\3"


def test_more_than_65534_program_headers(tmp_path: Path) -> None:
    from ntbdbg.memory import BufferMemory, Segment

    count = 65_600
    memory = BufferMemory(
        b"\7" * count, [Segment(index * 8192, 1, index) for index in range(count)]
    )
    path = tmp_path / "many"
    with FileSink(str(path), 0) as sink:
        write_elf(Content(memory), sink, lambda done, total: None)
    assert len(opened(path).segments) == count
    assert opened(path).read((count - 1) * 8192, 1) == b"\7"


def test_force_replaces_nothing_but_a_file(ntbdbg: Run, core: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = ntbdbg("export", core, "--format", "elf", "-o", pipe, "--force")
    assert done.returncode == 2
    assert "is a FIFO" in done.stderr
    assert pipe.is_fifo()


def test_a_file_that_is_there_is_kept_unless_forced(
    ntbdbg: Run, core: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_text("precious")
    done = ntbdbg("export", core, "--format", "elf", "-o", path)
    assert (done.returncode, path.read_text()) == (2, "precious")
    assert "--force" in done.stderr
    assert ntbdbg("export", core, "--format", "elf", "-o", path, "--force").returncode == 0
    assert opened(path).segments


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"needs 1048576 TiB, .* free"):
        FileSink(str(tmp_path / "x"), 1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    sink = FileSink(str(tmp_path / "x"), 0)
    monkeypatch.setattr("os.pwrite", full)
    with sink, pytest.raises(TargetError, match=r"cannot write .*No space left.*make room"):
        sink.write(0, b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_export_that_is_ended_leaves_nothing(
    core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The signal comes when a part of it is written."""
    writes = iter([None, None, None])
    pwrite = os.pwrite

    def ending(fd: int, data: bytes, offset: int) -> int:
        if next(writes, 0) == 0:
            signal.raise_signal(number)
        return pwrite(fd, data, offset)

    monkeypatch.setattr("os.pwrite", ending)
    out = tmp_path / "folder"
    out.mkdir()
    argv = ["export", str(core), "--format", "kdump", "-o", str(out / "x")]
    try:
        code = main(argv)
    except SystemExit as ended:
        code = ended.code
    assert code not in (0, None)
    assert list(out.iterdir()) == []


def test_raw_refuses_addresses_beyond_every_file(tmp_path: Path) -> None:
    from ntbdbg.memory import BufferMemory, Segment

    memory = BufferMemory(bytes(8), [Segment(1 << 50, 8, 0)])
    with FileSink(str(tmp_path / "x"), 0) as sink, pytest.raises(TargetError, match="too far up"):
        write_raw(Content(memory), sink, lambda done, total: None)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--format", "elf", "--compress", "zlib", "-o", "x"], "is not compressed"),
        (["--format", "elf", "-o", "-", "--json"], "both the dump and JSON"),
        (["--format", "zip", "-o", "x"], "'zip' is not one of"),
        (["--format", "elf"], "Missing option"),
    ],
)
def test_usage(ntbdbg: Run, core: Path, words: list[str], why: str) -> None:
    done = ntbdbg("export", core, *words)
    assert done.returncode == 2
    assert why in done.stderr


# -- other tools -----------------------------------------------------------------------------


def told(*argv: str | Path, binary: bool = False) -> str:
    """What a program prints; it must be installed ('python3 run test' sees to that)."""
    assert shutil.which(str(argv[0])), f"{argv[0]} is not installed"
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, timeout=120, check=False, errors="replace",
        encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def test_readelf_sees_the_hole_the_image_and_the_direct_map(
    ntbdbg: Run, core: Path, linux: FakeGuest, tmp_path: Path
) -> None:
    path = export(ntbdbg, core, tmp_path / "x", "elf")
    loads = re.findall(r"LOAD +\S+ (\S+) (\S+) (\S+) (\S+) RWE", told("readelf", "-lW", path))
    rows = {tuple(int(word, 16) for word in row) for row in loads}
    assert rows == {
        (linux.base, 2 * MIB, 2 * MIB, 2 * MIB),
        (linux.direct_map, 0, 0xA0000, 0xA0000),
        (linux.direct_map + 0xC0000, 0xC0000, 16 * MIB - 0xC0000, 16 * MIB - 0xC0000),
        (linux.direct_map + (1 << 32), 1 << 32, 3 * 4096, 3 * 4096),
    }
    notes = told("readelf", "-nW", path)
    assert notes.count("NT_PRSTATUS") == 2
    assert "VMCOREINFO" in notes


def test_gdb_reads_registers_and_memory(
    ntbdbg: Run, core: Path, linux: FakeGuest, tmp_path: Path
) -> None:
    path = export(ntbdbg, core, tmp_path / "x", "elf")
    name = linux.symbols["init_uts_ns"] + 65
    asked = ["info threads", f"x/s {name:#x}", f"x/s {linux.direct_map + linux.physical(name):#x}"]
    words = [word for line in asked for word in ("-ex", line)]
    shown = told("gdb", "-nx", "-batch", *words, "-c", path)
    assert shown.count('"qemu1"') == 2, "by the image's and by the direct map's address"
    assert f"{RIP:#x}" in shown
    assert f"{RIP + 1:#x}" in shown


LIBKDUMPFILE = """
import json, sys, kdumpfile
dump = kdumpfile.kdumpfile(sys.argv[1])
dump.attr["addrxlat.ostype"] = "linux"
address = int(sys.argv[2], 0)
print(json.dumps({
    "arch": dump.attr["arch.name"],
    "cpus": dump.attr["cpu.number"],
    "release": dump.attr["linux.uts.release"],
    "rip": dump.attr["cpu.1.reg.rip"],
    "bytes": bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, address, 64)).hex(),
}))
"""


@pytest.mark.parametrize("form", ["elf", "kdump-zstd", "kdump-zlib"])
def test_libkdumpfile_reads_the_same(
    ntbdbg: Run, core: Path, linux: FakeGuest, tmp_path: Path, form: str
) -> None:
    path = export(ntbdbg, core, tmp_path / "x", *DUMPS[form])
    gpa = linux.physical(linux.symbols["init_uts_ns"])
    seen = json.loads(told("/usr/bin/python3", "-c", LIBKDUMPFILE, path, hex(gpa)))
    assert seen == {
        "arch": "x86_64",
        "cpus": 2,
        "release": "6.1.0-56-amd64",
        "rip": RIP + 1,
        "bytes": opened(core).read(gpa, 64).hex(),
    }


@pytest.mark.parametrize("form", ["elf", "kdump-zstd", "kdump-zlib"])
def test_drgn_opens_it(
    ntbdbg: Run, core: Path, linux: FakeGuest, tmp_path: Path, form: str
) -> None:
    import drgn

    path = export(ntbdbg, core, tmp_path / "x", *DUMPS[form])
    prog = drgn.Program()
    prog.set_core_dump(str(path))
    assert prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    assert prog["VMCOREINFO"].string_() == linux.vmcoreinfo().encode()
    gpa = linux.physical(linux.symbols["init_uts_ns"])
    assert prog.read(gpa, 390, physical=True) == opened(core).read(gpa, 390)
    assert prog.read(linux.symbols["init_uts_ns"], 390) == opened(core).read(gpa, 390)


@pytest.mark.parametrize("form", ["elf", "kdump-zstd", "kdump-zlib"])
def test_crash_tells_the_release(ntbdbg: Run, core: Path, tmp_path: Path, form: str) -> None:
    path = export(ntbdbg, core, tmp_path / "x", *DUMPS[form])
    assert told("crash", "--osrelease", path) == "6.1.0-56-amd64\n"


def test_makedumpfile_puts_a_piped_dump_together(ntbdbg: Run, core: Path, tmp_path: Path) -> None:
    done = ntbdbg("export", core, "--format", "kdump", "-o", "-", binary=True)
    (tmp_path / "flat").write_bytes(done.stdout)
    with (tmp_path / "flat").open("rb") as flat:
        subprocess.run(
            ["makedumpfile", "-R", tmp_path / "plain"], stdin=flat, check=True, capture_output=True
        )
    ours, theirs = opened(tmp_path / "plain"), opened(core)
    assert (tmp_path / "plain").read_bytes()[:8] == b"KDUMP   "
    assert same(ours, theirs)


@pytest.mark.parametrize("form", ["elf", "lime", "raw"])
def test_volatility_finds_the_kernel(
    ntbdbg: Run, core: Path, linux: FakeGuest, tmp_path: Path, form: str
) -> None:
    """As far as it goes without symbol files: layers are stacked, and banners found."""
    if form == "raw":  # all of a file is looked at, holes as well: without what lies at 4 GiB
        core.write_bytes(elf_core([Load(0, linux.memory.read(0, 16 * MIB))]))
    path = export(ntbdbg, core, tmp_path / "x", form)
    program, cache = Path(sys.executable).with_name("vol"), tmp_path / "cache"
    cache.mkdir()
    words = ["-q", "--offline", "--cache-path", cache, "-f", path, "banners.Banners"]
    shown = told(program, *words)
    gpa = linux.physical(linux.symbols["linux_banner"])
    assert re.search(rf"^{gpa:#x}\tLinux version 6\.1\.0-56-amd64 ", shown, re.MULTILINE)


# -- live guests -----------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", [False, True])
def test_registers_of_a_live_guest_come_from_qemu(
    lab: FakeLab, ntbdbg: Run, tmp_path: Path, freeze: bool
) -> None:
    """Also while the lab is frozen by this very command, which then has the only monitor."""
    words = ["--freeze"] if freeze else []
    path = tmp_path / "x"
    done = ntbdbg("export", "qemu1", "--format", "elf", "-o", path, "--json", *words)
    facts = json.loads(done.stdout)
    assert (facts["vcpus"], facts["torn"]) == (1, not freeze)
    assert ("torn" in done.stderr) == (not freeze)
    (told,) = parse_registers(REGISTERS, X86_64)
    assert opened(path).facts.vcpus[0]["rip"] == told.registers["rip"]
    assert opened(path).facts.vcpus[0]["cr3"] == told.registers["cr3"]


def test_a_file_that_claims_very_much_is_no_kdump(tmp_path: Path, ntbdbg: Run) -> None:
    core = tmp_path / "huge.core"
    open_huge(core).close()
    done = ntbdbg("export", core, "--format", "kdump", "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "RAM up to 0x4000000000000 is too much for kdump" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_kdump_that_cannot_fit_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """32 TiB that a file only claims are 2^33 descriptors of 24 bytes."""
    core, out = tmp_path / "claims.core", tmp_path / "out"
    core.write_bytes(elf_core([Load(0, b"A" * 4096, memsz=1 << 45)]))
    out.mkdir()
    disk = os.statvfs(tmp_path)
    free = os.statvfs_result((*disk[:4], (100 << 30) // disk.f_frsize, *disk[5:]))
    monkeypatch.setattr("os.statvfs", lambda _: free)
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["export", str(core), "--format", "kdump", "-o", str(out / "x")]))
    assert ended.value.code == 3
    assert "needs 192 GiB" in capsys.readouterr().err
    assert list(out.iterdir()) == []
