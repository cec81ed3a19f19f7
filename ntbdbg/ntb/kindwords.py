# SPDX-License-Identifier: MIT
"""What kinds of events are called: words for ``--kind`` and for programs, and groups of them."""

from __future__ import annotations

from ntbdbg.errors import UsageError
from ntbdbg.ntb.kinds import Kind

GROUPS = {
    "doorbell": (Kind.DB_SENT, Kind.DB_IN, Kind.DB_TAKEN, Kind.FAULT),
    "message": (Kind.MSG_SENT, Kind.MSG_REFUSED, Kind.MSG_IN, Kind.MSG_TAKEN),
    "interrupt": (Kind.IRQ, Kind.QUIET, Kind.MSI),
    "wakeup": (Kind.KICK, Kind.WOKEN),
    "window": (Kind.TRANSLATION, Kind.WINDOW_OPEN, Kind.WINDOW_CLOSE, Kind.QUIESCE),
    "link": (
        *(Kind.ATTACH, Kind.LEAVE, Kind.LINK, Kind.ADMITS, Kind.CABLE, Kind.NEWS, Kind.NEWS_IN),
        *(Kind.PEER_THERE, Kind.PEER_GONE, Kind.PEER_LINK, Kind.PEER_ADMITS),
    ),
    "register": (Kind.REGISTER, Kind.COMMAND, Kind.MASK),
    "machine": (Kind.JOIN, Kind.RESET, Kind.RUN, Kind.SERVER),
}
"""All kinds, each in one group."""

_WORDS = {Kind.DB_SENT: "doorbell-sent", Kind.DB_IN: "doorbell-in", Kind.DB_TAKEN: "doorbell-taken"}
_WORDS |= {Kind.MSG_SENT: "message-sent", Kind.MSG_REFUSED: "message-refused"}
_WORDS |= {Kind.MSG_IN: "message-in", Kind.MSG_TAKEN: "message-taken", Kind.QUIET: "no-interrupt"}
_WORDS |= {Kind.IRQ: "interrupt-sent"}
WORDS = {kind: _WORDS.get(kind, kind.name.lower().replace("_", "-")) for kind in Kind}
"""What each kind is called. No word is also that of a group of more kinds."""

WORDS[Kind.LINK] = "own-link"
WORDS[Kind.REGISTER] = "register-set"
GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}


def word_of(kind: int) -> str:
    """The word of a kind; a number that is not known is its own."""
    return WORDS[Kind(kind)] if kind in GROUP_OF else str(kind)


def parse_kinds(text: str) -> frozenset[int]:
    """``doorbell,no-interrupt`` to numbers.

    :raises UsageError: there is no such group or kind
    """
    by_word = {word: (kind,) for kind, word in WORDS.items()}
    found: set[int] = set()
    for word in text.split(","):
        name = word.strip()
        if name not in GROUPS and name not in by_word:
            known = f"{', '.join(GROUPS)}; or one of {', '.join(sorted(by_word))}"
            raise UsageError(f"no kind of event is called {name!r:.40}", hint=f"there are {known}")
        found |= set(GROUPS.get(name) or by_word[name])
    return frozenset(found)
