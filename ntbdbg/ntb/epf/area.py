# SPDX-License-Identifier: MIT
"""Layout of what only a port of an NTB endpoint function (`ntb-epf-ivshmem`) has in the page.

The C side of the contract is ``qemu_src/include/hw/ntb/epf_ntb_shm.h``; names, order and sizes are
the same, and a test compares the two field by field.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from construct import Int32ub, Int32ul, Int64ub, Int64ul, Struct

from ntbdbg.ntb import page

if TYPE_CHECKING:
    from ntbdbg.ntb.page import Endian

MODEL = 0x0809
NUM_MW = 4
NUM_DB = 32
MW_NONE, MW_SET, MW_REFUSED = range(3)
BAD_SIZE, BAD_ALIGN, BAD_WRAP = range(1, 4)


@dataclass(frozen=True)
class EpfLayout:
    """The structures in one byte order: `construct.Struct` each.

    :ivar area: the device area, from `page.DEVICE_OFF` on
    :ivar port: all that a block of such a port holds
    """

    mw: Any
    area: Any
    port: Any


@functools.cache
def layout(endian: Endian) -> EpfLayout:
    """The layouts for a host of byte order `endian`."""
    u32, u64 = (Int32ul, Int64ul) if endian == "little" else (Int32ub, Int64ub)
    mw = _mw(u32, u64)
    area = _area(u32, u64, mw)
    return EpfLayout(mw, area, Struct(*page.layout(endian).common.subcons, *area.subcons))


def _mw(u32: Any, u64: Any) -> Any:
    """``struct epf_ntb_shm_mw``: where the peer's window leads in the owner's guest."""
    return Struct(
        "addr" / u64 * "guest-physical address",
        "size" / u64 * "bytes",
        "state" / u32 * "0 none, 1 set, 2 refused: addr and size are what was asked",
        "reason" / u32 * "of a refusal: 1 size, 2 alignment of the address, 3 the end wraps",
    )


def _area(u32: Any, u64: Any, mw: Any) -> Any:
    """``struct epf_ntb_shm_area``, the device area of model 0x0809."""
    return Struct(
        "command" / u32 * "COMMAND, the last one",
        "argument" / u32 * "ARGUMENT",
        "status" / u32 * "CMD_STATUS | LINK_STATUS << 16, as the guest would read them",
        "vectors" / u32 * "MSI-X vectors that may be raised; 0: CONFIGURE_DOORBELL is due",
        "link_enabled" / u32 * "1: LINK_UP is in force",
        "pending" / u32 * "the command that waits for the peer, 0: none",
        "mw_seq" / u32 * "odd while mw is being written",
        "spad_count" / u32 * "SPAD_COUNT",
        "mw" / mw[NUM_MW] * "where the peer's windows lead in this guest",
        "rung" / u64[NUM_DB] * "doorbells that this guest rang, by the peer's vector",
        "raised" / u64[NUM_DB] * "doorbells that were raised here, by vector",
        "dropped_tx" / u64 * "doorbells not sent: the link was down, or vector 0 or 1",
        "dropped_rx" / u64 * "doorbells not raised: the link was down, or no such vector in use",
        "link_irqs" / u64 * "interrupts for a link that the peer has changed",
        "commands" / u64 * "commands",
        "refused" / u64 * "commands that were answered by ERROR",
        "take_ins" / u64 * "scratchpad reads that first took in what the peer had done",
        "msix_ctl" / u32 * "MSI-X message control",
        "msix_masked" / u32 * "bit n: vector n is masked",
        "msix_pending" / u32 * "bit n: vector n waits until it is unmasked",
        "lower_addr" / u32 * "LOWER_ADDR",
        "upper_addr" / u32 * "UPPER_ADDR",
        "lower_size" / u32 * "LOWER_SIZE",
        "upper_size" / u32 * "UPPER_SIZE",
        "rsvd_8cc" / u32[1],
    )
