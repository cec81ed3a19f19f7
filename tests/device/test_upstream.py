# SPDX-License-Identifier: MIT
"""The device as a part of QEMU: its own test there, its style, no warning of the compiler."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from run.builds import default_jobs
from run.config import Paths, cache_dir
from run.errors import RunError
from run.qemu import wrynose
from run.steps import StepError, Steps
from tests.device.qtest import Build

SOURCES = Path(__file__).parents[2] / "qemu_src"
DEVICE = sorted((SOURCES / "hw/misc").glob("idt-ntb-*.c"))
OURS = [path for path in SOURCES.rglob("*.[ch]") if path.is_file()]

#: __has_include is no architecture, but checkpatch.pl takes it for one
FALSE_ALARMS = {("idt-ntb-compat.h", "architecture specific defines should be avoided")}


def test_qtest_of_the_device(build: Build, tmp_path: Path) -> None:
    """tests/qtest/idt-ntb-test, as `meson test` runs it."""
    beside, built = build.qemu.parent, Path("tests/qtest/idt-ntb-test")
    program = next(p for p in (beside / built.name, beside / built) if p.exists())
    firmware = "".join(f" -L {shlex.quote(str(folder))}" for folder in build.firmware)
    environment = {**os.environ, "QTEST_QEMU_BINARY": shlex.quote(str(build.qemu)) + firmware}
    done = subprocess.run(
        [program, "--tap", "-k"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    passed = re.findall(r"^ok \d+ (\S+)", done.stdout, re.MULTILINE)
    declared = re.findall(r'ADD\("(\S+)"', (SOURCES / f"{built}.c").read_text())
    assert passed == [f"/{name}" for name in declared]
    assert "warning" not in told  # an orderly end is no loss of the server


def source_tree() -> Path:
    """A QEMU source with a finished build in it, whatever overlay it was built with."""
    for commands in sorted((cache_dir() / "qemu-trees").glob("*/tree/build/compile_commands.json")):
        text = commands.read_text()
        if "hw/misc/idt-ntb-irq.c" in text and "-fsanitize=address" not in text:
            return commands.parents[1]
    pytest.fail("no compiled QEMU source in the cache: python3 run build qemu --force")


def complaints(root: Path, path: Path) -> list[str]:
    """What QEMU's scripts/checkpatch.pl says of a file, without the script's own mistakes."""
    script = source_tree() / "scripts/checkpatch.pl"
    done = subprocess.run(
        ["perl", str(script), "--no-tree", "--terse", "-f", str(path.relative_to(root))],
        cwd=root,  # below tests/ it is less strict
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr
    found = re.findall(r"^\S+:(\d+: \w+: (.*))$", done.stdout, re.MULTILINE)
    return [text for text, what in found if (path.name, what) not in FALSE_ALARMS]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_style(path: Path) -> None:
    assert complaints(SOURCES, path) == []


def test_style_is_looked_at(tmp_path: Path) -> None:
    bad = tmp_path / "bad.c"
    bad.write_text("int f(int a)\n{\n\tif (a) return 1;\n    return 0;\n}\n")
    assert any("tab" in text for text in complaints(tmp_path, bad))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our files, and the trace header that belongs to them."""
    folder = tmp_path_factory.mktemp("staged") / "hw/misc"
    folder.mkdir(parents=True)
    for path in (SOURCES / "hw/misc").iterdir():
        shutil.copy(path, folder)
    patch = (SOURCES / "patches/0003-hw-misc-trace-events.patch").read_text()
    events = folder / "trace-events"
    events.write_text("\n".join(re.findall(r"^\+(idt_ntb_.*)", patch, re.MULTILINE)) + "\n")
    tool = [sys.executable, str(source_tree() / "scripts/tracetool.py"), "--group=hw_misc"]
    tool += ["--format=h", "--backends=log", str(events), str(folder / "trace.h")]
    subprocess.run(tool, check=True, timeout=60)
    return folder


@pytest.mark.parametrize("path", DEVICE, ids=lambda path: path.name)
def test_compiles_without_a_warning(path: Path, staged: Path) -> None:
    """With QEMU's own warnings, as errors."""
    build = source_tree() / "build"
    commands = json.loads((build / "compile_commands.json").read_text())
    (like,) = [c for c in commands if c["file"].endswith("hw/misc/idt-ntb-irq.c")]
    words = shlex.split(like["command"])
    at = words.index("-o")
    compiler = [word for word in words[:at] if not word.startswith(("-MQ", "-MF", "-MD"))]
    compiler = [w for w in compiler if not w.endswith(".o") and not w.endswith(".o.d")]
    argv = [*compiler[:1], f"-I{SOURCES / 'include'}", *compiler[1:], "-Werror"]
    argv += ["-o", os.devnull, "-c", str(staged / path.name)]
    done = subprocess.run(argv, cwd=build, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_compiles_against_qemu_10_2(tmp_path: Path) -> None:
    """The one of Yocto's next release."""
    steps = Steps(tmp_path)
    try:
        with wrynose.compilation(steps, Paths(), jobs=default_jobs()) as there:
            if not there.has_source:
                pytest.skip("no source of QEMU 10.2 in the cache: 'python3 run test' fetches it")
            there.compile_device()
    except StepError:
        raise
    except RunError as error:
        pytest.skip(f"no source of QEMU 10.2: {error}")
