# SPDX-License-Identifier: MIT
"""`python3 run ssh`: which words are ours, and which the guest's."""

from __future__ import annotations

import pytest

from run.base.errors import UsageError
from run.cli.commands.ssh import command


@pytest.mark.parametrize(
    ("typed", "name", "guest", "words"),
    [
        ("1", None, "1", ()),
        ("qemu1 uname -r", None, "qemu1", ("uname", "-r")),
        ("1 df -h", None, "1", ("df", "-h")),
        ("1 -- ls --name x", None, "1", ("ls", "--name", "x")),
        ("--name left 1 ls --name x", "left", "1", ("ls", "--name", "x")),
        ("1 --name left ls -l", "left", "1", ("ls", "-l")),
        ("--name=left 2 -- sh -c --", "left", "2", ("sh", "-c", "--")),
        ("1 echo -- x", None, "1", ("echo", "--", "x")),
        ("--lab left 1 ls --lab x", "left", "1", ("ls", "--lab", "x")),
        ("1 --lab=left ls -A", "left", "1", ("ls", "-A")),
    ],
)
def test_words(typed: str, name: str | None, guest: str, words: tuple[str, ...]) -> None:
    context = command.make_context("ssh", typed.split())
    assert context.params == {"name": name, "agent": False, "guest": guest, "words": words}


def test_the_agent_is_asked_for_in_front_of_the_guests_words() -> None:
    assert command.make_context("ssh", ["-A", "1", "ls"]).params["agent"]
    assert not command.make_context("ssh", ["1", "ls", "-A"]).params["agent"]


def test_no_agent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError, match="no ssh-agent here; eval"):
        command.main(["-A", "1", "ls"], standalone_mode=False)


def test_the_lab_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTBDBG_LAB", "left")
    assert command.make_context("ssh", ["1"]).params["name"] == "left"
    assert command.make_context("ssh", ["--name", "right", "1"]).params["name"] == "right"
