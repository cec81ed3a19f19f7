# SPDX-License-Identifier: MIT
"""The state of Linux' NTB clients: ntb_pingpong, ntb_tool, ntb_perf (drivers/ntb/test)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.layout import Layout, Layouts

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel

MOST_PEERS = 8
MOST_WINDOWS = 64

PERF_STS_DONE, PERF_STS_LNKUP = 5, 6


@dataclass(frozen=True)
class PingPong:
    """``struct pp_ctx`` of ntb_pingpong.

    :ivar in_db: doorbell bits that it waits for
    :ivar out_db: those it rings at peer `out_peer`
    :ivar count: rounds so far
    """

    in_db: int
    out_db: int
    out_peer: int
    next_mask: int
    previous_mask: int
    count: int


@dataclass(frozen=True)
class ToolWindow:
    """A window that somebody set up through ntb_tool's files.

    :ivar peer: index of the peer, -1 for none
    :ivar address: outbound: what it is translated to; inbound: bus address of the buffer
    :ivar size: bytes
    """

    index: int
    peer: int
    address: int
    size: int


@dataclass(frozen=True)
class Tool:
    """``struct tool_ctx`` of ntb_tool: only the windows that are set up."""

    outbound: tuple[ToolWindow, ...]
    inbound: tuple[ToolWindow, ...]


@dataclass(frozen=True)
class PerfPeer:
    """``struct perf_peer`` of ntb_perf.

    :ivar window: index of the window that it translates towards this peer (gidx)
    :ivar out_address: what that is translated to: the peer's buffer
    :ivar out_size: bytes
    :ivar out_mapped: GPA of the window that it writes to
    :ivar in_address: bus address of its own buffer for this peer, 0 for none
    :ivar link_up: what it was told of the link
    :ivar done: whether the outbound window is set up
    """

    index: int
    window: int
    out_address: int
    out_size: int
    out_mapped: int
    in_address: int
    in_size: int
    link_up: bool
    done: bool


@dataclass(frozen=True)
class Perf:
    """``struct perf_ctx`` of ntb_perf.

    :ivar window: index of the window that it writes to (gidx)
    :ivar busy: whether a test runs
    """

    window: int
    busy: bool
    peers: tuple[PerfPeer, ...]


Client = PingPong | Tool | Perf


def read_client(kernel: Kernel, operations: int, context: int) -> tuple[str, Client | None]:
    """The client whose ``struct ntb_ctx_ops`` is at `operations`: its name and its state.

    :param context: VA that it registered
    :raises KernelError: its types are not known
    :raises FaultError: its state cannot be read
    """
    found = kernel.find_symbol(operations)
    symbol = found[0] if found else None
    known = KNOWN.get(symbol.name) if symbol else None
    if symbol is None or known is None:
        return (symbol.module or symbol.name) if symbol else f"{operations:#x}", None
    module, struct, read = known
    layouts = types_of(kernel, module, struct)
    return module, read(kernel, layouts, context)


def types_of(kernel: Kernel, module: str, struct: str) -> Layouts:
    """Structures of a driver, which may be a module or built in.

    :param struct: one of them
    :raises KernelError: there are none
    """
    try:
        return Layouts(kernel.module_btf(module))
    except KernelError as error:
        try:
            kernel.layouts[struct]
        except KernelError:
            raise error from None
        return kernel.layouts


def _ping_pong(kernel: Kernel, layouts: Layouts, context: int) -> PingPong:
    record = layouts["pp_ctx"].parse(kernel.virtual, context)
    return PingPong(
        in_db=record.number("in_db"),
        out_db=record.number("out_db"),
        out_peer=record.signed("out_pidx"),
        next_mask=record.number("nmask"),
        previous_mask=record.number("pmask"),
        count=record.signed("count.counter"),
    )


def _tool(kernel: Kernel, layouts: Layouts, context: int) -> Tool:
    record = layouts["tool_ctx"].parse(kernel.virtual, context)
    window, peer = layouts["tool_mw"], layouts["tool_peer"]
    outbound = _tool_windows(kernel, window, record.number("outmws"), record.number("outmw_cnt"))
    inbound: list[ToolWindow] = []
    for index in range(min(record.number("peer_cnt"), MOST_PEERS)):
        one = peer.parse(kernel.virtual, record.number("peers") + index * peer.size)
        inbound += _tool_windows(kernel, window, one.number("inmws"), one.number("inmw_cnt"))
    return Tool(tuple(outbound), tuple(inbound))


def _tool_windows(kernel: Kernel, layout: Layout, address: int, count: int) -> Iterator[ToolWindow]:
    for index in range(min(count, MOST_WINDOWS)):
        one = layout.parse(kernel.virtual, address + index * layout.size)
        if one.number("io_base"):
            yield ToolWindow(
                index=one.signed("widx"),
                peer=one.signed("pidx"),
                address=one.number("tr_base"),
                size=one.number("size"),
            )


def _perf(kernel: Kernel, layouts: Layouts, context: int) -> Perf:
    record = layouts["perf_ctx"].parse(kernel.virtual, context)
    layout = layouts["perf_peer"]
    count = min(record.number("pcnt"), MOST_PEERS)
    peers = (
        _perf_peer(kernel, layout, record.number("peers") + index * layout.size)
        for index in range(count)
    )
    busy = bool(record.number("busy_flag"))
    return Perf(window=record.signed("gidx"), busy=busy, peers=tuple(peers))


def _perf_peer(kernel: Kernel, layout: Layout, address: int) -> PerfPeer:
    record = layout.parse(kernel.virtual, address)
    status = record.number("sts")
    has_buffer = bool(record.number("inbuf"))
    return PerfPeer(
        index=record.signed("pidx"),
        window=record.signed("gidx"),
        out_address=record.number("outbuf_xlat"),
        out_size=record.number("outbuf_size"),
        out_mapped=record.number("out_phys_addr") if record.has("out_phys_addr") else 0,
        in_address=record.number("inbuf_xlat") if has_buffer else 0,
        in_size=record.number("inbuf_size") if has_buffer else 0,
        link_up=bool(status >> PERF_STS_LNKUP & 1),
        done=bool(status >> PERF_STS_DONE & 1),
    )


Read = Callable[["Kernel", Layouts, int], Client]
KNOWN: dict[str, tuple[str, str, Read]] = {
    "pp_ops": ("ntb_pingpong", "pp_ctx", _ping_pong),
    "tool_ops": ("ntb_tool", "tool_ctx", _tool),
    "perf_ops": ("ntb_perf", "perf_ctx", _perf),
}
"""By the symbol of its operations: module, structure, reader."""
