# SPDX-License-Identifier: MIT
"""Which boards are left out of the targets besides the PC's, read from the source at hand."""

from __future__ import annotations

from pathlib import Path

from run.qemu import boards

ARM = """\
config ARM_VIRT
    bool
    default y
    depends on ARM
    select ACPI

config CUBIEBOARD
    bool
    default y
    depends on TCG && ARM

config ARM_V7M
    bool
    # a comment
    default y
    depends on TCG && ARM

config ARMSSE
    bool
    select ARM_V7M

config HALF
    bool
    default y if TCG
"""
PROCESSOR = """\
config ARM
    bool
    select ARM_V7M if TCG
"""


def stage(tmp_path: Path) -> tuple[set[str], Path]:
    return boards.stage(tmp_path / "source", tmp_path / "stage"), tmp_path / "stage"


def test_every_other_board_is_left_out_but_what_the_processor_needs(tmp_path: Path) -> None:
    for name, text in (("hw/arm", ARM), ("target/arm", PROCESSOR)):
        folder = tmp_path / "source" / name
        folder.mkdir(parents=True)
        (folder / "Kconfig").write_text(text)
    names, staged = stage(tmp_path)
    assert names == {f"configs/devices/{a}-softmmu/ntb.mak" for a in ("aarch64", "riscv64")}
    arm = (staged / "configs/devices/aarch64-softmmu/ntb.mak").read_text()
    assert arm == "CONFIG_ARM_VIRT=y\nCONFIG_CUBIEBOARD=n\n"


def test_a_source_without_them_names_none(tmp_path: Path) -> None:
    _, staged = stage(tmp_path)
    riscv = (staged / "configs/devices/riscv64-softmmu/ntb.mak").read_text()
    assert riscv == "CONFIG_RISCV_VIRT=y\n"


def test_configure_is_told_the_files_that_are_written(tmp_path: Path) -> None:
    names, _ = stage(tmp_path)
    targets = {name.split("/")[2].removesuffix("-softmmu") for name in names}
    assert {f"--with-devices-{target}=ntb" for target in targets} == set(boards.FLAGS)
