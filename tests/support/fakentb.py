# SPDX-License-Identifier: MIT
"""An NTB from both sides: a switch as drivers leave it, and what their guests keep in memory.

    switch = idt_switch()                              # two ports, 13 windows each, pingpong bound
    FakeIdt(guest, port=0, part=0, peers=[(2, 1)]).ping_pong(in_db=1, out_db=4)

`FakeIdt` writes the structures of Linux' ntb_hw_idt and its clients; their types are in the
kernel's own BTF, as if the drivers were built in.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakepci import MEM, MEM_64_PREFETCH, FakePci
from tests.support.fakeswitch import BAR0, BAR2_DIRECT_2M, BAR4_LUT12_32M, FakeSwitch

BARSETUP = (BAR0, 0, BAR2_DIRECT_2M, 0, BAR4_LUT12_32M, 0)
APERTURE = 2 << 20
BARS = {0: 0xFEB0_0000, 2: 0xFE00_0000, 4: 0xFE40_0000}
SIZES = {0: 0x1000, 2: APERTURE, 4: 32 << 20}

TYPES = """
enum idt_mw_type { IDT_MW_DIR, IDT_MW_LUT12, IDT_MW_LUT24 };
struct idt_mw_cfg {
    enum idt_mw_type type; unsigned char bar, idx; u64 addr_align, size_align, size_max;
};
struct idt_ntb_peer { unsigned char port, part, mw_cnt; struct idt_mw_cfg *mws; };
struct idt_89hpes_cfg { char *name; unsigned char port_cnt; unsigned char ports[]; };
struct ntb_dev {
    struct device dev; struct pci_dev *pdev; void *ops; void *ctx; void *ctx_ops;
};
struct idt_ntb_dev {
    struct ntb_dev ntb; struct idt_89hpes_cfg *swcfg; unsigned char port, part, peer_cnt;
    struct idt_ntb_peer peers[8]; unsigned char mw_cnt; struct idt_mw_cfg *mws; void *cfgspc;
};
struct pp_ctx {
    struct ntb_dev *ntb; u64 in_db, out_db; int out_pidx; u64 nmask, pmask; atomic_t count;
};
struct tool_mw {
    int widx, pidx; void *tc; union { u8 *mm_base; void *io_base; };
    union { dma_addr_t dma_base; u64 tr_base; }; resource_size_t size;
};
struct tool_peer { int pidx; void *tc; int inmw_cnt; struct tool_mw *inmws; };
struct tool_ctx {
    struct ntb_dev *ntb; int outmw_cnt; struct tool_mw *outmws; int peer_cnt;
    struct tool_peer *peers;
};
struct perf_peer {
    void *perf; int pidx, gidx; u64 outbuf_xlat; resource_size_t outbuf_size; void *outbuf;
    phys_addr_t out_phys_addr; dma_addr_t inbuf_xlat; resource_size_t inbuf_size; void *inbuf;
    unsigned long sts;
};
struct perf_ctx {
    struct ntb_dev *ntb; int gidx, pcnt; struct perf_peer *peers; unsigned long busy_flag;
};
"""


def idt_switch(nports: int = 2) -> FakeSwitch:
    """Ports whose links are up, with everything masked, as ntb_pingpong leaves them."""
    switch = FakeSwitch(nports, barsetup=BARSETUP)
    for part in range(nports):
        port = switch.port(part)
        port.indbellmsk, port.msgstsmsk = 0xFFFF_FFFF, 0x000F_000F
        for bar, address in BARS.items():
            port.bar_addr[bar] = address
    switch.link_up()
    return switch


class FakeIdt:
    """ntb_hw_idt bound to 0000:00:02.0 of `guest`."""

    def __init__(
        self,
        guest: FakeGuest,
        pci: FakePci,
        *,
        port: int,
        part: int,
        peers: Sequence[tuple[int, int]],
        windows: int = 13,
    ) -> None:
        self.guest = guest
        guest.types.declare(TYPES)
        self.dev = guest.new("struct idt_ntb_dev", port=port, part=part, peer_cnt=len(peers))
        config = guest.new("struct idt_89hpes_cfg", name=guest.text("89HPES24NT6AG2"))
        self.windows = self._windows(windows)
        self.dev.set(swcfg=config, mw_cnt=windows, mws=self.windows[0])
        for index, (number, partition) in enumerate(peers):
            self.dev[f"peers[{index}].port"] = number
            self.dev[f"peers[{index}].part"] = partition
            self.dev[f"peers[{index}].mw_cnt"] = windows
            self.dev[f"peers[{index}].mws"] = self.windows[0]
        self.pci = pci.add(
            "0000:00:02.0",
            0x111D,
            0x8091,
            0x068000,
            driver="ntb_hw_idt",
            bars={n: (BARS[n], SIZES[n], MEM if n == 0 else MEM_64_PREFETCH) for n in BARS},
            bus_master=True,
            driver_data=self.dev,
        )
        registers = guest.direct_map - 0x1000_0000  # where nothing else is
        guest.space.map(registers, BARS[0], 0x1000, page=0x1000)
        self.dev["cfgspc"] = registers
        self.dev["ntb.pdev"] = self.pci

    def bind(self, operations: str, context: FakeStruct) -> FakeStruct:
        """Have a client bound: the symbol of its ntb_ctx_ops, and its state."""
        self.dev["ntb.ctx_ops"] = self.guest.data(operations, 24, kind="d")
        self.dev["ntb.ctx"] = context
        return context

    def ping_pong(self, *, in_db: int, out_db: int, count: int = 7) -> FakeStruct:
        """ntb_pingpong."""
        context = self.guest.new("struct pp_ctx", in_db=in_db, out_db=out_db, nmask=1)
        context["count.counter"] = count
        return self.bind("pp_ops", context)

    def tool(self, outbound: Sequence[tuple[int, int, int]] = ()) -> FakeStruct:
        """ntb_tool with windows (index, address, size) towards peer 0."""
        array = self._array("struct tool_mw", 13)
        for index, window in enumerate(array):
            window.set(widx=index, pidx=-1)
        for index, address, size in outbound:
            array[index].set(pidx=0, io_base=BARS[2], tr_base=address, size=size)
        inbound = self._array("struct tool_mw", 2)
        inbound[0].set(widx=0, io_base=BARS[2], dma_base=0x40_0000, size=0x10000)
        peer = self.guest.new("struct tool_peer", inmw_cnt=2, inmws=inbound[0])
        context = self.guest.new("struct tool_ctx", outmw_cnt=13, outmws=array[0])
        context.set(peer_cnt=1, peers=peer)
        return self.bind("tool_ops", context)

    def perf(self, **members: object) -> FakeStruct:
        """ntb_perf with one peer; `members` of its perf_peer. Gives that."""
        peer = self.guest.new("struct perf_peer", **members)
        context = self.guest.new("struct perf_ctx", pcnt=1, peers=peer)
        self.bind("perf_ops", context)
        return peer

    def _windows(self, count: int) -> list[FakeStruct]:
        made = self._array("struct idt_mw_cfg", count)
        for index, window in enumerate(made):
            lut = index > 0
            window.set(type=lut, bar=4 if lut else 2, idx=index - lut, size_max=APERTURE)
        return made

    def _array(self, kind: str, count: int) -> list[FakeStruct]:
        size = self.guest.types[kind].size
        start = self.guest.alloc(count * size)
        return [self.guest.at(start + index * size, kind) for index in range(count)]
