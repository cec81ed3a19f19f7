# SPDX-License-Identifier: MIT
"""What a QEMU build is made from, and that each change of it gives another key."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from run.base.config import Paths
from run.base.errors import RunError, UsageError
from run.debian.apt import Apt, Package
from run.qemu import build as module
from run.qemu import compile as compile_module
from run.qemu import tools
from run.qemu.compile import Inputs
from run.qemu.source import QemuSource, of_debian, of_path
from run.steps.artifacts import QemuInstall
from run.steps.steps import Step


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    overlay = tmp_path / "overlay"
    (overlay / "patches").mkdir(parents=True)
    (overlay / "idt.c").write_text("1")
    return Inputs(
        source=QemuSource("QEMU", content="c1", line="l1"),
        overlay=overlay,
        meson=[Package("meson", "1.7", "m1")],
        firmware=[Package("seabios", "1.16", "f1")],
        host=["gcc 12"],
    )


def _with_overlay(inputs: Inputs) -> Inputs:
    (inputs.overlay / "idt.c").write_text("2")
    return inputs


def _with_patch(inputs: Inputs) -> Inputs:
    (inputs.overlay / "patches" / "0001.patch").write_text("patch")
    return inputs


Change = Callable[[Inputs], Inputs]

#: what may change -> whether the compiled tree of before is no use then
CHANGES: dict[str, tuple[Change, bool]] = {
    "source": (lambda i: replace(i, source=replace(i.source, content="c2")), False),
    "line": (lambda i: replace(i, source=replace(i.source, line="l2")), True),
    "flags": (lambda i: replace(i, source=replace(i.source, configure=("--x",))), True),
    "meson": (lambda i: replace(i, meson=[Package("meson", "1.8", "m2")]), True),
    "firmware": (lambda i: replace(i, firmware=[Package("seabios", "1.17", "f2")]), False),
    "toolchain": (lambda i: replace(i, host=["gcc 13"]), True),
    "overlay": (_with_overlay, False),
    "patch": (_with_patch, False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_input_changes_the_key(inputs: Inputs, name: str) -> None:
    key, line = inputs.key, inputs.line
    change, anew = CHANGES[name]
    changed = change(inputs)
    assert changed.key != key
    assert (changed.line != line) is anew


def test_our_own_recipe_is_an_input(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    key, line = inputs.key, inputs.line
    monkeypatch.setattr(compile_module, "CONFIGURE", (*compile_module.CONFIGURE, "--enable-lto"))
    assert inputs.key != key
    assert inputs.line != line


def test_equal_inputs_have_equal_keys(inputs: Inputs) -> None:
    assert replace(inputs).key == inputs.key


def test_an_absent_tool_is_part_of_the_key() -> None:
    assert tools._first_line(["no-such-tool", "--version"]) == "no no-such-tool"
    assert any(line.startswith("gcc --version: ") for line in tools.toolchain())


def test_debian_is_asked_but_nothing_downloaded_before_it_is_needed() -> None:
    apt = cast(
        Apt,
        SimpleNamespace(source_identity=lambda name, series: (f"1:10.0{series}", f"sha of {name}")),
    )
    source = of_debian(apt)
    assert (source.content, source.configure) == ("sha of qemu", ("--disable-download",))


def _source_tree(root: Path) -> Path:
    (root / "hw/misc").mkdir(parents=True)
    (root / "hw/misc/meson.build").touch()
    return root


def test_a_folder_keeps_its_line_while_it_is_edited(tmp_path: Path) -> None:
    tree = _source_tree(tmp_path / "qemu")
    before = of_path(tree)
    (tree / "hw/misc/meson.build").write_text("edited")
    after = of_path(tree)
    assert before.line == after.line
    assert before.content != after.content
    assert after.folder == tree


def test_what_is_no_source_in_a_folder_does_not_count(tmp_path: Path) -> None:
    tree = _source_tree(tmp_path / "qemu")
    before = of_path(tree)
    for name in ("build", ".git"):
        (tree / name).mkdir()
        (tree / name / "file").touch()
    assert of_path(tree).content == before.content


def test_a_folder_edited_while_it_is_copied_is_noticed(tmp_path: Path) -> None:
    tree = _source_tree(tmp_path / "qemu")
    source = of_path(tree)
    source.check_unchanged()
    (tree / "hw/misc/meson.build").write_text("edited")
    with pytest.raises(RunError, match="changed while"):
        source.check_unchanged()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_tarball_is_unpacked_with_or_without_its_folder(tmp_path: Path, wrapped: bool) -> None:
    tree = _source_tree(tmp_path / "qemu-10")
    tarball = tmp_path / "qemu.tar.gz"
    what = ["-C", str(tmp_path), tree.name] if wrapped else ["-C", str(tree), "hw"]
    subprocess.run(["tar", "-czf", tarball, *what], check=True)
    source = of_path(tarball)
    target = tmp_path / "target"
    target.mkdir()
    assert source.extract is not None
    source.extract(Step("x", tmp_path / "log", None, 0), target)
    assert (target / "hw/misc/meson.build").exists()


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no QEMU source"):
        of_path(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        of_path(tmp_path / "none")


def test_a_standing_build_is_trusted_only_if_whole_and_of_this_key(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    program = tmp_path / "qemu-system-x86_64"
    program.touch()
    install = QemuInstall(str(program), str(program), [str(tmp_path)], "10", "key")
    assert module._standing(paths, "key") is None
    install.save(tmp_path)
    assert module._standing(paths, "key") == install
    assert module._standing(paths, "other") is None
    program.unlink()
    assert module._standing(paths, "key") is None
