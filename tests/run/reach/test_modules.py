# SPDX-License-Identifier: MIT
"""Modules into a guest, with a shell of this host in the guest's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.errors import RunError, UsageError
from run.reach import modules
from run.reach.modules import Module

MAGIC = b"\x7fELF" + bytes(60) + b"\0name=%s\0vermagic=%s SMP preempt mod_unload \0%s\0"


def module(folder: Path, name: str = "mine", release: str = "6.1.0-1", calls: bytes = b"") -> Path:
    path = folder / f"{name}.ko"
    path.write_bytes(MAGIC % (name.encode(), release.encode(), calls))
    return path


def test_what_a_module_says_of_itself(tmp_path: Path) -> None:
    path = module(tmp_path)
    assert Module.read(path) == Module(path, "mine", "6.1.0-1", False)
    client = module(tmp_path, "client", calls=b"__ntb_register_client")
    assert Module.read(client).is_client


@pytest.mark.parametrize("content", [b"", b"text", MAGIC % (b"a", b"", b""), b"\x7fELF" * 9])
def test_what_is_no_module(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ko"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is no kernel module; give NAME\.ko"):
        Module.read(path)


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.ko: No such file or directory; .*module build"):
        Module.read(tmp_path / "none.ko")


def test_a_module_for_another_kernel(tmp_path: Path) -> None:
    mine = Module.read(module(tmp_path))
    mine.check("6.1.0-1", "qemu1")
    mine.check(None, "qemu1")
    with pytest.raises(RunError, match=r"is for Linux 6\.1\.0-1, qemu1 has 6\.12\.0; .*builds it"):
        mine.check("6.12.0", "qemu1")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the guest does: a shell that says so, and fails."""
    lines = ["true"]

    def argv(port: int, command: list[str]) -> list[str]:
        return ["sh", "-c", f"cat > /dev/null; {lines[0]}"]

    monkeypatch.setattr(modules.ssh, "argv", argv)
    return lines


def test_clients_that_gave_way_are_told(tmp_path: Path, said: list[str]) -> None:
    mine = Module.read(module(tmp_path))
    said[0] = "echo ntb_pingpong"
    assert modules.load(7001, mine, ["debug=1"], "qemu1") == ["ntb_pingpong"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "qemu1: mine is loaded already; 'python3 run module reload' takes it out first"),
        (
            "echo insmod: cannot >&2; echo mine: unknown parameter >&2; exit 1",
            "qemu1: mine.ko: insmod: cannot / mine: unknown parameter; the guest's 'dmesg' may",
        ),
        ("exit 255", "qemu1: mine.ko: exit code 255"),
    ],
)
def test_what_the_kernel_refuses(tmp_path: Path, said: list[str], script: str, told: str) -> None:
    said[0] = script
    with pytest.raises(RunError) as caught:
        modules.load(7001, Module.read(module(tmp_path)), [], "qemu1")
    assert str(caught.value).startswith(told)


def test_unloading_what_is_not_there(said: list[str]) -> None:
    said[0] = "echo mine is not loaded >&2; exit 3"
    assert not modules.unload(7001, "mine", "qemu1", missing_ok=True)
    with pytest.raises(RunError, match="qemu1: mine is not loaded"):
        modules.unload(7001, "mine", "qemu1")
