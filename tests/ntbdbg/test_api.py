# SPDX-License-Identifier: MIT
"""The Python API does what docs/api.md says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ntbdbg
from tests.support.fakelab import FakeLab

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_of_the_documentation_runs(
    lab: FakeLab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.poke("qemu1", 0x2000, b"hello")
    example = (DOCS / "api.md").read_text().split("```python\n")[1].split("```")[0]
    exec(compile(example, "docs/api.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "('qemu1', 'qemu2') running",
        " ".join(["00"] * 16),
        "0x2000: b'hello'",
        "['qemu1', 'qemu2']",
        "0xa0000 is in the VGA hole [0xa0000, 0xc0000)",
    ]


def test_every_name_is_there_and_documented_names_exist() -> None:
    for name in ntbdbg.__all__:
        assert getattr(ntbdbg, name) is not None
    assert set(ntbdbg.__all__) <= set(dir(ntbdbg))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ntbdbg.nonsense  # noqa: B018


def test_importing_it_is_light() -> None:
    code = "import sys, ntbdbg; print(*sorted(m for m in sys.modules if m.startswith('ntbdbg')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ntbdbg\n"


def test_notes_are_told_and_kept(lab: FakeLab) -> None:
    told: list[str] = []
    opened = ntbdbg.open(notify=told.append)
    for _ in range(2):
        opened.guest(str(lab.ram_path("qemu1")))
    assert len(told) == 1
    assert opened.notes == told


def test_a_closed_lab_opens_its_guests_anew(lab: FakeLab) -> None:
    opened = ntbdbg.open()
    memory = opened["qemu1"].memory
    opened.close()
    with pytest.raises(ntbdbg.TargetError, match="is closed"):
        memory.read(0, 1)
    assert opened["qemu1"].read(0, 1) == b"\0"


def test_files_are_opened_whatever_labs_run(lab: FakeLab, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"\x53\xff\0\xf0".ljust(1 << 20, b"\0"))
    opened = ntbdbg.open_files(machine="pc")
    assert opened.manifest is None
    assert opened[str(path)].read(0, 4) == b"\x53\xff\0\xf0"
