# SPDX-License-Identifier: MIT
"""Both programs as ``pip install`` of a checkout makes them: a wheel in its own environment."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from run.base.config import CHECKOUT

#: what the launcher builds from
CARRIED = ("qemu_src", "yocto_files")

IMPORT_ALL = """
import importlib, pkgutil, ntbdbg, run
modules = [
    *pkgutil.walk_packages(ntbdbg.__path__, "ntbdbg."), *pkgutil.walk_packages(run.__path__, "run.")
]
for module in modules:
    if not module.name.endswith("__main__"):
        print(importlib.import_module(module.name).__file__)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("made")
    run(Path(sys.executable), "-m", "hatchling", "build", "-d", str(folder), folder=CHECKOUT)
    return folder


@pytest.fixture(scope="module")
def wheel(made: Path) -> Path:
    (wheel,) = made.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def source(made: Path) -> Path:
    (source,) = made.glob("*.tar.gz")
    return source


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its programs' folder. What it depends on is here already, and is not fetched again."""
    root = tmp_path_factory.mktemp("venv")
    venv.create(root, symlinks=True)
    (site,) = root.glob("lib/python*/site-packages")
    # Packages of our own environment, but not what is linked into it, as this checkout is.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(root)]
    pip += ["install", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root / "bin"


def files(name: str) -> set[str]:
    """Every file of a folder of the checkout that belongs to the project."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", name]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    found = done.stdout.split("\n") if done.returncode == 0 else ()
    walked = (p for p in (CHECKOUT / name).rglob("*") if p.is_file())
    names = [n for n in found if n] or [str(p.relative_to(CHECKOUT)) for p in walked]
    return {n for n in names if "__pycache__" not in n and (CHECKOUT / n).is_file()}


def test_the_wheel_has_both_programs_and_what_they_build_from(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top.split("-")[0] for top in tops} == {"ntbdbg", "run"}
    carried = {"run/carried/" + name for folder in CARRIED for name in files(folder)}
    assert files("ntbdbg") == {name for name in names if name.startswith("ntbdbg/")}
    assert files("run") | carried == {name for name in names if name.startswith("run/")}


def test_it_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"hello, world".ljust(1 << 20, b"\0"))
    shown = run(installed / "ntbdbg", "dump", "./ram", "0", "12", folder=tmp_path)
    assert shown == "00000000: 6865 6c6c 6f2c 2077 6f72 6c64            hello, world\n"
    shown = run(installed / "ntbdbg", "--version", folder=tmp_path)
    assert metadata.version("ntbdbg") in shown


def test_every_module_is_the_wheels_own(installed: Path, tmp_path: Path) -> None:
    places = run(installed / "python", "-c", IMPORT_ALL, folder=tmp_path).split()
    assert len(places) > 100
    assert all(Path(place).is_relative_to(installed.parent) for place in places)


def test_the_launcher_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = installed / "ntbdbg-run"
    assert "Usage: ntbdbg-run" in run(program, "--help", folder=tmp_path)
    assert run(program, "status", folder=tmp_path) == "no lab; 'ntbdbg-run vms' starts one\n"
    where = "import run.qemu.build, run.qemu.overlay as o; print(*o.named(run.qemu.build.OVERLAY))"
    names = run(installed / "python", "-c", where, folder=tmp_path).split()
    assert "hw/ntb/idt-ntb-pci.c" in names


def test_what_needs_a_checkout_says_so(installed: Path, tmp_path: Path) -> None:
    argv = [str(installed / "ntbdbg-run"), "test"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "run: test works in a checkout, this launcher was installed; clone the project, and"
        " use the launcher that it has\n"
    )


def run(program: Path, *words: str, folder: Path) -> str:
    ours = ("PYTHONPATH", "NTBDBG_FROM", "NTBDBG_LAB")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    argv = [str(program), *words]
    done = subprocess.run(argv, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
