# SPDX-License-Identifier: MIT
"""A difference between the driver in a guest and its device, by name."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What they disagree about; the value says it in words."""

    PORT = "number of the port"
    PARTITION = "partition of the port"
    PEERS = "peers"
    WINDOW_COUNT = "number of windows"
    WINDOW = "kind of a window"
    BAR = "place of a BAR"
    REGISTERS = "place of the registers"
    BUS_MASTER = "bus mastering"
    LINK_ENABLED = "whether the link is enabled"
    LINK_UP = "whether the link is up"
    DOORBELL_BIT = "doorbell bit of a port"
    DOORBELL_MASK = "masked doorbells"
    MESSAGE_MASK = "masked messages"
    TRANSLATION = "translation of a window"
    STRAY_TRANSLATION = "translation that nobody asked for"
    OTHER_WINDOW = "window that a client writes to"
    CLOSED_BY_PEER = "whether a window reaches the peer"
    BUFFER = "buffer that a peer's window leads to"


@dataclass(frozen=True)
class Disagreement:
    """One of them.

    :ivar subject: what of the port: ``mw3``, ``BAR 2``, "" for the port itself
    :ivar driver: what the guest's driver says
    :ivar device: what the device, or the peer, says
    """

    kind: Kind
    subject: str
    driver: str
    device: str

    def __str__(self) -> str:
        subject = f"{self.subject}: " if self.subject else ""
        return f"{subject}{self.kind.value}: the driver has {self.driver}, the device {self.device}"
