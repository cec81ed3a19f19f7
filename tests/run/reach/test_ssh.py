# SPDX-License-Identifier: MIT
"""`python3 run ssh`: which words are ours, and which the guest's."""

from __future__ import annotations

import pytest

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
    ],
)
def test_words(typed: str, name: str | None, guest: str, words: tuple[str, ...]) -> None:
    context = command.make_context("ssh", typed.split())
    assert context.params == {"name": name, "guest": guest, "words": words}
