# SPDX-License-Identifier: MIT
"""Kernels on the command lines of `build`, `vm` and `vms`: what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from run.base.errors import RunError, UsageError
from run.cli.building import kernel_choice, kernel_option, kernel_options
from run.cli.launching import Kernels, kernels_of, launch_options, load_build
from run.guest.choice import DebianKernel, OwnKernel
from run.steps.artifacts import GuestImage
from tests.support.fakemachines import make_build

TRIXIE = DebianKernel("trixie")


def kernels(*words: str, guests: int = 2) -> Kernels:
    """What `vms` makes of these words."""

    @click.command()
    @launch_options
    def command(**given: Any) -> Kernels:
        return kernels_of(guests, given)

    made = command.main(list(words), standalone_mode=False)
    assert isinstance(made, Kernels)
    return made


def test_one_for_all_and_others_for_some(tmp_path: Path) -> None:
    assert kernels() == Kernels(DebianKernel())
    assert kernels("--kernel=debian:trixie") == Kernels(TRIXIE)
    assert kernels("--kernel-flavour=rt-amd64") == kernels("--kernel=debian:bookworm:rt-amd64")
    assert kernels(f"--kernel={tmp_path}", "--vm2-kernel=debian:trixie") == Kernels(
        OwnKernel(tmp_path), {1: TRIXIE}
    )
    assert kernels("--vm6-kernel=debian:trixie", guests=6).others == {5: TRIXIE}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image=yocto", "--kernel=debian:trixie"], "--kernel is for guests of the quick build"),
        (["--image=yocto", "--kernel-flavour=rt-amd64"], "--kernel-flavour is for guests of"),
        (["--image=yocto", "--vm1-kernel=debian:trixie"], "--vm1-kernel is for guests of"),
        (["--vm3-kernel=debian:trixie"], "--vm3-kernel=debian:trixie: there is no VM 3"),
        (["--modules=/tmp"], "--modules goes with a kernel of your own"),
        (["--initrd=/etc/passwd"], "--initrd goes with a kernel of your own"),
        (["--kernel=debian:trixie", "--kernel-flavour=rt-amd64"], "contradict each other"),
        (["--kernel=/nowhere"], "--kernel=/nowhere: there is no such file or folder"),
        (["--vm2-kernel=debian:"], "--vm2-kernel=debian:: not debian:SUITE"),
        (["--common-opts=-kernel X"], "-kernel inside --common-opts does not work; use --kernel"),
    ],
)
def test_what_contradicts_itself_is_refused(words: list[str], told: str) -> None:
    from run.cli.launching import parse

    @click.command()
    @launch_options
    def command(**given: Any) -> None:
        kernels_of(2, given)
        parse(2, given)

    with pytest.raises(UsageError) as caught:
        command.main(words, standalone_mode=False)
    assert told in str(caught.value)
    assert caught.value.hint


def test_the_next_command_is_told_with_the_same_kernel(tmp_path: Path) -> None:
    @click.command()
    @kernel_options
    def command(**given: Any) -> str:
        return kernel_option(kernel_choice({**given, "image": "quick"}))

    folder = tmp_path / "my linux"
    folder.mkdir()
    words = [f"--kernel={folder}", f"--modules={folder}"]
    told = command.main(words, standalone_mode=False)
    assert told == f" --kernel='{folder}' --modules='{folder}'"
    assert command.main([], standalone_mode=False) == ""
    assert command.main(["--kernel=debian:trixie"], standalone_mode=False) == (
        " --kernel=debian:trixie"
    )


def _guest(build: Path, kernel: DebianKernel, **changes: Any) -> GuestImage:
    home = build / "kernels" / str(kernel).replace(":", "-")
    files = {name: f"/other/{name}" for name in ("kernel", "initramfs", "vmlinux", "modules")}
    image = GuestImage(release="6.12-other", key="k", **files, **changes)
    image.save(home)
    return image


def test_each_guest_gets_its_own(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    other = _guest(build, TRIXIE)
    made = load_build(str(build), kernels=Kernels(others={1: TRIXIE}), guests=2)
    assert (made.image.release, made.others) == ("6.1.0-fake", {1: other})
    made = load_build(str(build), kernels=Kernels(TRIXIE), guests=2)
    assert (made.image, made.others) == (other, {})


def test_the_usual_guest_need_not_be_built_where_nobody_has_it(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    other = _guest(build, TRIXIE)
    GuestImage.path(build).unlink()
    made = load_build(str(build), kernels=Kernels(others={0: TRIXIE, 1: TRIXIE}), guests=2)
    assert made.others == {0: other, 1: other}
    with pytest.raises(RunError, match="python3 run build guest --build-dir="):
        load_build(str(build), kernels=Kernels(others={1: TRIXIE}), guests=2)


def test_a_guest_that_is_not_built_is_named_with_its_kernel(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    words = "python3 run build guest --kernel=debian:trixie/6.12.107 --build-dir="
    with pytest.raises(RunError, match=words):
        load_build(str(build), kernels=Kernels(DebianKernel("trixie", "6.12.107")), guests=2)


def test_a_kernel_without_the_ports_driver_is_for_guests_alone(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    _guest(build, TRIXIE, ntb=False)
    assert load_build(str(build), kernels=Kernels(TRIXIE), guests=1).image.ntb is False
    with pytest.raises(RunError, match="debian:trixie: no driver for the NTB port"):
        load_build(str(build), kernels=Kernels(TRIXIE), guests=2)
