# SPDX-License-Identifier: MIT
"""``--annotate``: what lines hold, behind them; golden, and back through ``xxd -r``."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.fakekernel import FakeGuest
from tests.support.fakelab import FakeLab
from tests.support.fakepages import FakePages
from tests.support.linuxlab import JIFFIES, LinuxLab, page_with_window

MIB = 1 << 20
SLAB = 12 * MIB
WINDOW = 10 * MIB


def furnish(_: str, guest: FakeGuest) -> None:
    pages = FakePages(guest)
    pages.slab(SLAB, b"kmalloc-64")
    pages.typed(SLAB + 0x1000, "BUDDY")
    pages.set(WINDOW, _refcount=1)
    guest.space.poke(SLAB + 0xFF0, b"the end of a slab, then a free page")
    guest.space.poke(WINDOW - 16, b"not in a window.in window 0, yes")
    for name in ("first", "second", "third", "fourth"):
        guest.data(f"small_{name}", name[:4].encode(), align=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinuxLab]:
    """qemu1's window 0 reaches 64 KiB of qemu2."""
    root = tmp_path_factory.mktemp("linux")
    with LinuxLab(root, page=page_with_window(WINDOW, 0x10000), furnish=furnish) as fake:
        yield fake


def shown(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stderr
    return done.stdout


def test_owners_of_pages(lab: LinuxLab, ntbdbg: Run) -> None:
    assert (
        shown(ntbdbg("dump", "qemu1", hex(SLAB + 0xFF0), "35", "--annotate"))
        == """\
00c00ff0: 7468 6520 656e 6420 6f66 2061 2073 6c61  the end of a sla  slab kmalloc-64
00c01000: 622c 2074 6865 6e20 6120 6672 6565 2070  b, then a free p  free
00c01010: 6167 65                                  age               free
"""
    )


def test_windows(lab: LinuxLab, ntbdbg: Run) -> None:
    assert (
        shown(ntbdbg("dump", "qemu2", hex(WINDOW - 16), "32", "--annotate"))
        == """\
009ffff0: 6e6f 7420 696e 2061 2077 696e 646f 772e  not in a window.
00a00000: 696e 2077 696e 646f 7720 302c 2079 6573  in window 0, yes  allocated  qemu1:mw0
"""
    )
    line = shown(ntbdbg("dump", "qemu1", "mw0+0x40", "8", "--annotate"))
    assert line.endswith("  ........          allocated  qemu1:mw0+0x40\n")


def test_symbols_by_virtual_and_by_physical_address(lab: LinuxLab, ntbdbg: Run) -> None:
    for address in ("jiffies_64", hex(lab.physical("qemu1", "jiffies_64"))):
        line = shown(ntbdbg("dump", "qemu1", address, "8", "--annotate"))
        assert line.endswith("  jiffies_64\n")
    line = shown(ntbdbg("dump", "qemu1", "jiffies_64+4", "4", "--annotate"))
    assert line.endswith("  jiffies_64+0x4\n")
    per_cpu = shown(ntbdbg("dump", "qemu1", "cpu_number@1", "4", "--annotate"))
    assert per_cpu.endswith("  cpu_number@1\n")


def test_several_symbols_on_a_line(lab: LinuxLab, ntbdbg: Run) -> None:
    line = shown(ntbdbg("dump", "qemu1", "small_first", "16", "--annotate"))
    assert line.endswith("  firssecothirfour  small_first, small_second, small_third, …\n")


def to_zero(text: str) -> str:
    """A dump as if it started at 0: xxd would write zeros up to a virtual address."""
    base = int(text[:16], 16)
    return re.sub(r"(?m)^[0-9a-f]{16}", lambda match: f"{int(match[0], 16) - base:08x}", text)


def test_what_is_annotated_can_still_be_read_back(lab: LinuxLab, ntbdbg: Run) -> None:
    for options in ([], ["-c", "7"], ["-g", "1"], ["--no-squeeze"]):
        words = ["dump", "qemu1", "init_uts_ns", "--annotate", *options]
        text = shown(ntbdbg(*words))
        columns = options[1] if "-c" in options else "16"
        back = subprocess.run(
            ["xxd", "-r", "-c", columns],
            input=to_zero(text).encode(),
            capture_output=True,
            check=True,
            timeout=20,
        )
        raw = ntbdbg("dump", "qemu1", "init_uts_ns", "--format", "raw", binary=True).stdout
        assert back.stdout == raw


def test_colour_is_kept(lab: LinuxLab, ntbdbg: Run) -> None:
    line = shown(ntbdbg("dump", "qemu1", "jiffies_64", "8", "--annotate", "--color", "always"))
    assert line.endswith("\x1b[0m          jiffies_64\n")


def test_json(lab: LinuxLab, ntbdbg: Run) -> None:
    words = ["dump", "qemu2", hex(WINDOW - 16), "32", "--json"]
    assert "labels" not in json.loads(shown(ntbdbg(*words)))
    assert json.loads(shown(ntbdbg(*words, "--annotate")))["labels"] == [
        {
            "address": WINDOW,
            "size": 16,
            "symbol": None,
            "offset": None,
            "owner": "allocated",
            "windows": [{"window": "qemu1:mw0", "offset": 0}],
        }
    ]
    found = json.loads(shown(ntbdbg("dump", "qemu1", "jiffies_64+4", "12", "--json", "--annotate")))
    assert [(label["symbol"], label["offset"], label["size"]) for label in found["labels"]] == [
        ("jiffies_64", 4, 4),
        ("huge_table", 0, 8),
    ]


def test_diff(lab: LinuxLab, ntbdbg: Run) -> None:
    text = shown(ntbdbg("diff", "qemu1", "qemu2", "init_uts_ns_copy", "--annotate"), 1)
    assert text.splitlines()[1].endswith("  init_uts_ns_copy+0x40")
    words = ["diff", f"qemu1:{SLAB + 0xFF0:#x}", f"qemu2:{WINDOW - 16:#x}", "-l", "16"]
    line = shown(ntbdbg(*words, "--annotate"), 1).splitlines()[1]
    assert line.endswith("  slab kmalloc-64")
    words[2:] = [f"qemu2:{WINDOW:#x}", "-l", "16"]
    line = shown(ntbdbg(*words, "--annotate"), 1).splitlines()[1]
    assert line.endswith("  slab kmalloc-64 | allocated  qemu1:mw0")
    run = json.loads(shown(ntbdbg(*words, "--annotate", "--json"), 1).splitlines()[0])
    assert [label["owner"] for label in run["a_labels"]] == ["slab kmalloc-64"]
    assert run["b_labels"][0]["windows"] == [{"window": "qemu1:mw0", "offset": 0}]


def test_diff_with_a_file_labels_the_guests_side(
    lab: LinuxLab, ntbdbg: Run, tmp_path: Path
) -> None:
    (tmp_path / "bytes").write_bytes(bytes(8))
    words = ["diff", str(tmp_path / "bytes"), "qemu1:jiffies_64", "--annotate"]
    assert shown(ntbdbg(*words), 1).splitlines()[1].endswith("  jiffies_64")


def test_a_guest_without_a_kernel_still_has_windows(
    tmp_path: Path, lab: LinuxLab, ntbdbg: Run
) -> None:
    with FakeLab(tmp_path) as empty:
        empty.poke("qemu1", 0x1000, b"x")
        done = ntbdbg("dump", "qemu1", "0x1000", "1", "--annotate", env=empty.environ)
    assert shown(done).endswith("  x\n")
    assert "note: labels go without the kernel: qemu1: no Linux kernel" in done.stderr


def on_a_terminal(*words: str) -> str:
    """What a person sees of a command's stdout."""
    parent, child = pty.openpty()
    argv = [sys.executable, "-m", "ntbdbg", *words, "--color", "never"]
    with subprocess.Popen(argv, stdout=child, stderr=subprocess.DEVNULL) as process:
        os.close(child)
        text = b""
        try:
            while chunk := os.read(parent, 4096):
                text += chunk
        except OSError:  # the other end is closed
            pass
        assert process.wait(60) == 0
    os.close(parent)
    return text.decode().replace("\r\n", "\n")


def test_a_symbol_on_a_terminal_is_labelled_unasked(lab: LinuxLab) -> None:
    assert on_a_terminal("dump", "qemu1", "jiffies_64").endswith("  jiffies_64\n")
    plain = on_a_terminal("dump", "qemu1", "jiffies_64", "--no-annotate")
    assert plain.endswith("  4.......\n")
    address = hex(lab.linux["qemu1"].symbols["jiffies_64"])
    assert on_a_terminal("dump", "qemu1", address, "8").endswith("  4.......\n")
    assert JIFFIES.to_bytes(8, "little").startswith(b"4")
