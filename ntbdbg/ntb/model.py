# SPDX-License-Identifier: MIT
"""What the link consists of, as plain frozen objects.

`ntbdbg.ntb.decode` makes them from the shared page, `ntbdbg.ntb.windows` derives the memory
windows. Nothing here depends on construct. Section numbers (§) are those of the device's
register specification, `docs/registers.md`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ntbdbg.errors import NtbError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntbdbg.memory.base import Segment

BME = 1 << 2
"""PCI command: bus master enable."""
IDPROTDIS = 1 << 0
"""NTCTL: requester ids are not checked."""
CPEN = 1 << 1
"""NTCTL: completions enabled; the driver's "link enabled"."""
MTBL_VALID = 1 << 0
"""Mapping-table entry: valid."""


class PortState(enum.IntEnum):
    """Who holds a port."""

    FREE = 0
    CLAIMED = 1
    ATTACHED = 2


class PortFlags(enum.IntFlag):
    """What a port says about itself."""

    RAM_SHARED = 1 << 0
    IOMMU = 1 << 1
    SERVER_LOST = 1 << 2
    UNPLUGGED = 1 << 3


class WindowType(enum.Enum):
    """How a window translates (BARSETUP.ATRAN)."""

    DIRECT = "direct"
    LUT12 = "LUT12"
    LUT24 = "LUT24"
    RESERVED = "reserved"


class Why(enum.Enum):
    """Every reason for which a window is closed; the value begins the explanation."""

    RESERVED = "its kind of translation is reserved"
    BAR_UNMAPPED = "its own guest has not mapped the BAR"
    LIMIT_ZERO = "limit 0"
    LIMIT_LOW = "the limit is not above the BAR"
    LUT_INVALID = "its lookup-table entry is not valid"
    OWN_PARTITION = "the target partition is its own"
    NO_PARTITION = "the target partition is not configured"
    OWNER_ABSENT = "the port is not attached"
    OWNER_DEAD = "the port's QEMU is gone"
    OWNER_UNPLUGGED = "its own port's cable is out"
    OWNER_LINKUP = "its own port is off the link or in reset"
    OWNER_BME = "its own guest has not enabled bus mastering"
    OWNER_CPEN = "its own guest has not enabled the link"
    OWNER_MTBL = "its own mapping-table entry is not valid"
    PEER_ABSENT = "the peer is not attached"
    PEER_DEAD = "the peer's QEMU is gone"
    PEER_UNPLUGGED = "the peer's cable is out"
    PEER_LINKUP = "the peer is off the link or in reset"
    PEER_BME = "the peer has not enabled bus mastering"
    PEER_CPEN = "the peer has not enabled the link"
    PEER_MTBL = "the peer's mapping-table entry is not valid"
    PEER_IOMMU = "the peer's DMA addresses are not physical ones"
    PEER_RAM_PRIVATE = "the peer's RAM is not in a shared file"
    PEER_RAM_TABLE = "the peer's RAM table is not usable"
    PEER_UNSET = "the peer has set no translation"
    PEER_REFUSED = "the peer's translation was refused"
    NO_RAM = "the translation reaches no RAM of the peer"


@dataclass(frozen=True)
class Closed:
    """One reason, with the values that make it so: `text` ends like ``(NTCTL.CPEN=0)``."""

    why: Why
    text: str


@dataclass(frozen=True)
class Doorbell:
    """The inbound doorbells of a port; 32 bits each.

    :ivar events: wake-ups that brought doorbell bits, since attach
    :ivar sent: doorbell writes by this port, since attach
    """

    status: int
    mask: int
    events: int
    sent: int

    @property
    def pending(self) -> int:
        """Bits that are set and not masked: the ones that interrupt."""
        return self.status & ~self.mask


@dataclass(frozen=True)
class MessageRegister:
    """Message register `index` of a port, both directions.

    :ivar data: last message received; keeps its value after the status is cleared
    :ivar source: partition that sent it
    :ivar full: not yet cleared by the guest, so the next one is refused (INMSGSTS)
    :ivar masked: does not interrupt
    :ivar sent: last value written to OUTMSG
    :ivar failed: the last send was refused (OUTMSGSTS)
    :ivar failed_masked: a refused send does not interrupt
    :ivar route_partition: where OUTMSG sends to
    :ivar route_register: which message register there
    """

    index: int
    data: int
    source: int
    full: bool
    masked: bool
    sent: int
    failed: bool
    failed_masked: bool
    route_partition: int
    route_register: int


@dataclass(frozen=True)
class Translation:
    """What the owner's driver programmed for a window.

    :ivar partition: target partition
    :ivar address: guest-physical address there
    :ivar limit: exclusive end as a bus address of the owner, 0 for none; None where a lookup
        table translates, which has no limits
    """

    partition: int
    address: int
    limit: int | None


@dataclass(frozen=True)
class LutEntry:
    """One entry of a lookup table, as LUTLDATA, LUTMDATA and LUTUDATA show it (§1.2)."""

    low: int
    high: int
    upper: int

    @property
    def address(self) -> int:
        """Guest-physical address in the target."""
        return self.low & ~3 | self.high << 32

    @property
    def partition(self) -> int:
        """PART, 0..15."""
        return self.upper & 0xF

    @property
    def is_valid(self) -> bool:
        return bool(self.upper >> 31)


@dataclass(frozen=True)
class Piece:
    """`size` bytes from window offset `offset` on: RAM of the peer at `gpa`, or a gap.

    :ivar gap: why nothing is there, None for RAM
    :ivar trapped: the device copies each access, because no whole page could be mapped (§2.5)
    """

    offset: int
    size: int
    gpa: int
    gap: str | None = None
    trapped: bool = False


@dataclass(frozen=True)
class MemoryWindow:
    """Outbound window `index` of a port.

    :ivar partition: the port it belongs to
    :ivar bar: number of the BAR it lies in
    :ivar entry: entry of that BAR's lookup table, 0 for a direct window
    :ivar aperture: bytes that the window could span
    :ivar base: where its own guest sees it (guest-physical), None while not mapped
    :ivar size: bytes in use, 0..aperture, by the limit; the tail may be a gap
    :ivar pieces: what the offsets 0..size reach, in order, even while the window is closed
    :ivar closed: every reason why it is closed; empty when open
    :ivar device_open: what the device itself says (mw_open), None when no device is there
    :ivar device_trapped: whether the device says that it copies some of it (mw_trapped)
    :ivar mirrors: indices of the windows one of whose translation it borrows, because it has
        none and the switch mirrors (§2.7); `translation` is None if it may be any of several
    """

    partition: int
    index: int
    bar: int
    kind: WindowType
    entry: int
    aperture: int
    base: int | None
    size: int
    translation: Translation | None
    pieces: tuple[Piece, ...]
    closed: tuple[Closed, ...]
    device_open: bool | None
    device_trapped: bool | None = None
    mirrors: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether writes arrive, as derived from every port's registers."""
        return not self.closed

    @property
    def device_agrees(self) -> bool:
        """False when the device says otherwise: a bug in one of the two, or a moving target."""
        if self.device_open is None:
            return True
        unknown = self.device_trapped is None or not self.is_open or self.translation is None
        return self.device_open == self.is_open and (
            unknown or self.device_trapped == self.is_trapped
        )

    @property
    def is_trapped(self) -> bool:
        """Whether the device copies accesses to some of it."""
        return any(piece.trapped for piece in self.pieces)

    @property
    def why_closed(self) -> str:
        """All reasons in one line."""
        return "; ".join(reason.text for reason in self.closed)

    @property
    def reached(self) -> tuple[Piece, ...]:
        """The pieces that are RAM of the peer."""
        return tuple(piece for piece in self.pieces if piece.gap is None)


@dataclass(frozen=True)
class NtPort:
    """One NT port of the switch, as its block of the shared page describes it.

    :ivar partition: its partition, the index used everywhere
    :ivar number: its switch port: 0, 2, 4, 6, 8 or 12
    :ivar alive: whether its QEMU lives; None when that cannot be known (a capture)
    :ivar started_ns: CLOCK_REALTIME at attach, nanoseconds
    :ivar segments: the guest's RAM as published; empty when not usable
    :ivar segments_problem: why `segments` cannot be used, None if they can
    :ivar bar_addr: guest-physical base per BAR, None while not mapped
    :ivar image: registers 0x400-0x4ff, 64 words
    :ivar lut: the lookup tables of BAR2 and BAR4, whether those BARs use them or not
    :ivar block: every word of the block by its C name, for registers and tools
    :ivar problems: what is wrong in the block, a clause each
    """

    partition: int
    number: int
    state: PortState
    alive: bool | None
    ivshmem_id: int
    incarnation: int
    pid: int
    started_ns: int
    flags: PortFlags
    linkup: bool
    pcicmd: int
    ntctl: int
    mtbl: int
    pcielctlsts: int
    down_epoch: int
    ack: tuple[int, ...]
    doorbell: Doorbell
    messages: tuple[MessageRegister, ...]
    segments: tuple[Segment, ...]
    segments_problem: str | None
    ram_size: int
    bar_addr: tuple[int | None, ...]
    image: tuple[int, ...]
    lut: tuple[tuple[LutEntry, ...], ...]
    mw_open: int
    mw_trapped: int
    problems: tuple[str, ...]
    block: Mapping[str, object] = field(repr=False, compare=False)

    @property
    def is_attached(self) -> bool:
        """Whether a living QEMU has the port on the link."""
        return self.state is PortState.ATTACHED and self.alive is not False

    @property
    def bus_master(self) -> bool:
        """PCI command, bit 2."""
        return bool(self.pcicmd & BME)

    @property
    def link_enabled(self) -> bool:
        """NTCTL.CPEN."""
        return bool(self.ntctl & CPEN)

    @property
    def mapping_valid(self) -> bool:
        """VALID of the port's own mapping-table entry."""
        return bool(self.mtbl & MTBL_VALID)

    def register(self, offset: int) -> int:
        """The image's word for the register at `offset`, 0x400..0x4fc."""
        return self.image[(offset - 0x400) // 4]


@dataclass(frozen=True)
class PageHeader:
    """The switch itself. `barsetup` holds alike for every port; `ring_off` is 0 without rings."""

    major: int
    minor: int
    endian: Literal["little", "big"]
    nports: int
    model: int
    nonce: int
    port_bitmap: int
    loopback: bool
    mirror_mw: bool
    barsetup: tuple[int, ...]
    port_off: int
    port_stride: int
    ring_off: int = 0
    ring_stride: int = 0
    ring_entries: int = 0


@dataclass(frozen=True)
class Link:
    """The switch, its ports and their windows at one moment.

    :ivar source: what messages call the page, its path
    :ivar problems: what is odd about the page as a whole, a clause each
    """

    source: str
    header: PageHeader
    ports: tuple[NtPort, ...]
    windows: tuple[MemoryWindow, ...]
    problems: tuple[str, ...] = ()

    def port(self, partition: int) -> NtPort:
        """The port of `partition`; NtbError names those that exist."""
        if not 0 <= partition < len(self.ports):
            raise NtbError(
                f"{self.source}: no partition {partition}",
                hint=f"this switch has 0 to {len(self.ports) - 1}",
            )
        return self.ports[partition]

    def windows_of(self, partition: int) -> tuple[MemoryWindow, ...]:
        """The outbound windows of one port, by index."""
        return tuple(window for window in self.windows if window.partition == partition)

    def window(self, partition: int, index: int, *, owner: str | None = None) -> MemoryWindow:
        """Window `index` of `partition`; NtbError says which exist.

        :param owner: what errors call whose it would be, by default the port
        """
        port = self.port(partition)
        mine = self.windows_of(partition)
        for window in mine:
            if window.index == index:
                return window
        last = mine[-1].index if mine else None
        known = "it has none" if last is None else f"it has mw0 to mw{last}" if last else "only mw0"
        raise NtbError(
            f"{owner or f'{self.source}: port {port.number}'} has no mw{index}", hint=known
        )

    def sees_up(self, partition: int, peer: int) -> bool:
        """Whether the driver on `partition` reports its link to `peer` as up (§1.4)."""
        return self._enabled(partition) and self._enabled(peer) and self.ports[peer].linkup

    def _enabled(self, partition: int) -> bool:
        port = self.port(partition)
        attached = port.is_attached
        return attached and port.bus_master and port.link_enabled and port.mapping_valid
