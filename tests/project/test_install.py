# SPDX-License-Identifier: MIT
"""The toolkit alone, as ``pip install`` of a checkout makes it: a wheel in its own environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

import ntbdbg
from run.base.config import CHECKOUT

IMPORT_ALL = """
import importlib, pkgutil, ntbdbg
for module in pkgutil.walk_packages(ntbdbg.__path__, "ntbdbg."):
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


def test_the_wheel_has_the_toolkit_and_nothing_of_the_launcher(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top.split("-")[0] for top in tops} == {"ntbdbg"}
    ours = {str(p.relative_to(CHECKOUT)) for p in (CHECKOUT / "ntbdbg").rglob("*") if p.is_file()}
    assert {name for name in ours if "__pycache__" not in name} == {
        name for name in names if name.startswith("ntbdbg/")
    }


def test_wheel_and_source_are_fit_for_an_index(wheel: Path, source: Path, tmp_path: Path) -> None:
    words = ["-m", "twine", "check", "--strict", str(wheel), str(source)]
    said = run(Path(sys.executable), *words, folder=tmp_path)
    assert said.count("PASSED") == 2
    run(Path(sys.executable), "-m", "check_wheel_contents", str(wheel), folder=tmp_path)


def test_a_wheel_comes_from_the_source_alone(wheel: Path, source: Path, tmp_path: Path) -> None:
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    words = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    run(Path(sys.executable), *words, folder=folder)
    (again,) = (tmp_path / "again").iterdir()
    assert again.name == wheel.name
    assert sorted(ZipFile(again).namelist()) == sorted(ZipFile(wheel).namelist())


def test_the_version_is_that_of_the_newest_entry_in_the_changelog(wheel: Path) -> None:
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings.index(released[0]) <= 1, "what is not released comes first"
    versions = [re.fullmatch(r"(\d+\.\d+\.\d+), (\d{4}-\d\d-\d\d)", one) for one in released]
    assert all(versions), released
    assert [ntbdbg.__version__] == [match[1] for match in versions[:1] if match]
    assert f"-{ntbdbg.__version__}-" in wheel.name


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


def run(program: Path, *words: str, folder: Path) -> str:
    ours = ("PYTHONPATH", "NTBDBG_FROM", "NTBDBG_LAB")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    argv = [str(program), *words]
    done = subprocess.run(argv, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
