# SPDX-License-Identifier: MIT
"""kas and bitbake themselves, on repositories at hand: checkout, parse, what a build would do.

A build proper needs the network and hours; this is everything before its first download.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from run.devenv.series import Series
from run.yocto.layout import IMAGE, TARGETS
from tests.run.yocto.yard import Yard, lacking

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    # pytest's own folders are for root's eyes alone
    root = Path(tempfile.mkdtemp(prefix="yocto-"))
    root.chmod(0o755)
    yield Yard(root)
    shutil.rmtree(root)


def test_a_checkout_that_was_killed_goes_on(yard: Yard) -> None:
    with subprocess.Popen(
        yard.argv("checkout", "kas.yml"),
        env=yard.environ,
        cwd=yard.root / "build",
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as kas:
        assert kas.stderr is not None
        for line in kas.stderr:
            if "loned" in line or "loning" in line:
                break
        os.killpg(kas.pid, signal.SIGKILL)
    yard.run("checkout", "kas.yml")
    for name in ("openembedded-core/meta", "bitbake/bin/bitbake"):
        assert (yard.layout.work / name).exists()


def test_kas_dumps_what_it_will_do(yard: Yard) -> None:
    said = yard.run("dump", "--resolve-refs", "kas.yml")
    assert "yocto_files/meta-ntb" in said
    assert len(re.findall(r"commit: [0-9a-f]{40}", said)) >= 2


def test_everything_parses(yard: Yard) -> None:
    said = yard.bitbake("bitbake -p")
    found = re.search(r"(\d+) targets, .* (\d+) errors", said)
    assert found, said
    assert int(found[1]) > 900
    assert found[2] == "0"


def test_qemu_has_the_patches(yard: Yard) -> None:
    said = yard.bitbake("bitbake -e qemu-system-native")
    assert 'PV="10.2.0"' in said
    (sources,) = re.findall(r'^SRC_URI="(.*)"$', said, re.MULTILINE)
    for name in Series().names():
        assert f"file://{name}" in sources
    assert re.search(r'^QEMU_TARGETS="x86_64"$', said, re.MULTILINE)
    assert "contrib/ivshmem-server/ivshmem-server" in said


def test_the_kernel_has_the_fragment(yard: Yard) -> None:
    said = yard.bitbake("bitbake -e linux-yocto")
    (sources,) = re.findall(r'^SRC_URI="(.*)"$', said, re.MULTILINE)
    assert "file://ntb.cfg" in sources
    assert "features/debug/debug-btf.scc" in said
    (types,) = re.findall(r'^KERNEL_IMAGETYPES="(.*)"$', said, re.MULTILINE)
    assert set(types.split()) == {"bzImage", "vmlinux"}


def test_the_image_lets_root_in_and_is_where_we_look(yard: Yard) -> None:
    said = yard.bitbake(f"bitbake -e {IMAGE}")

    def value(name: str) -> str:
        (found,) = re.findall(rf'^{name}="(.*)"$', said, re.MULTILINE)
        return found

    assert {"allow-empty-password", "empty-root-password", "allow-root-login"} <= set(
        value("IMAGE_FEATURES").split()
    )
    assert "ssh-server-openssh" in value("IMAGE_FEATURES")
    rootfs = f"{value('DEPLOY_DIR_IMAGE')}/{value('IMAGE_LINK_NAME')}.{value('IMAGE_FSTYPES')}"
    assert rootfs == str(yard.layout.rootfs)
    assert value("TMPDIR") == str(yard.layout.build / "tmp")


def test_a_dry_run_reaches_the_image(yard: Yard) -> None:
    said = yard.bitbake(f"bitbake -n {' '.join(TARGETS.values())}")
    assert "all succeeded" in said or "Tasks Summary" in said
    tasks = re.findall(r"Running task (\d+) of (\d+)", said)
    assert tasks, "the launcher shows its progress by these lines"
    assert tasks[-1][0] == tasks[-1][1]
