# SPDX-License-Identifier: MIT
"""Captures opened: the same answers as the lab, what damage leaves, and what liars get."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ntbdbg
from ntbdbg.capture.reading import checksums, form
from ntbdbg.capture.reading.capture import Capture
from ntbdbg.capture.reading.packing import Packer
from ntbdbg.capture.reading.verify import Finding, examine
from ntbdbg.cli.main import main
from ntbdbg.errors import FaultError, FormatError, NtbdbgError, TargetError, UsageError
from ntbdbg.memory.zstdframes import seek_table
from tests.support.linkedlab import SIZE, TARGET, LinkedLab

MIB = 1 << 20
ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with lab.cap and packed.cap, of the same lab."""
    folder = tmp_path_factory.mktemp("captures")
    with LinkedLab(folder / "run") as lab, pytest.MonkeyPatch.context() as patch:
        lab.monkeypatch(patch)
        lab.switch.ring(0, 0b101)
        lab.switch.send(1, 2, 0xBEEF, source=0)
        lab.publish()
        lab.poke("qemu1", 5 * MIB, b"needle in one" * 1000)
        lab.poke("qemu2", TARGET, b"through the window")
        lab.poke("qemu2", 7 * MIB, os.urandom(MIB))
        assert main(["capture", str(folder / "lab.cap")]) == 0
        assert main(["capture", str(folder / "packed.cap"), "--pack"]) == 0
        yield folder


@pytest.fixture(params=["lab.cap", "packed.cap"])
def path(taken: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A capture of one's own, as folder and packed."""
    copy = tmp_path / request.param
    source = taken / request.param
    if source.is_dir():
        # Python's copytree would fill the holes.
        copy.mkdir()
        for name in os.listdir(source):
            _copy_sparse(source / name, copy / name)
    else:
        shutil.copy(source, copy)
    return copy


def _copy_sparse(source: Path, copy: Path) -> None:
    with source.open("rb") as reader, copy.open("wb") as writer:
        writer.truncate(source.stat().st_size)
        while block := reader.read(MIB):
            if any(block):
                writer.seek(reader.tell() - len(block))
                writer.write(block)


@pytest.fixture
def folder(taken: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "folder.cap"
    shutil.copytree(taken / "lab.cap", copy)
    return copy


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


# -- whole -----------------------------------------------------------------------------


def test_it_is_intact(path: Path, run) -> None:
    assert run("verify", path) == (0, f"{path}: intact\n", "")
    assert list(examine(str(path))) == []


def test_info(path: Path, run) -> None:
    code, out, err = run("--from", path, "info")
    assert (code, err) == (0, "")
    kind = "packed capture" if path.is_file() else "capture"
    assert out.startswith(f"{kind} {path} of lab default, linked\ntaken 20")
    assert "guests stood still for" in out
    assert f"{Capture(str(path)).store.where('qemu1.ram')}" in out
    facts = json.loads(run("--from", path, "info", "--json")[1])
    assert facts["capture"]["packed"] is path.is_file()
    assert [guest["state"] for guest in facts["guests"]] == ["running", "running"]
    assert [guest["pid"] for guest in facts["guests"]] == [None, None]


def test_the_environment_names_it_too(path: Path, run, monkeypatch) -> None:
    monkeypatch.setenv("NTBDBG_FROM", str(path))
    assert run("dump", "qemu1", "5M", "16")[1].endswith("needle in onenee\n")


def test_run_json_and_folder_are_the_same(folder: Path) -> None:
    for where in (folder, folder / "run.json"):
        with ntbdbg.open(where) as lab:
            assert lab["qemu1"].read(5 * MIB, 6) == b"needle"
            assert not lab["qemu1"].is_live


def test_somebody_elses_capture_may_be_read(folder: Path) -> None:
    """Nothing in it leads to processes or sockets, so it does not have to be trusted."""
    folder.chmod(0o777)
    (folder / "run.json").chmod(0o666)
    with ntbdbg.open(folder) as lab:
        assert lab["qemu1"].read(5 * MIB, 6) == b"needle"


def test_as_an_operand(path: Path, taken: Path, run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    other = taken / "lab.cap"
    assert run("dump", f"{path}:qemu1", "5M", "16")[1].endswith("needle in onenee\n")
    assert run("diff", f"{path}:qemu1", f"{other}:qemu1", "-q")[0] == 0
    assert run("diff", f"{path}:qemu1", f"{other}:qemu2", "-q")[0] == 1
    assert run("diff", path, f"{other}:qemu1", "-q")[0] == 0
    assert run("diff", path, f"{other}:qemu1", "5M", "4K", "-q")[0] == 0
    assert run("diff", f"{path}:qemu1:5M", f"{other}:qemu1:5M", "-q")[0] == 0
    assert run("diff", "--window", f"{path}:qemu1:mw0", f"{other}:qemu1:mw0", "-q")[0] == 0
    code, out, err = run("dump", f"{path}:qemu1", "mw0", "18")
    assert "through the wind" in out
    assert err == f"note: {path}:qemu1:mw0 reaches {path}:qemu2:{TARGET:#x}\n"
    code, _, err = run("diff", path, other)
    assert code == 2
    assert f"{path} holds qemu1 and qemu2; say which one: {path}:qemu1" in err
    for words in ([f"{path}:qemu7", "0"], [f"{path}:qemu7:0"], ["0", f"{path}:qemu7"]):
        code, _, err = run("dump", *words)
        assert code == 3
        assert f"no guest 'qemu7' in capture {path}; it has qemu1, qemu2" in err
    code, _, err = run("dump", f"{path}:0x1000")
    assert code == 2
    assert f"{path} holds qemu1 and qemu2; say which one: {path}:qemu1" in err


def test_a_guest_against_its_past(taken: Path, run) -> None:
    """``diff before.cap qemu1``: beside a lab that runs."""
    with LinkedLab(taken / "again") as lab, pytest.MonkeyPatch.context() as patch:
        lab.monkeypatch(patch)
        code, out, _ = run("diff", taken / "lab.cap", "qemu1", "--summary")
        assert code == 1
        assert f"{taken / 'lab.cap'}:qemu1" in out
        assert run("diff", "qemu1:0x1000", f"{taken / 'lab.cap'}:qemu1:0x1000", "-q")[0] == 0
    shutil.rmtree(taken / "again")


REFUSING = {
    "patch": ("patch", "qemu1", "0x1000", "u8:1"),
    "patch --list": ("patch", "--list"),
    "undo": ("undo",),
    "freeze": ("freeze",),
    "resume": ("resume",),
    "watch": ("watch", "qemu1", "0x1000", "--timeout", "1"),
    "watch --link": ("watch", "--link", "--timeout", "1"),
    "capture": ("capture", "/nonexistent/x.cap"),
}


@pytest.mark.parametrize("words", REFUSING.values(), ids=REFUSING)
def test_what_wants_a_lab_that_runs_refuses(path: Path, run, words: tuple[str, ...]) -> None:
    code, out, err = run("--from", path, *words)
    assert (code, out) == (3, "")
    assert err.startswith(f"ntbdbg: {path} is a capture: it stands still for ever and cannot be ")


def test_freeze_of_one_command_is_no_error(path: Path, run) -> None:
    code, _, err = run("--from", path, "dump", "qemu1", "0", "16", "--freeze")
    assert (code, err) == (0, "note: no guest runs: all stand still already\n")


def test_ordinary_tools_unpack_a_packed_one(taken: Path, tmp_path: Path) -> None:
    with (taken / "packed.cap").open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        subprocess.run(["tar", "-x", "-C", tmp_path], input=reader.read(), check=True)
    assert list(examine(str(tmp_path))) == []
    for name in ("qemu1.ram", "qemu2.ram", "page.bin"):
        assert (tmp_path / name).read_bytes() == (taken / "lab.cap" / name).read_bytes()


# -- damaged ---------------------------------------------------------------------------


def damage(path: Path) -> list[tuple[str, int, int, str | None]]:
    return [(f.damage.file, f.damage.start, f.damage.end, f.guest) for f in examine(str(path))]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def test_a_wrong_byte_has_a_place(folder: Path, run) -> None:
    flip(folder / "qemu2.ram", 7 * MIB + 5)
    flip(folder / "qemu1.ram", 0xA0010)
    assert damage(folder) == [
        ("qemu1.ram", 0, MIB, "qemu1"),
        ("qemu2.ram", 7 * MIB, 8 * MIB, "qemu2"),
    ]
    code, out, err = run("verify", folder)
    assert code == 1
    assert out == (
        "qemu1.ram+0x0-0xfffff, qemu1: [0x0, 0xa0000), [0xc0000, 0x100000): "
        "differs from its checksum\n"
        "qemu2.ram+0x700000-0x7fffff, qemu2: [0x700000, 0x800000): differs from its checksum\n"
    )
    assert err == "note: all else is as it was written, and can be used\n"
    *parts, end = map(json.loads, run("verify", folder, "--json")[1].splitlines())
    assert parts[1]["ranges"] == [{"start": 7 * MIB, "end": 8 * MIB}]
    assert (end["kind"], end["intact"], end["damaged"]) == ("verify", False, 2)


def test_a_hole_that_got_bytes_is_found(folder: Path) -> None:
    flip(folder / "qemu1.ram", 9 * MIB)
    assert damage(folder) == [("qemu1.ram", 9 * MIB, 10 * MIB, "qemu1")]


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 6, 16 * MIB - 1])
def test_ram_that_was_cut_off_is_there_up_to_the_cut(folder: Path, size: int) -> None:
    os.truncate(folder / "qemu1.ram", size)
    with ntbdbg.open(folder) as lab:
        if size:
            assert len(lab["qemu1"].read(0, 1)) == 1
        if size == 5 * MIB + 6:
            assert lab["qemu1"].read(5 * MIB, 6) == b"needle"
        with pytest.raises(FaultError):
            lab["qemu1"].read(size, 1)
        assert lab["qemu2"].read(TARGET, 7) == b"through"
        assert ["bytes are there" in note for note in lab.notes] == [True]
    first = size // MIB * MIB
    assert damage(folder) == [("qemu1.ram", first, 16 * MIB, "qemu1")]


@pytest.mark.parametrize("name", ["qemu1.ram", "page.bin", "checksums.json", "run.json"])
def test_a_file_that_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    found = list(examine(str(folder)))
    assert found
    if name == "run.json":
        with pytest.raises(TargetError, match=r"run\.json"):
            Capture(str(folder))
        return
    with ntbdbg.open(folder) as lab:
        assert lab["qemu2"].read(TARGET, 7) == b"through"
        if name == "qemu1.ram":
            with pytest.raises(TargetError, match=r"qemu1\.ram is missing"):
                lab.guest("qemu1")
        if name == "page.bin":
            with pytest.raises(TargetError, match="has no shared page"):
                lab.read_link()
        else:
            assert len(lab.read_link().ports) == 2


def test_a_damaged_block_of_a_packed_one(taken: Path, tmp_path: Path, run) -> None:
    path = tmp_path / "x.cap"
    shutil.copy(taken / "packed.cap", path)
    capture = Capture(str(path))
    packed = capture.store._packed  # type: ignore[attr-defined]
    offset = capture.store._copies("qemu2.ram")[0].offset  # type: ignore[attr-defined]
    frame = packed[packed.index_at(offset + 7 * MIB)]
    flip(path, frame.packed[0] + 100)
    assert damage(path) == [("qemu2.ram", 7 * MIB, 8 * MIB, "qemu2")]
    with ntbdbg.open(path) as lab:
        guest = lab["qemu2"]
        assert guest.read(TARGET, 7) == b"through"
        assert guest.read(7 * MIB - 16, 16) == bytes(16)
        with pytest.raises(FaultError, match=r"cannot be read: .*damaged frame") as caught:
            guest.read(7 * MIB - 16, 32)
        assert caught.value.address == 7 * MIB
        assert caught.value.hint == "'ntbdbg verify' tells what of it is whole"
        assert not [e for e in guest.memory.extents() if e.start < 8 * MIB and e.end > 7 * MIB]
        assert [m.address for m in guest.search("str:through the window")] == [TARGET]
    code, out, _ = run("verify", path)
    assert code == 1
    assert "qemu2.ram+0x700000-0x7fffff, qemu2: [0x700000, 0x800000): damaged frame" in out
    code, out, err = run("--from", path, "search", "qemu2", "str:through", "-c")
    assert (code, out) == (0, "1\n")
    assert err == "note: 1 MiB of qemu2 cannot be read, and were passed over\n"
    code, out, err = run("diff", f"{path}:qemu2", f"{taken / 'packed.cap'}:qemu2", "-q")
    assert code == 4  # what is there is the same; the rest nobody compared
    assert f"1 MiB of {path}:qemu2 cannot be read, and were passed over" in err


def test_a_packed_one_that_was_cut_off(taken: Path, tmp_path: Path, run) -> None:
    whole = (taken / "packed.cap").read_bytes()
    path = tmp_path / "x.cap"
    capture = Capture(str(taken / "packed.cap"))
    packed = capture.store._packed  # type: ignore[attr-defined]
    start = capture.store._copies("qemu2.ram")[0].offset  # type: ignore[attr-defined]
    cut = packed[packed.index_at(start + 4 * MIB)].packed[0] + 3
    path.write_bytes(whole[:cut])
    with ntbdbg.open(path) as lab:
        assert lab["qemu1"].read(5 * MIB, 6) == b"needle"
        assert lab["qemu2"].read(TARGET, 7) == b"through"
        with pytest.raises(FaultError):
            lab["qemu2"].read(4 * MIB, 1)
        assert len(lab.read_link().ports) == 2
        assert any("is cut off after" in note for note in lab.notes)
        assert any("qemu2.ram is not whole: 0x400000 of 0x1000000" in note for note in lab.notes)
    code, out, err = run("verify", path)
    assert code == 1
    assert "is cut off after" in out
    assert "checksums.json is missing" in out
    assert "nothing could be checked" in err


@pytest.mark.parametrize("content", [None, b"", b"null", b"{}"])
def test_without_checksums_nothing_is_called_whole(
    taken: Path, tmp_path: Path, run, content: bytes | None
) -> None:
    path = tmp_path / "x.cap"
    shutil.copytree(taken / "lab.cap", path)
    (path / "checksums.json").unlink()
    if content is not None:
        (path / "checksums.json").write_bytes(content)
    code, out, err = run("verify", path)
    assert code == 1
    assert "checksums.json" in out
    assert "nothing could be checked" in err
    assert "as it was written" not in err


@ANY
@given(data=st.data())
def test_a_packed_one_cut_anywhere(taken: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = (taken / "packed.cap").read_bytes()
    path = tmp_path / "x.cap"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    opens(path)
    assert list(_found(path))


def opens(path: Path) -> None:
    """Everything there is to do with a capture: it works, or ends in a clear error."""
    try:
        with ntbdbg.open(path) as lab:
            for name in lab.names:
                try:
                    guest = lab.guest(name)
                    guest.read(5 * MIB, 16)
                    sum(extent.size for extent in guest.memory.extents())
                except NtbdbgError as error:
                    assert error.hint
            lab.read_link()
    except NtbdbgError as error:
        assert error.hint, error


def _found(path: Path) -> Iterator[Finding | NtbdbgError]:
    try:
        yield from examine(str(path))
    except NtbdbgError as error:
        assert error.hint
        yield error


# -- hostile ---------------------------------------------------------------------------


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "run.json"
    data = json.loads(file.read_bytes())
    change(data)
    file.write_text(json.dumps(data))


def _guest(field: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["guests"][0].update({field: value})


def _ram(field: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["guests"][0]["ram"].update({field: value})


def _segment(gpa: int, size: int, offset: int) -> dict[str, int]:
    return {"gpa": gpa, "size": size, "offset": offset}


ABSURD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "climbs out": (_ram("path", "../../../etc/passwd"), "which is no plain name"),
    "absolute": (_ram("path", "/etc/passwd"), "which is no plain name"),
    "hidden": (_ram("path", ".ssh"), "which is no plain name"),
    "nul": (_ram("path", "a\0b"), "which is no plain name"),
    "guest name": (_guest("name", "../x"), "which is no plain name"),
    "escape codes": (_guest("name", "\x1b[31mred"), "which is no plain name"),
    "console": (_guest("console_log", "/etc/shadow"), "which is no plain name"),
    "page": (lambda d: d["link"].update(shared_page="/dev/mem"), "which is no plain name"),
    "no guests": (lambda d: d.update(guests=[]), "claims 0 guests"),
    "many guests": (lambda d: d.update(guests=d["guests"] * 40), "claims 80 guests"),
    "twins": (lambda d: d.update(guests=d["guests"][:1] * 2), "two guests of one name"),
    "huge RAM": (_ram("size", 1 << 62), "bytes of RAM in 2 segments"),
    "no RAM": (_ram("size", 0), "0 bytes of RAM"),
    "many segments": (
        _ram("segments", [_segment(n << 12, 1 << 12, 0) for n in range(5000)]),
        "in 5000 segments",
    ),
    "overlap": (_ram("segments", [_segment(0, 1 << 20, 0)] * 2), "overlap"),
    "beyond the file": (_ram("segments", [_segment(0, 1 << 30, 0)]), "needs 0x40000000 bytes"),
    "beyond 64 bits": (
        _ram("segments", [_segment((1 << 64) - 4096, 8192, 0)]),
        "ends beyond 2^64",
    ),
    "newer": (lambda d: d["capture"].update(version=2), "is a capture of version 2"),
    "newer and else": (
        lambda d: d.update(capture={"version": 9}, guests=7),
        "is a capture of version 9, this ntbdbg reads up to 1; read it with the ntbdbg that",
    ),
    "newer schema": (lambda d: d.update(schema=3), "has manifest schema 3"),
    "no capture": (lambda d: d.update(capture=None), "is not that of a capture"),
    "time": (lambda d: d["capture"].update(moment=1e300), "capture.moment is 1e+300"),
    "no time": (lambda d: d["capture"].update(moment=float("nan")), "capture.moment is nan"),
    "wrong type": (_guest("index", "zero"), "guests[0].index should be of type int"),
    "registers": (_guest("vcpus", [{"index": 0, "registers": {"rip": -1}}]), "rip is negative"),
}


@pytest.mark.parametrize(("change", "why"), ABSURD.values(), ids=ABSURD)
def test_an_absurd_manifest_is_refused(folder: Path, run, change, why: str) -> None:
    edit(folder, change)
    code, out, err = run("--from", folder, "info")
    assert (code, out) == (3, "")
    assert why in err
    assert len(err.splitlines()) == 1
    assert err.startswith(f"ntbdbg: {folder}: ")
    assert "run stop" not in err, "what helps a live lab does not help here"
    assert list(_found(folder))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b"9" * 10_000])
def test_a_manifest_that_is_none(folder: Path, text: bytes) -> None:
    (folder / "run.json").write_bytes(text)
    with pytest.raises(FormatError) as caught:
        ntbdbg.open(folder)
    assert caught.value.hint == "take the capture again, or get another copy of it"


def test_a_manifest_without_end(folder: Path) -> None:
    os.truncate(folder / "run.json", 1 << 40)
    with pytest.raises(FormatError, match="is longer than"):
        ntbdbg.open(folder)  # reads 16 MiB of a terabyte


@pytest.mark.parametrize("name", ["qemu1.ram", "page.bin", "run.json", "checksums.json"])
@pytest.mark.parametrize("kind", ["link", "broken link", "fifo", "folder"])
def test_files_of_a_capture_are_plain_files(folder: Path, name: str, kind: str) -> None:
    victim = folder / name
    secret = folder.parent / "secret"
    shutil.copy(victim, secret)
    victim.unlink()
    if kind == "link":
        victim.symlink_to(secret)
    elif kind == "broken link":
        victim.symlink_to("/nonexistent")
    elif kind == "fifo":
        os.mkfifo(victim)
    else:
        victim.mkdir()
    with pytest.raises(NtbdbgError, match=r"is (a symbolic link|no regular file)"):
        _use_all(folder)


def _use_all(folder: Path) -> None:
    with ntbdbg.open(folder) as lab:
        lab.guest("qemu1")
        lab.read_link()
    for finding in examine(str(folder)):
        raise FormatError(finding.damage.file, 0, finding.damage.reason)


def test_nothing_leads_to_processes_of_this_host(folder: Path) -> None:
    me = {"pid": os.getpid(), "start_time": 0}
    edit(folder, _guest("process", me))
    edit(folder, _guest("qmp", "/run/qmp"))
    edit(folder, _guest("kernel", {"release": "6.1", "image": "/etc/passwd", "vmlinux": "/etc/x"}))
    with ntbdbg.open(folder) as lab:
        assert lab.manifest
        record = lab.manifest.guest("qemu1")
        assert (record.process, record.qmp) == (None, "")
        assert record.kernel
        assert (record.kernel.release, record.kernel.image, record.kernel.vmlinux) == (
            "6.1",
            "",
            None,
        )


def test_a_sparse_claim_costs_nothing(folder: Path, run) -> None:
    """A terabyte of RAM, all of it a hole."""
    size = form.MAX_RAM
    os.truncate(folder / "qemu1.ram", size)
    edit(folder, _ram("size", size))
    edit(folder, _ram("segments", [_segment(0, size, 0)]))
    edit(folder, _guest("machine", "other"))
    assert run("--from", folder, "search", "qemu1", "str:absent")[0] == 1
    assert run("--from", folder, "map", "qemu1")[0] == 0
    with ntbdbg.open(folder) as lab:
        assert lab["qemu1"].read(size - 8, 8) == bytes(8)


CHECKSUMS = {
    "no JSON": b"{",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "newer": b'{"schema": 2, "algorithm": "crc32", "block": 1048576, "files": {}}',
    "other": b'{"schema": 1, "algorithm": "md5", "block": 1048576, "files": {}}',
    "size": json.dumps(
        {
            "schema": 1,
            "algorithm": "crc32",
            "block": MIB,
            "files": {"qemu1.ram": {"size": 1 << 62, "blocks": ""}},
        }
    ).encode(),
    "blocks": json.dumps(
        {
            "schema": 1,
            "algorithm": "crc32",
            "block": MIB,
            "files": {"qemu1.ram": {"size": 16 * MIB, "blocks": "00"}},
        }
    ).encode(),
    "paths": json.dumps(
        {
            "schema": 1,
            "algorithm": "crc32",
            "block": MIB,
            "files": {"../../secret": {"size": 4, "blocks": "00000000"}},
        }
    ).encode(),
}


@pytest.mark.parametrize("text", CHECKSUMS.values(), ids=CHECKSUMS)
def test_checksums_that_make_no_sense(folder: Path, run, text: bytes) -> None:
    (folder / "checksums.json").write_bytes(text)
    code, out, _ = run("verify", folder)
    assert code == 1
    assert out
    with ntbdbg.open(folder) as lab:
        assert lab["qemu1"].read(5 * MIB, 6) == b"needle"


def packed_of(path: Path, files: dict[str, bytes]) -> Path:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    packer = Packer(fd)
    for name, data in files.items():
        packer.add_file(name, data)
    packer.finish()
    os.close(fd)
    return path


def test_a_tar_header_that_claims_more_than_there_is(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.cap"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    packer = Packer(fd)
    packer.add_file("run.json", (folder / "run.json").read_bytes())
    packer.add_header("qemu1.ram", 1 << 60)
    packer.finish()
    os.close(fd)
    with ntbdbg.open(path) as lab:
        assert any("is cut off" in note for note in lab.notes)
        with pytest.raises(FaultError):
            lab["qemu1"].read(4096, 1)


def test_names_in_a_packed_one_are_only_names(folder: Path, tmp_path: Path) -> None:
    path = packed_of(
        tmp_path / "x.cap",
        {"../../evil": b"x", "run.json": (folder / "run.json").read_bytes(), "/etc/passwd": b"y"},
    )
    before = sorted(tmp_path.rglob("*"))
    opens(path)
    list(_found(path))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_packed_bomb(folder: Path, tmp_path: Path) -> None:
    """A million blocks of zeros in a few MiB: opened and read at any place at once."""
    zeros = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(bytes(MIB))
    data = BytesIO()
    sizes = []

    def add(frame: bytes, size: int) -> None:
        data.write(frame)
        sizes.append((len(frame), size))

    zstd = zstandard.ZstdCompressor(level=1)
    run_json = json.loads((folder / "run.json").read_bytes())
    blocks = 50_000
    run_json["guests"] = run_json["guests"][:1]
    run_json["guests"][0]["ram"].update(size=blocks * MIB, segments=[_segment(0, blocks * MIB, 0)])
    run_json["guests"][0]["machine"] = "other"
    text = json.dumps(run_json).encode()
    for name, size in (("run.json", len(text)), ("qemu1.ram", blocks * MIB)):
        info = tarfile.TarInfo(name)
        info.size = size
        add(zstd.compress(info.tobuf(tarfile.GNU_FORMAT)), 512)
        if name == "run.json":
            padded = text + bytes(-len(text) % 512)
            add(zstd.compress(padded), len(padded))
    for _ in range(blocks):
        add(zeros, MIB)
    path = tmp_path / "x.cap"
    path.write_bytes(data.getvalue() + seek_table(sizes))
    with ntbdbg.open(path) as lab:
        assert lab["qemu1"].read(blocks * MIB - 8, 8) == bytes(8)


@ANY
@given(data=st.data())
def test_any_damage_to_a_packed_one(taken: Path, tmp_path: Path, data: st.DataObject) -> None:
    harmed = bytearray((taken / "packed.cap").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(harmed) - 1))
        harmed[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.cap"
    path.write_bytes(harmed)
    opens(path)
    if harmed != (taken / "packed.cap").read_bytes():
        list(_found(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@ANY
@given(data=st.data())
def test_any_manifest(taken: Path, tmp_path: Path, data: st.DataObject) -> None:
    """A good one with some value anywhere in it replaced by any other."""
    folder = tmp_path / "x.cap"
    if not folder.exists():
        shutil.copytree(taken / "lab.cap", folder)
    manifest = json.loads((taken / "lab.cap" / "run.json").read_bytes())
    place = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner
    (folder / "run.json").write_text(json.dumps(manifest))
    opens(folder)
    list(_found(folder))


@ANY
@given(data=st.binary(max_size=200))
def test_checksums_of_any_bytes(data: bytes) -> None:
    try:
        checksums.parse(data, "x")
    except FormatError as error:
        assert error.hint


def test_the_window_of_both_is_of_the_size_that_was_set(taken: Path) -> None:
    with ntbdbg.open(taken / "packed.cap") as lab:
        assert lab.read_link().window(0, 0).size == SIZE
        with pytest.raises(UsageError, match="a capture is never changed"):
            lab["qemu1"].write(0, b"x")
