# SPDX-License-Identifier: MIT
"""A compiler that is not installed: what of a suite it is made of, and how it is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from run.base.errors import RunError
from run.debian.apt import Apt, Package
from run.guest import toolchain
from run.guest.packages import KernelPackages
from run.guest.toolchain import Toolchain, closure, find_toolchain, make_runnable
from tests.run.guest.test_packages import Archive

DEPENDS = {
    "gcc-14": "gcc-14-x86-64-linux-gnu (= 14.2), gcc-14-base (= 14.2), cpp-14, binutils (>= 2.39)",
    "gcc-14-x86-64-linux-gnu": "libc6 (>= 2.38), libgcc-14-dev (= 14.2), libgmp10, libcc1-0",
    "cpp-14": "libc6, zlib1g:any (>= 1.1) | other",
    "binutils": "binutils-common, libbinutils (= 2.44), debconf",
    "libbinutils": "libc6",
    "pahole": "libdw1t64, libc6",
    "libdw1t64": "libc6",
    "libgmp10": "libc6",
    "zlib1g": "libc6",
    "libc6": "libgcc-s1, libgcc-14-dev",
    "libgcc-s1": "gcc-14-base, libc6",
}


@pytest.fixture
def apt() -> Apt:
    return cast(Apt, Archive({(name, "1"): words for name, words in DEPENDS.items()}))


def _kernel(headers: str, kbuild: str) -> KernelPackages:
    packages = [Package(f"x-{n}", "1", "sha", words) for n, words in enumerate((headers, kbuild))]
    other = Package("other", "1", "sha")
    return KernelPackages("amd64", "6.12", [other], packages[0], other, packages[1], other)


def test_what_it_needs_to_run_is_had_and_no_more(apt: Apt) -> None:
    """No documentation, no headers, no other languages: of those the archive here has none."""
    found = [package.name for package in closure(apt, ["gcc-14", "binutils", "pahole"])]
    assert found == sorted(DEPENDS)


@pytest.mark.parametrize(
    ("has", "libc", "kbuild", "unpacked"),
    [
        (True, (2, 41), "libc6 (>= 2.38), x", False),
        (True, (2, 36), "libc6 (>= 2.38), x", True),
        (False, (2, 41), "libc6 (>= 2.38)", True),
        (True, (2, 36), "libc6 (>= 2.9)", False),
        (True, (0,), "libc6 (>= 2.9)", True),
        (True, (2, 36), "", False),
    ],
)
def test_the_hosts_own_where_it_will_do(
    apt: Apt,
    monkeypatch: pytest.MonkeyPatch,
    has: bool,
    libc: tuple[int, ...],
    kbuild: str,
    unpacked: bool,
) -> None:
    monkeypatch.setattr(toolchain, "host_libc", lambda: libc)
    asked = []
    monkeypatch.setattr(shutil, "which", lambda name, path: asked.append(name) or (has or None))
    found = find_toolchain(_kernel("linux-x, gcc-14-for-host", kbuild), apt)
    assert (found.compiler, bool(found.packages)) == ("gcc-14", unpacked)
    assert set(asked) <= {"gcc-14"}


def test_headers_that_name_no_compiler_are_said(apt: Apt) -> None:
    with pytest.raises(RunError, match="x-0 names no compiler"):
        find_toolchain(_kernel("linux-x", ""), apt)


def test_nothing_is_unpacked_where_the_host_has_it(tmp_path: Path) -> None:
    from run.steps.steps import Step

    step = Step("unpack", tmp_path / "log", None, 0)
    assert Toolchain("gcc-12").unpack(step, {}, tmp_path / "root") == {}
    assert not (tmp_path / "root").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A suite's files: the host's own loader, libraries and a program."""
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not loader.exists():
        pytest.skip("not x86-64 with glibc")
    made = tmp_path / "suite"
    for folder in ("lib64", "lib", "bin"):
        (made / "usr" / folder).mkdir(parents=True)
    shutil.copy(loader, made / "usr/lib64")
    (made / "usr/lib/x86_64-linux-gnu").symlink_to("/usr/lib/x86_64-linux-gnu")
    shutil.copy("/bin/cat", made / "usr/bin/cat")
    (made / "usr/bin/a-script").write_text("#!/bin/sh\necho it\n")
    (made / "usr/bin/a-script").chmod(0o755)
    (made / "usr/bin/kitty").symlink_to("cat")
    return made


def _said(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_programs_for_a_newer_library_are_started_by_their_own_loader(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "host_libc", lambda: (2, 0))
    make_runnable(root, root)
    assert (root / "usr/bin/cat").read_bytes().startswith(b"#!/bin/sh\n")
    assert (root / "usr/bin/a-script").read_text() == "#!/bin/sh\necho it\n"
    moved = root.rename(root.with_name("a place with blanks"))
    text = "here and there\n"
    (moved / "text").write_text(text)
    for name in ("cat", "kitty"):
        assert _said(moved / "usr/bin" / name, moved / "text") == text
        path = f"{moved / 'usr/bin'}{os.pathsep}{os.environ['PATH']}"
        assert _said("env", f"PATH={path}", "sh", "-c", f'{name} "{moved}/text"') == text


def test_programs_elsewhere_are_started_by_that_loader_too(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "host_libc", lambda: (2, 0))
    kbuild = tmp_path / "kbuild"
    kbuild.mkdir()
    shutil.copy("/bin/cat", kbuild / "modpost")
    make_runnable(kbuild, root)
    (tmp_path / "text").write_text("symbols\n")
    assert _said(kbuild / "modpost", tmp_path / "text") == "symbols\n"
    assert str(root) in (kbuild / "modpost").read_text()


def test_programs_that_the_host_can_run_stay_as_they_are(root: Path) -> None:
    before = (root / "usr/bin/cat").read_bytes()
    make_runnable(root, root)
    assert (root / "usr/bin/cat").read_bytes() == before


def test_the_hosts_library_is_known() -> None:
    wanted = os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else None
    if wanted:
        assert wanted == "glibc " + ".".join(map(str, toolchain.host_libc()))
