# SPDX-License-Identifier: MIT
"""Words for a kernel: what they mean, where its guest is put, and which mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import UsageError
from run.guest.choice import DebianKernel, OwnKernel, parse_kernel

PATHS = Paths(Path("/b"))


@pytest.mark.parametrize(
    ("text", "kernel", "home"),
    [
        ("debian:bookworm", DebianKernel(), "/b"),
        ("debian:bookworm:rt-amd64", DebianKernel(flavour="rt-amd64"), "/b/flavours/rt-amd64"),
        ("debian:trixie", DebianKernel("trixie"), "/b/kernels/debian-trixie"),
        (
            "debian:trixie/6.12.107:cloud-amd64",
            DebianKernel("trixie", "6.12.107", "cloud-amd64"),
            "/b/kernels/debian-trixie-6.12.107-cloud-amd64",
        ),
        (
            "debian:trixie-backports/7.3.4-1~bpo13+1",
            DebianKernel("trixie-backports", "7.3.4-1~bpo13+1"),
            "/b/kernels/debian-trixie-backports-7.3.4-1~bpo13+1",
        ),
    ],
)
def test_a_kernel_of_debians(text: str, kernel: DebianKernel, home: str) -> None:
    assert parse_kernel(text) == kernel
    assert str(kernel) == text
    assert kernel.home(PATHS).build == Path(home)


@pytest.mark.parametrize("text", ["debian:", "debian:Trixie", "debian:trixie/", "debian:a:b:c"])
def test_what_is_no_kernel_of_debians(text: str) -> None:
    with pytest.raises(UsageError, match="not debian:SUITE") as caught:
        parse_kernel(text, "--vm2-kernel")
    assert str(caught.value).startswith(f"--vm2-kernel={text}: ")
    assert "debian:trixie" in (caught.value.hint or "")


def test_each_place_has_a_guest_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a/linux", tmp_path / "b/linux"
    for folder in (one, other):
        folder.mkdir(parents=True)
    kernels = [parse_kernel(str(folder)) for folder in (one, other)]
    kernels.append(parse_kernel(str(one), modules=str(other)))
    assert kernels[0] == OwnKernel(one)
    homes = {kernel.home(PATHS).build for kernel in kernels}
    assert len(homes) == 3
    assert all(home.name.startswith("linux-") for home in homes)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    there, none = tmp_path / "bzImage", tmp_path / "none"
    there.touch()
    for words in ({"text": str(none)}, {"text": str(there), "modules": str(none)}):
        with pytest.raises(UsageError, match=f"={none}: there is no such file or folder"):
            parse_kernel(**words)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"--modules={there}: not a folder"):
        parse_kernel(str(there), modules=str(there))
    with pytest.raises(UsageError, match=f"--initrd={tmp_path}: not a file"):
        parse_kernel(str(there), initrd=str(tmp_path))


@pytest.mark.parametrize("option", ["modules", "initrd"])
def test_debians_kernels_bring_their_own(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match=rf"--{option} goes with a kernel of your own, not with"):
        parse_kernel("debian:trixie", **{option: str(tmp_path)})  # type: ignore[arg-type]
