# SPDX-License-Identifier: MIT
"""Modules of the user's own: how they begin, and what cannot be built."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from run.base.errors import RunError, UsageError
from run.make import module
from run.make.headers import Headers
from run.steps.steps import Steps


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path / "logs", Console(file=io.StringIO()))


@pytest.fixture
def headers(tmp_path: Path) -> Headers:
    """Headers whose kbuild makes what is called so, or complains."""
    folder = tmp_path / "headers"
    folder.mkdir()
    (folder / "Makefile").write_text(
        "modules:\n"
        "\t@grep -q obj-m $(M)/Makefile || exit 0; test -n '$(KBUILD_EXTRA_SYMBOLS)'\n"
        "\t@! grep -n wrong $(M)/*.c\n"
        "\t@grep -q obj-m $(M)/Makefile && touch $(M)/mine.ko || true\n"
    )
    return Headers("6.1.0-1", folder, folder / "ntb.symvers")


def test_a_new_one_is_named_after_its_folder(tmp_path: Path) -> None:
    made = module.new(tmp_path / "src" / "my_client")
    assert [path.name for path in made] == ["my_client.c", "Makefile"]
    source = made[0].read_text()
    assert "@NAME@" not in source
    assert "module_ntb_client(my_client_client);" in source
    assert "obj-m := my_client.o" in made[1].read_text()


@pytest.mark.parametrize("name", ["My", "9x", "a-b", "x" * 41, "ntb_tool", "ntb", "e1000"])
def test_a_name_that_no_module_of_ones_own_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a module of your own"):
        module.new(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="File exists; name a folder that is new"):
        module.new(tmp_path / "mine")


def test_a_folder_without_a_makefile(tmp_path: Path, steps: Steps, headers: Headers) -> None:
    with pytest.raises(UsageError, match="no Makefile there; 'python3 run module new"):
        module.build(steps, headers, tmp_path / "vmlinux", tmp_path, 1)


def test_building(tmp_path: Path, steps: Steps, headers: Headers) -> None:
    module.new(tmp_path / "mine")
    assert module.build(steps, headers, tmp_path / "none", tmp_path / "mine", 1) == [
        tmp_path / "mine/mine.ko"
    ]


def test_a_makefile_that_makes_nothing(tmp_path: Path, steps: Steps, headers: Headers) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/Makefile").write_text("# nothing\n")
    with pytest.raises(RunError, match="make built no module; its Makefile has no obj-m"):
        module.build(steps, headers, tmp_path / "none", tmp_path / "mine", 1)


def test_what_the_compiler_refuses_is_shown(tmp_path: Path, steps: Steps, headers: Headers) -> None:
    made = module.new(tmp_path / "mine")
    made[0].write_text("this is wrong;\n")
    with pytest.raises(RunError, match="this is wrong"):
        module.build(steps, headers, tmp_path / "none", tmp_path / "mine", 1)
