# SPDX-License-Identifier: MIT
"""ntb_tool's debugfs files, as shell scripts to run inside a guest.

Source: drivers/ntb/test/ntb_tool.c. `mw_trans0` makes an inbound buffer and tells its DMA
address; `peer_mw_trans0` points this guest's outbound window at an address of the peer;
`mw0` and `peer_mw0` are the bytes behind them.
"""

from __future__ import annotations

import re

DIRECTORY = "/sys/kernel/debug/ntb_tool/*"
PEER = f"{DIRECTORY}/peer0"

#: the one client of the NTB device becomes ntb_tool instead of ntb_pingpong
SWAP_CLIENT = "rmmod ntb_pingpong; modprobe ntb_tool && ls -d /sys/kernel/debug/ntb_tool/*/peer0"

LINK_UP = f"cd {DIRECTORY} && echo Y > link"
LINK_STATE = f"cat {PEER}/link"
BUFFER_INFO = f"cat {PEER}/mw_trans0"

#: an outbound window is closed before the peer gives the buffer behind it back
CLEAR_WINDOW = f"cd {PEER} && echo 0:0 > peer_mw_trans0"
FREE_BUFFER = f"cd {PEER} && echo 0 > mw_trans0"


def make_buffer(size: int, window: int = 0) -> str:
    """Allocate an inbound buffer of `size` bytes and print what the driver says about it."""
    return f"cd {PEER} && echo {size:#x} > mw_trans{window} && cat mw_trans{window}"


def point_window(address: int, size: int, window: int = 0) -> str:
    """Translate an outbound window to `address` of the peer."""
    return f"cd {PEER} && echo {address:#x}:{size:#x} > peer_mw_trans{window}"


def write_window(text: str, window: int = 0) -> str:
    """Store `text` through the BAR, at the window's start."""
    return f"printf %s '{text}' > $(echo {PEER}/peer_mw{window})"


def read_buffer(size: int, window: int = 0) -> str:
    """Print the first `size` bytes of this guest's own inbound buffer."""
    return f"head -c {size} {PEER}/mw{window}"


def dma_address(info: str) -> int:
    """The DMA address in what `make_buffer` printed."""
    match = re.search(r"^DMA Address\s+(0x[0-9a-fA-F]+)", info, re.MULTILINE)
    if match is None:
        raise ValueError(f"no DMA address in {info!r}")
    return int(match.group(1), 16)
