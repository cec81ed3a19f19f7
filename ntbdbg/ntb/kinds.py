# SPDX-License-Identifier: MIT
"""What the flight recorder writes down: kinds of events and the numbers that go with them.

Numbers are those of qemu_src/include/hw/ntb/ntb_shm.h; a test compares the two. A kind's `word`
is what ``--kind`` takes, its `group` takes several at once.
"""

from __future__ import annotations

import enum

FIRST_TRAFFIC, FIRST_PEERS = 32, 64
"""Kinds below the first are of the control lane, below the second of the traffic lane."""
TRAPPED = 1 << 31
"""In `num` of a window that opens: some of it is copied, not mapped."""


class Kind(enum.IntEnum):
    """``NTB_SHM_EV_*``."""

    JOIN = 1
    ATTACH = 2
    LEAVE = 3
    LINK = 4
    ADMITS = 5
    RESET = 6
    RUN = 7
    QUIESCE = 8
    REGISTER = 9
    COMMAND = 10
    MSI = 11
    TRANSLATION = 12
    WINDOW_OPEN = 13
    WINDOW_CLOSE = 14
    SERVER = 15
    CABLE = 16
    NEWS = 17
    DB_SENT = 32
    DB_TAKEN = 33
    MSG_SENT = 34
    MSG_REFUSED = 35
    MSG_TAKEN = 36
    KICK = 37
    MASK = 38
    IRQ = 39
    QUIET = 40
    FAULT = 41
    DB_IN = 64
    MSG_IN = 65
    WOKEN = 66
    NEWS_IN = 67
    PEER_THERE = 68
    PEER_GONE = 69
    PEER_LINK = 70
    PEER_ADMITS = 71


class Stop(enum.IntEnum):
    """``NTB_SHM_STOP_*``: why the machine stands still."""

    OTHER = 0
    PAUSED = 1
    DEBUGGER = 2
    PANIC = 3
    SHUTDOWN = 4
    ERROR = 5


class Close(enum.IntEnum):
    """``NTB_SHM_CLOSE_*``: why a window closes, the first of these that holds."""

    OWN_LINK = 1
    NOWHERE = 2
    NO_SENDER = 3
    PEER = 4
    RAM = 5
    MOVED = 6


class News(enum.IntEnum):
    """``NTB_SHM_NEWS_*``: what is told to peers."""

    LINK_UP = 1
    LINK_DOWN = 2
    SIGNAL = 3


class Refused(enum.IntEnum):
    """``NTB_SHM_REFUSED_*``: why a message is refused."""

    FULL = 1
    DOWN = 2
    NOBODY = 3


class Kick(enum.IntEnum):
    """``NTB_SHM_KICK_*``: how a peer is woken."""

    FAILED = 0
    SENT = 1
    PENDING = 2


class Quiet(enum.IntEnum):
    """``NTB_SHM_QUIET_*``: why there is no interrupt."""

    MASKED = 1
    DB_MASKED = 2
    MSG_MASKED = 3
    TOLD = 4
    MASTER = 5
    INTX = 6
    NEWS_MASKED = 7
