# SPDX-License-Identifier: MIT
"""Developing QEMU under Yocto for real: devtool extracts it, bitbake applies our series to it.

The recipe's own tarball is not to be had without a network. Debian's source of QEMU 10.2 stands in
for it, without those of openembedded-core's patches that it has already.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import RunError
from run.qemu import overlay, wrynose
from run.steps.steps import Steps
from tests.run.yocto.yard import OFFLINE, Yard, lacking
from tests.support.checkout import OLD, PATCH, SUBJECT

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

RECIPE = "qemu-system-native"

#: what unpacking, patching and compiling it would want
NEEDS = (
    *("xz", "quilt", "bison", "meson", "ninja", "python3", "pkgconf", "dtc"),
    *("glib-2.0", "zlib", "pixman", "libslirp", "qemu"),
)

#: Debian's files in the stand-in are none of QEMU's
NOT_QEMU = ("--exclude=.pc", "--exclude=debian")

CONFIGURATION = """\
# Nothing is compiled, so that what the recipe wants for it need not be there; and to read the other
# recipes takes minutes.
ASSUME_PROVIDED += "{needs}"
BBMASK = "/recipes-(?!devtools/qemu/)"
PV:pn-{recipe} = "{version}"
SRC_URI:remove:pn-{recipe} = "https://download.qemu.org/${{BPN}}-${{PV}}.tar.xz {left_out}"
SRC_URI:append:pn-{recipe} = " https://download.qemu.org/{tarball};name=standin"
SRC_URI[standin.sha256sum] = "{sha256}"
"""


@pytest.fixture(scope="module")
def source() -> Path:
    """QEMU 10.2, as Debian has it; read only."""
    try:
        with (
            tempfile.TemporaryDirectory() as logs,
            wrynose.compilation(Steps(Path(logs)), Paths(), jobs=1) as there,
        ):
            if not there.has_source:
                pytest.skip("no source of QEMU 10.2 in the cache: 'python3 run test' fetches it")
            return there.fetch_source()
    except RunError as error:
        pytest.skip(f"no source of QEMU 10.2: {error}")


@pytest.fixture
def yard(source: Path) -> Iterator[Yard]:
    # pytest's own folders are for root's eyes alone
    root = Path(tempfile.mkdtemp(prefix="devtool-"))
    root.chmod(0o755)
    made = Yard(root)
    made.run("checkout", "kas.yml")
    stand_in(made, source)
    made.hand_over()
    yield made
    shutil.rmtree(root)


def stand_in(yard: Yard, source: Path) -> None:
    """Let the recipe unpack `source`; bitbake reads auto.conf besides what kas writes."""
    version = (source / "VERSION").read_text().strip()
    tarball = yard.root / "downloads" / f"qemu-{version}.tar"
    tarball.parent.mkdir()
    renamed = ("-C", source.parent, f"--transform=s,^{source.name},qemu-{version},", source.name)
    subprocess.run(["tar", "-c", "-f", tarball, *NOT_QEMU, *renamed], check=True)
    with tarball.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    left_out = [f"file://{name}" for name in not_fitting(yard, source)]
    conf = yard.layout.build / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "auto.conf").write_text(
        OFFLINE
        + CONFIGURATION.format(
            recipe=RECIPE,
            needs=" ".join(f"{name}-native" for name in NEEDS),
            version=version,
            left_out=" ".join(left_out),
            tarball=tarball.name,
            sha256=sha256,
        )
    )


def not_fitting(yard: Yard, source: Path) -> list[str]:
    """openembedded-core's patches that `source` has already, or that are for another version."""
    folder = yard.layout.work / "openembedded-core/meta/recipes-devtools/qemu"
    names = [
        word.removeprefix("file://")
        for word in (folder / "qemu.inc").read_text().split()
        if word.startswith("file://") and word.endswith(".patch")
    ]
    left_out = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            patch = folder / "qemu" / name
            for touched in overlay.touched(patch.read_text(errors="replace")):
                if (source / touched).is_file() and not (Path(scratch) / touched).exists():
                    (Path(scratch) / touched).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source / touched, Path(scratch) / touched)
            argv = ["patch", "-p1", "-F0", "-s", "-f", "-d", scratch, "-i", str(patch)]
            if subprocess.run([*argv, "--dry-run"], capture_output=True, check=False).returncode:
                left_out.append(name)
            else:
                subprocess.run(argv, check=True)
    assert len(left_out) < len(names) / 2, "some of theirs are to lie below ours"
    return left_out


def test_enter_edit_finish_and_enter_anew(yard: Yard) -> None:
    own = yard.checkout
    where = ("--image=yocto", "--build-dir", str(yard.root / "build"))
    said = own.run("enter_qemu_devenv", *where)
    assert "yocto/qemu-devenv" in said.splitlines()
    assert "up to date already" not in said
    tree = yard.layout.qemu_tree
    for name in overlay.named(own.root / "qemu_src", patches=False):
        assert (tree / name).read_bytes() == (own.root / "qemu_src" / name).read_bytes()
    theirs = own.git(tree, "log", "--format=%s", "devtool-base..refs/ntbdbg/base").splitlines()
    assert len(theirs) > 5, "openembedded-core's patches are below ours"
    before = own.ours()
    assert own.run("finish_qemu_devenv", *where).startswith("1 commit: patches and qemu_src say")
    assert own.ours() == before

    own.edit_trace(tree, "LOOPED")
    refused = own.run("enter_qemu_devenv", *where, expect=1)
    assert f"{SUBJECT}; 'python3 run finish_qemu_devenv --image=yocto' takes" in refused
    assert PATCH in own.run("finish_qemu_devenv", *where)
    after = own.ours()
    assert {name for name in after if after[name] != before.get(name)} == {
        "qemu_src/hw/ntb/trace-events",
        "yocto_files/meta-ntb/recipes-devtools/qemu/ntb-patches.inc",
        f"yocto_files/meta-ntb/recipes-devtools/qemu/qemu-system-native/{PATCH}",
    }

    shutil.rmtree(tree)
    own.run("enter_qemu_devenv", *where)
    assert own.git(tree, "log", "-1", "--format=%s").strip() == SUBJECT
    assert f"LOOPED {OLD}" in (tree / "hw/ntb/trace-events").read_text()
    assert own.run("finish_qemu_devenv", *where).startswith("2 commits: patches and qemu_src say")
    assert own.ours() == after
