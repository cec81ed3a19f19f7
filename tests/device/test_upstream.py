# SPDX-License-Identifier: MIT
"""The device as a part of QEMU: its own test there, its style, no warning of the compiler."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from run.base.config import Paths, cache_dir
from run.base.errors import RunError
from run.make.prepare import default_jobs
from run.qemu import overlay, sanitize, wrynose
from run.steps.steps import StepError, Steps
from tests.device.qtest import Build

SOURCES = Path(__file__).parents[2] / "qemu_src"
DEVICE = overlay.device_sources(SOURCES)
CORE = [name for name in DEVICE if Path(name).name.startswith("ntb-")]
OURS = [path for path in SOURCES.rglob("*.[ch]") if path.is_file()]

#: __has_include is no architecture, but checkpatch.pl takes it for one
FALSE_ALARMS = {("ntb-compat.h", "architecture specific defines should be avoided")}


@pytest.mark.parametrize("name", ["idt-ntb-test", "ntb-epf-test"])
def test_qtest_of_the_device(build: Build, tmp_path: Path, name: str) -> None:
    """Those in tests/qtest, as `meson test` runs them."""
    beside, built = build.qemu.parent, Path("tests/qtest") / name
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
    assert passed == [f"/{test}" for test in declared]
    assert "warning" not in told  # an orderly end is no loss of the server


def source_tree() -> Path:
    """A QEMU source with a finished build in it, whatever overlay it was built with."""
    for commands in sorted((cache_dir() / "qemu-trees").glob("*/tree/build/compile_commands.json")):
        text = commands.read_text()
        if any(name in text for name in DEVICE) and "-fsanitize=address" not in text:
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
    root = tmp_path_factory.mktemp("staged")
    shutil.copytree(SOURCES / "hw", root / "hw")
    folder = root / "hw/ntb"
    tool = [sys.executable, str(source_tree() / "scripts/tracetool.py"), "--group=hw_ntb"]
    tool += ["--format=h", "--backends=log", str(folder / "trace-events"), str(folder / "trace.h")]
    subprocess.run(tool, check=True, timeout=60)
    return root


def compiled(name: str, staged: Path, output: str | Path) -> subprocess.CompletedProcess[str]:
    """Compile file `name` of ours with QEMU's own warnings, as errors.

    The tree may have been built with an overlay that has not this file yet: all are compiled alike.
    """
    build = source_tree() / "build"
    listed = (build / "compile_commands.json").read_text()
    like = next(known for known in (name, *DEVICE) if known in listed)
    (command,) = sanitize.commands(build, [like])
    words = shlex.split(command["command"])
    compiler = [word for word in words[: words.index("-o")] if not word.startswith("-M")]
    compiler = [w for w in compiler if not w.endswith((".o", ".o.d"))]
    ours = f"{SOURCES / 'include'}"  # in front of the tree's own, which may be older
    argv = [*compiler[:1], "-iquote", ours, *compiler[1:], "-Werror"]
    argv += ["-o", str(output), "-c", str(staged / name)]
    return subprocess.run(argv, cwd=build, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", DEVICE)
def test_compiles_without_a_warning(name: str, staged: Path) -> None:
    done = compiled(name, staged, os.devnull)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def symbols(staged: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Of each of our objects: the global symbols that it defines, and those that it wants."""
    found = {}
    for name in DEVICE:
        target = staged / f"{Path(name).stem}.o"
        assert compiled(name, staged, target).returncode == 0
        said = subprocess.run(["nm", "-g", target], capture_output=True, text=True, check=True)
        words = [line.split() for line in said.stdout.splitlines()]
        wanted = {word[-1] for word in words if word[-2] == "U"}
        found[name] = {word[-1] for word in words} - wanted, wanted
    return found


def test_calls_go_one_way(symbols: dict[str, tuple[set[str], set[str]]]) -> None:
    owner = {symbol: name for name, (defined, _) in symbols.items() for symbol in defined}
    graph = {
        name: {owner[symbol] for symbol in wanted if symbol in owner}
        for name, (_, wanted) in symbols.items()
    }
    assert graph["hw/ntb/ntb-life.c"]
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"calls in a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("name", CORE)
def test_the_core_calls_no_frontend(
    name: str, symbols: dict[str, tuple[set[str], set[str]]]
) -> None:
    frontends = ("idt_", "epf_", "pci_")
    assert not [symbol for symbol in symbols[name][1] if symbol.lower().startswith(frontends)]


def test_frontends_do_not_call_each_other(symbols: dict[str, tuple[set[str], set[str]]]) -> None:
    for name, (_, wanted) in symbols.items():
        for mine, other in (("idt-", "epf_"), ("epf-", "idt_"), ("pci-", ("idt_", "epf_"))):
            if Path(name).name.startswith(mine):
                assert not [symbol for symbol in wanted if symbol.startswith(other)], name


def test_all_of_the_device_is_sanitized(sanitized: Build) -> None:
    """The compiler gives each file that it instruments a constructor of its own."""
    said = subprocess.run(
        ["readelf", "--symbols", "--wide", sanitized.qemu],
        capture_output=True,
        text=True,
        check=True,
    )
    found, file = set(), ""
    for words in map(str.split, said.stdout.splitlines()):
        if len(words) > 7 and words[3] == "FILE":
            file = words[7]
        elif len(words) > 7 and words[7].startswith("_sub_I_00099"):
            found.add(file)
    assert sorted(found) == sorted(Path(name).name for name in DEVICE)


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
