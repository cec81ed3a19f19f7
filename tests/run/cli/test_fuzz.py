# SPDX-License-Identifier: MIT
"""`python3 run fuzz`: which QEMU it builds, and what it runs then."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from run.base.errors import RunError
from run.cli.commands import fuzz
from run.cli.main import main
from run.qemu import sanitize
from run.qemu.compile import Inputs


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the command asked for, with nothing built and nothing run."""
    seen = SimpleNamespace(code=0)

    def make(_steps, paths, request):
        seen.build, seen.request = paths.build, request

    def run(argv, **options):
        seen.argv, seen.options = argv, options
        return subprocess.CompletedProcess(argv, seen.code)

    monkeypatch.setattr(fuzz, "require", lambda *_, **__: None)
    monkeypatch.setattr(fuzz, "install_test_tools", lambda _: None)
    monkeypatch.setattr(fuzz, "make", make)
    monkeypatch.setattr(fuzz.subprocess, "run", run)
    return seen


def test_sanitizers_are_the_default_and_have_a_build_of_their_own(ran, tmp_path: Path) -> None:
    assert main(["fuzz", "--build-dir", str(tmp_path), "--seconds", "5", "--seed", "7"]) == 0
    assert ran.build == tmp_path / "sanitized"
    assert ran.request.sanitize
    assert ran.request.what == ["qemu"]
    assert ran.argv[1:] == ["-m", "tests.fuzz", "--seconds", "5", "--ntb", "idt", "--seed", "7"]
    assert ran.options["env"]["NTBDBG_BUILD_DIR"] == str(tmp_path / "sanitized")


def test_the_build_for_use(ran, tmp_path: Path) -> None:
    assert main(["fuzz", "--build-dir", str(tmp_path), "--no-asan", "--ntb=epf"]) == 0
    assert ran.build == tmp_path
    assert not ran.request.sanitize
    assert ran.argv[1:] == ["-m", "tests.fuzz", "--seconds", "60", "--ntb", "epf"]


def test_a_violation_is_a_failure(ran, tmp_path: Path) -> None:
    ran.code = 1
    assert main(["fuzz", "--build-dir", str(tmp_path)]) == 1


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--seed", "x"]])
def test_usage(ran, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *words]) == 2
    assert not hasattr(ran, "argv")


def test_sanitizers_change_the_key_and_share_the_tree(tmp_path: Path) -> None:
    source = SimpleNamespace(line="line", content="content", configure=())
    plain, checked = (Inputs(source, tmp_path, [], [], [], sanitize) for sanitize in (False, True))
    assert checked.key != plain.key
    assert checked.line == plain.line
    assert checked.configure == plain.configure


COMPILE = "cc -Ihere -MD -MQ hw_misc_idt-ntb-x.c.o -MF x.d -o lib.p/x.o -c ../hw/misc/idt-ntb-x.c"
OURS = ["hw/misc/idt-ntb-x.c"]
LINK = "cc -m64 -o qemu lib.p/x.o lib.p/other.o -lm"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A build folder with one file of ours and one of others."""
    folder = tmp_path / "tree"
    folder.mkdir()
    listed = [
        {"file": "../hw/misc/idt-ntb-x.c", "output": "lib.p/x.o", "command": COMPILE},
        {"file": "../hw/misc/edu.c", "output": "lib.p/other.o", "command": "cc edu.c"},
    ]
    (folder / "compile_commands.json").write_text(json.dumps(listed))
    return folder


class FakeStep:
    """Notes what would be run; the compiler's output is made, ninja's answer given."""

    def __init__(self, link: str) -> None:
        self.lines: list[list[str]] = []
        self._answer = json.dumps([{"output": "qemu", "command": link}])

    def run(self, argv, *, cwd=None):
        words = [str(word) for word in argv]
        if words[0] == "ninja":
            return f"ninja: Entering directory\n{self._answer}"
        self.lines.append(words)
        Path(words[words.index("-o") + 1]).write_text("")
        return ""


def test_only_the_device_is_compiled_anew(tree: Path, tmp_path: Path) -> None:
    step, target = FakeStep(LINK), tmp_path / "bin" / "qemu"
    sanitize.build(step, tree, OURS, "qemu", target, jobs=2)
    ours = str(tmp_path / "bin/sanitized-objects/x.o")
    source = ["-c", "../hw/misc/idt-ntb-x.c"]
    assert step.lines == [
        ["cc", *sanitize.FLAGS, "-Ihere", "-o", ours, *source],
        ["cc", *sanitize.FLAGS, "-m64", "-o", str(target), ours, "lib.p/other.o", "-lm"],
    ]
    assert [path.name for path in target.parent.iterdir()] == ["qemu"]


@pytest.mark.parametrize("link", ["cc -o qemu lib.p/other.o", "cc -o other lib.p/x.o"])
def test_a_tree_that_is_not_as_expected(tree: Path, tmp_path: Path, link: str) -> None:
    step = FakeStep(link)
    name = link.split()[2]
    program = "qemu" if name == "qemu" else "another"
    with pytest.raises(RunError, match=r"linked without lib\.p/x\.o|0 ways to link"):
        sanitize.build(step, tree, OURS, program, tmp_path / "q/x", 1)


@pytest.mark.parametrize("sources", [[], ["hw/misc/idt-ntb-x.c", "hw/ntb/another.c"]])
def test_a_source_that_is_not_compiled(tree: Path, tmp_path: Path, sources: list[str]) -> None:
    with pytest.raises(RunError, match=r"compiles nothing of (the device|hw/ntb/another\.c)"):
        sanitize.build(FakeStep(LINK), tree, sources, "qemu", tmp_path / "q/x", 1)
