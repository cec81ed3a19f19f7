# SPDX-License-Identifier: MIT
"""What about the link a person would want to be told first: why it is down, what waits.

Pure reading of registers; each finding says which values made it. A driver in the middle of
its work leaves some of them for a moment, so they are hints, not verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.gates import NOT_THE_LINK, owner_closed, peer_closed
from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.model import PortState
from ntbdbg.ntb.registers import BY_NAME
from ntbdbg.ntb.regview import value_of
from ntbdbg.ntb.told import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ntbdbg.ntb.model import Link, MessageRegister, NtPort
    from ntbdbg.ntb.recorder import Event


@dataclass(frozen=True)
class Finding:
    """One thing worth saying.

    :ivar partition: whose port it is about
    :ivar wrong: something does not work or will not go on; False for what is merely notable
    """

    partition: int
    text: str
    wrong: bool


def link_findings(
    link: Link, names: Mapping[int, str], events: Sequence[Event] = ()
) -> list[Finding]:
    """Everything notable about every port, by partition.

    :param names: by partition, the guest
    :param events: what the ports have recorded, which tells when
    """
    return [one for port in link.ports for one in _of_port(link, port, names, events)]


def _of_port(
    link: Link, port: NtPort, names: Mapping[int, str], events: Sequence[Event]
) -> Iterator[Finding]:
    def wrong(text: str) -> Finding:
        return Finding(port.partition, text, True)

    def notable(text: str) -> Finding:
        return Finding(port.partition, text, False)

    yield from map(wrong, port.problems)
    yield from map(wrong, _why_down(link, port, names))
    yield from map(notable, _doorbells(port))
    for message in port.messages:
        yield from map(notable, _message(message, names))
    yield from map(wrong, _unheard(port))
    for window in link.windows_of(port.partition):
        if not window.device_agrees:
            is_open = "open" if window.device_open else "closed"
            yield wrong(f"mw{window.index}: the device says {is_open}, the registers do not")
    yield from map(wrong, _late_peers(link, port, names, events))


def _why_down(link: Link, port: NtPort, names: Mapping[int, str]) -> Iterator[str]:
    """The link to each peer that is down, with its reasons."""
    for peer in link.ports:
        if peer.partition == port.partition or link.sees_up(port.partition, peer.partition):
            continue
        name = names.get(peer.partition, f"port {peer.number}")
        reasons = [
            reason.text
            for reason in (*owner_closed(port), *peer_closed(peer))
            if reason.why not in NOT_THE_LINK
        ]
        # The one thing that the driver asks for and a window does not, under IDPROTDIS.
        reasons = reasons or ["its own mapping-table entry is not valid (NTMTBLDATA.VALID=0)"]
        yield f"link to {name} is down: {'; '.join(reasons)}"


def _late_peers(
    link: Link, port: NtPort, names: Mapping[int, str], events: Sequence[Event]
) -> Iterator[str]:
    """Peers whose windows into this port should be closed, and are not yet.

    A peer that was late and has closed them since, or is gone, can write here no more, so nothing
    is said of it; the port's counter keeps it.
    """
    if not _word(port, "quiesce_timeouts"):
        return  # it may be about to
    for peer in link.ports:
        gone = peer.state is not PortState.ATTACHED or peer.alive is False
        closed = port.ack[peer.partition] == port.down_epoch
        if peer.partition != port.partition and not gone and not closed:
            name = names.get(peer.partition, f"port {peer.number}")
            since = _since_when(port, peer.partition, events)
            yield f"{name} has still not closed its windows into it, and may write there{since}"


def _since_when(port: NtPort, peer: int, events: Sequence[Event]) -> str:
    """Since when a peer is late, if that was recorded; it was waited for until then."""
    for event in reversed(events):
        if event.partition == port.partition and event.kind == Kind.QUIESCE and event.b >> peer & 1:
            return f", since {stamp(event.first_ns)} of the host's clock at the latest"
    return ""


def _doorbells(port: NtPort) -> Iterator[str]:
    bell = port.doorbell
    if bell.pending:
        yield f"doorbells {bell.pending:#x} are set and unmasked: its driver has yet to take them"
    if masked := bell.status & bell.mask:
        yield f"doorbells {masked:#x} are set but masked (INDBELLMSK {bell.mask:#010x})"


def _message(message: MessageRegister, names: Mapping[int, str]) -> Iterator[str]:
    if message.full:
        source = names.get(message.source, f"partition {message.source}")
        masked = ", masked" if message.masked else ""
        yield (
            f"message {message.index} holds {message.data:#x} from {source}, not taken yet{masked}"
        )
    if message.failed:
        target = names.get(message.route_partition, f"partition {message.route_partition}")
        yield f"message {message.index} to {target} was refused ({message.sent:#x} was lost)"


def _unheard(port: NtPort) -> Iterator[str]:
    """Interrupt causes that are pending but masked as a whole (NTINTMSK, §1.7)."""
    status = value_of(port, BY_NAME["NTINTSTS"]).value
    masked = status & _word(port, "ntintmsk")
    if masked and port.link_enabled:
        yield f"interrupt causes {masked:#x} are pending but masked (NTINTMSK)"


def _word(port: NtPort, name: str) -> int:
    return int(port.block[name])  # type: ignore[call-overload, no-any-return]
