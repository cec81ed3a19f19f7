# SPDX-License-Identifier: MIT
"""``[TARGET] ADDR``, ``GUEST:ADDR``, or just ``ADDR`` where there is one guest only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntbdbg.cli.options import complete_guest
from ntbdbg.errors import UsageError
from ntbdbg.target.address import CAPTURE_SUFFIX

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.target.guest import Guest

F = TypeVar("F", bound=Callable[..., Any])


def addressed_argument(metavar: str) -> Callable[[F], F]:
    """The words of such a command line; `guest_and_word` takes them."""
    return click.argument(
        "words", metavar=metavar, nargs=-1, required=True, shell_complete=complete_guest
    )


def guest_and_word(app: AppContext, words: tuple[str, ...]) -> tuple[Guest, str]:
    """The guest that is meant, and what is to be looked up in it.

    :raises UsageError: too many words, or no guest is named and there are several
    """
    if len(words) > 2:
        raise UsageError(f"what is {words[2]!r}?", hint="give TARGET and one address")
    if len(words) == 2:
        return app.guest(words[0]), words[1]
    word = words[0]
    names = app.lab.names
    head, colon, rest = word.partition(":")
    if colon and head.endswith(CAPTURE_SUFFIX):
        name, inner, address = rest.partition(":")
        return (app.guest(f"{head}:{name}"), address) if inner else (app.guest(head), rest)
    if colon and (head in names or "/" in head):
        return app.guest(head), rest
    if len(names) > 1:
        raise UsageError(
            f"no guest is named for {word!r:.60}, and there are {', '.join(names)}",
            hint=f"write {names[0]}:{word:.60}",
        )
    return app.guest(names[0] if names else "qemu"), word
