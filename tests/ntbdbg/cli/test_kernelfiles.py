# SPDX-License-Identifier: MIT
"""Exports that hold no memory, but what a kernel tells of itself."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.debugfiles import gdb
from tests.support.fakekernel import BANNER, FakeGuest
from tests.support.faketasks import FakeTasks


@pytest.fixture(autouse=True)
def _without_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def ram(tmp_path: Path) -> Path:
    """A guest with tasks, as a bare RAM file."""
    guest = FakeGuest()
    FakeTasks(guest)
    guest.save(tmp_path / "guest.ram")
    return tmp_path / "guest.ram"


OPENERS: dict[str, Callable[[bytes], bytes]] = {
    "json": bytes,
    "json.xz": lzma.decompress,
    "json.gz": gzip.decompress,
}


@pytest.mark.parametrize("suffix", OPENERS)
def test_isf_has_symbols_and_types(ntbdbg: Run, ram: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"kernel.{suffix}"
    done = ntbdbg("export", ram, "--format", "isf", "-o", path, "--json")
    assert done.returncode == 0, done.stderr
    facts, content = json.loads(done.stdout), json.loads(OPENERS[suffix](path.read_bytes()))
    assert (facts["format"], facts["size"]) == ("isf", path.stat().st_size)
    assert facts["symbols"] == len(content["symbols"]) > 10
    assert facts["types"] == len(content["user_types"]) + len(content["enums"]) > 10
    task = content["symbols"]["init_task"]
    assert task["type"] == {"kind": "struct", "name": "task_struct"}
    assert task["address"] >> 24 == 0xFFFF_FFFF_81, "where it was linked, whatever KASLR did"
    assert "comm" in content["user_types"]["task_struct"]["fields"]
    assert content["metadata"]["producer"]["name"] == "ntbdbg"


def test_it_is_told_in_a_line(ntbdbg: Run, ram: Path, tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    done = ntbdbg("export", ram, "--format", "isf", "-o", path)
    assert done.stdout.startswith(f"{path}: ")
    assert " symbols, " in done.stdout
    again = ntbdbg("export", ram, "--format", "isf", "-o", path)
    assert again.returncode == 2, "it is there already"


def test_it_goes_through_a_pipe(ntbdbg: Run, ram: Path) -> None:
    done = ntbdbg("export", ram, "--format", "isf", "-o", "-")
    assert json.loads(done.stdout)["symbols"]["linux_banner"]["constant_data"]
    assert "note: -: " in done.stderr


def test_the_banner_is_what_memory_has(ntbdbg: Run, ram: Path, tmp_path: Path) -> None:
    import base64

    path = tmp_path / "kernel.json"
    ntbdbg("export", ram, "--format", "isf", "-o", path)
    banner = json.loads(path.read_bytes())["symbols"]["linux_banner"]["constant_data"]
    assert base64.b64decode(banner).decode() == BANNER.format("6.1.0-56-amd64") + "\0"


def test_a_kernel_without_types_has_none_to_tell(ntbdbg: Run, tmp_path: Path) -> None:
    FakeGuest(btf=False).save(tmp_path / "old.ram")
    done = ntbdbg("export", tmp_path / "old.ram", "--format", "isf", "-o", tmp_path / "x")
    assert done.returncode == 5
    assert "carries no types (no __start_BTF)" in done.stderr
    assert not (tmp_path / "x").exists()


def test_compress_is_for_kdump(ntbdbg: Run, ram: Path, tmp_path: Path) -> None:
    words = ["--format", "isf", "-o", tmp_path / "x", "--compress", "zstd"]
    done = ntbdbg("export", ram, *words)
    assert done.returncode == 2
    assert "is for kdump" in done.stderr


def test_vmlinux_is_an_elf_file_of_this_boot(ntbdbg: Run, ram: Path, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    done = ntbdbg("export", ram, "--format", "vmlinux", "-o", path, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["format"], facts["size"]) == ("vmlinux", path.stat().st_size)
    assert facts["modules"] == []
    assert any("without frames" in note for note in facts["notes"]), "this guest has no ORC"
    assert "without frames" in done.stderr
    shown = gdb("p sizeof(struct list_head)", "info address init_task", files=(path,))
    assert shown.startswith("$1 = 16\n")
    assert "0xffffffff9d" in shown, "KASLR moved it there"


def test_linked_is_for_vmlinux(ntbdbg: Run, ram: Path, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    done = ntbdbg("export", ram, "--format", "vmlinux", "--linked", "-o", path)
    assert done.returncode == 0, done.stderr
    assert "0xffffffff81" in gdb("info address init_task", files=(path,))
    refused = ntbdbg("export", ram, "--format", "isf", "--linked", "-o", tmp_path / "x")
    assert refused.returncode == 2
    assert "--linked is for vmlinux, not isf" in refused.stderr
