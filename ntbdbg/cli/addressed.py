# SPDX-License-Identifier: MIT
"""``TARGET ADDR …`` as people type it: also ``GUEST:ADDR``, the guest behind the address, or
just ``ADDR`` where there is one guest only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntbdbg.cli.options import complete_guest
from ntbdbg.errors import UsageError
from ntbdbg.lab.address import split_capture
from ntbdbg.lab.capturelabs import is_bare_capture

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.guest import Guest

F = TypeVar("F", bound=Callable[..., Any])


def addressed_argument(metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """The words of such a command line; `target_and_words` takes them."""
    decorate: Callable[[F], F] = click.argument(
        "words", metavar=metavar, nargs=-1, required=required, shell_complete=complete_guest
    )
    return decorate


def guest_and_word(app: AppContext, words: tuple[str, ...], what: str) -> tuple[Guest, str]:
    """The guest that is meant, and what is to be looked up in it; errors as below."""
    target, (word,) = target_and_words(app, words, what)
    assert word is not None
    return app.guest(target), word


def target_and_words(
    app: AppContext, words: tuple[str, ...], *wanted: str
) -> tuple[str, list[str | None]]:
    """What names the target, and the other words; None for those that are not there.

    :param wanted: what the others are called in the help; those in brackets may be left out
    :raises UsageError: no guest is named and there are several
    :raises click.UsageError: a word too many, or one is missing
    """
    needed = sum(not name.startswith("[") for name in wanted)
    target, rest = split_target(app, words, needed)
    if len(rest) > len(wanted):
        extra = " ".join(rest[len(wanted) :])
        raise click.UsageError(f"Got unexpected extra argument ({extra})", _context())
    if len(rest) < needed:
        raise click.MissingParameter(
            ctx=_context(), param_hint=f"'{wanted[len(rest)]}'", param_type="argument"
        )
    if wanted and "ADDR" in wanted[0] and rest and rest[0] in app.names:
        raise UsageError(
            f"{rest[0]} is a guest, where an address is wanted",
            hint=f"say what of it: {rest[0]}:0x1000; of one guest at a time",
        )
    return target, [*rest, *[None] * (len(wanted) - len(rest))]


def split_target(app: AppContext, words: tuple[str, ...], needed: int) -> tuple[str, list[str]]:
    """What names the target, and all other words.

    :param needed: how many others there must be
    """
    first, *rest = words
    if _is_target(app, first):
        return first, rest
    name, address = _one_word(app, first)
    if name is not None:
        return name, [address, *rest]
    for index, word in enumerate(rest):
        if word in app.names or (os.sep in word and _is_target(app, word)):
            return word, [first, *rest[:index], *rest[index + 1 :]]
    if _is_number(first) or (len(words) <= needed and os.sep not in first):
        return _only_guest(app, first), list(words)
    return first, rest


def _only_guest(app: AppContext, word: str) -> str:
    names = app.lab.names
    if len(names) > 1:
        raise UsageError(
            f"no guest is named for {word!r:.60}, and there are {', '.join(names)}",
            hint=f"write {names[0]} {word:.60}",
        )
    return names[0] if names else "qemu"


def _is_target(app: AppContext, word: str) -> bool:
    """Whether a word as a whole is a guest, a file, or a guest in a capture."""
    capture, rest = split_capture(word)
    if capture is not None:
        return ":" not in rest and _means_guest(app.lab_for(word).captured(capture).names, rest)
    return (
        word in app.names
        or is_bare_capture(word)
        or (os.sep in word and (":" not in word or os.path.exists(word)))
    )


def _one_word(app: AppContext, word: str) -> tuple[str | None, str]:
    """Target and address of ``TARGET:ADDR``; no target if it is something else."""
    capture, rest = split_capture(word)
    if capture is not None:
        name, colon, address = rest.partition(":")
        inside = colon and _means_guest(app.lab_for(word).captured(capture).names, name)
        return (f"{capture}:{name}", address) if inside else (capture, rest)
    if os.sep in word:
        return _file_and_address(word)
    name, colon, address = word.partition(":")
    known = name in app.names or (_is_number(address) and name not in ("pa", "va"))
    return (name, address) if colon and known else (None, word)


def _means_guest(names: Sequence[str], word: str) -> bool:
    """Whether a word of a capture can only be a guest's name, also one that it does not have."""
    elsewise = len(names) == 1 or word in ("pa", "va") or _is_number(word)
    return word in names or not elsewise


def _file_and_address(word: str) -> tuple[str, str]:
    """The file is what is there; where nothing is, what is before the colon in its name."""
    parts = word.split(":")
    for count in range(len(parts) - 1, 0, -1):
        path = ":".join(parts[:count])
        if os.path.exists(path):
            return path, ":".join(parts[count:])
    end = word.index(":", word.rfind(os.sep)) if ":" in word[word.rfind(os.sep) :] else len(word)
    return word[:end], word[end + 1 :]


def _is_number(word: str) -> bool:
    return word.removeprefix("pa:").removeprefix("va:")[:1].isdigit()


def _context() -> click.Context:
    return click.get_current_context()
