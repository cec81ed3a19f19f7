# SPDX-License-Identifier: MIT
"""The Python API does what docs/api.md says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ntbdbg
from tests.support.fakelab import FakeLab
from tests.support.fakelinux import furnish
from tests.support.linuxlab import LinuxLab

GUIDE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = [part.split("```")[0] for part in GUIDE.split("```python\n")[1:]]


def run_example(number: int) -> None:
    exec(compile(EXAMPLES[number], f"docs/api.md, example {number}", "exec"), {})


def test_the_first_example_runs(lab: FakeLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.poke("qemu1", 0x2000, b"hello")
    run_example(0)
    assert capsys.readouterr().out.splitlines() == [
        "('qemu1', 'qemu2') running",
        " ".join(["00"] * 16),
        "0x2000: b'hello'",
        "['qemu1', 'qemu2']",
        "0xa0000 is in the VGA hole [0xa0000, 0xc0000)",
    ]


def test_the_example_of_the_linux_inside_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LinuxLab(tmp_path / "run", furnish=furnish) as made:
        made.monkeypatch(monkeypatch)
        run_example(1)
    assert capsys.readouterr().out.splitlines() == [
        "qemu1",
        "Linux version 6.1.0-56-amd64",
        "['init', 'ba\\x1bsh']",
        "['ntb_hw_idt', 'ntb']",
        "['0000:00:00.0', '0000:00:02.0']",
        "qemu1",
        "0x0",
        *("qemu1 warned", "qemu2 warned", "qemu1 fine", "qemu2 fine", "link fine"),
    ]


def test_all_examples_are_run_and_import_nothing_else() -> None:
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.Import):
                assert [alias.name for alias in node.names] == ["ntbdbg"]
            assert not isinstance(node, ast.ImportFrom)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ntbdbg":
                assert node.attr in ntbdbg.__all__


def test_every_name_is_there_and_told() -> None:
    for name in ntbdbg.__all__:
        assert getattr(ntbdbg, name) is not None
        assert re.search(rf"\b{name}\b", GUIDE), f"docs/api.md does not tell of {name}"
    assert set(ntbdbg.__all__) <= set(dir(ntbdbg))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ntbdbg.nonsense  # noqa: B018


def test_type_checkers_see_the_names_that_are_there() -> None:
    tree = ast.parse(Path(ntbdbg.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names if alias.asname}
    assert seen == ntbdbg._HOMES


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
