# SPDX-License-Identifier: MIT
"""Interrupts in a fake guest: descriptors in a tree as kernels before or since 6.5 keep them.

irqs = FakeIrqs(guest)                                     # a maple tree
irq = irqs.add(24, counts=(3, 4), message=(0xFEE0_0000, 0x4021))
irq["action"] = 0                                          # nobody handles it
"""

from __future__ import annotations

from tests.support.fakekernel import FakeGuest, FakeStruct

TYPES = """
struct msi_msg { union { u32 address_lo; }; union { u32 address_hi; }; union { u32 data; }; };
struct msi_desc { unsigned int irq; unsigned int nvec_used; void *dev; struct msi_msg msg; };
struct irq_common_data {
    unsigned int state_use_accessors; unsigned int node; void *handler_data;
    struct msi_desc *msi_desc;
};
struct irq_desc {
    struct irq_common_data irq_common_data; void *kstat_irqs; void *handle_irq; void *action;
    unsigned int status_use_accessors; unsigned int depth; unsigned long threads_oneshot;
};
struct xarray { unsigned int xa_lock; unsigned int xa_flags; void *xa_head; };
struct xa_node {
    unsigned char shift, offset, count, nr_values; struct xa_node *parent; void *array;
    struct list_head private_list; void *slots[64]; unsigned long marks[3];
};
struct maple_tree { unsigned int lock; unsigned int ma_flags; void *ma_root; };
struct maple_metadata { unsigned char end; unsigned char gap; };
struct maple_range_64 {
    void *parent; unsigned long pivot[15];
    union { void *slot[16]; struct { void *pad[15]; struct maple_metadata meta; }; };
};
struct maple_arange_64 {
    void *parent; unsigned long pivot[9]; void *slot[10]; unsigned long gap[10];
    struct maple_metadata meta;
};
struct maple_node { union { struct maple_range_64 mr64; struct maple_arange_64 ma64; }; };
"""
LAST = (1 << 64) - 1
HANDLER = 0xFFFF_8880_0000_1000
NODE, NULL_BELOW = 2, 4
"""Bits of an entry that is a node, and of a maple node with free numbers below."""


class FakeIrqs:
    """The interrupts of `guest`.

    :param maple: whether they are in a maple tree, else in an xarray
    """

    def __init__(self, guest: FakeGuest, *, maple: bool = True) -> None:
        self.guest = guest
        self._found: dict[int, FakeStruct] = {}
        guest.types.declare(TYPES)
        if maple:
            self.tree = guest.variable("sparse_irqs", "struct maple_tree")
            self._store = self._store_maple
        else:
            self.tree = guest.variable("irq_desc_tree", "struct xarray")
            self._store = self._store_xarray

    def add(
        self,
        number: int,
        *,
        counts: tuple[int, ...] = (0, 0),
        message: tuple[int, int] | None = None,
    ) -> FakeStruct:
        """Interrupt `number` below 4096, enabled and handled; gives its ``irq_desc``.

        :param counts: how many each CPU took
        :param message: address and data of its MSI
        """
        name = f"fake_kstat_{number}"
        self.guest.percpu(name, "unsigned int", *counts)
        made = self.guest.new("struct irq_desc", action=HANDLER)
        made["kstat_irqs"] = self.guest.symbols[name]
        if message:
            msi = self.guest.new("struct msi_desc", irq=number)
            msi["msg.address_lo"] = message[0] & 0xFFFF_FFFF
            msi["msg.address_hi"] = message[0] >> 32
            msi["msg.data"] = message[1]
            made["irq_common_data.msi_desc"] = msi
        self._found[number] = made
        self._store()
        return made

    def _store_xarray(self) -> None:
        root = self.guest.new("struct xa_node", shift=6)
        leaves: dict[int, FakeStruct] = {}
        for number, irq in self._found.items():
            above = number >> 6
            if above not in leaves:
                leaves[above] = self.guest.new("struct xa_node")
                root[f"slots[{above}]"] = leaves[above].address | NODE
            leaves[above][f"slots[{number & 63}]"] = irq
        self.tree["xa_head"] = root.address | NODE

    def _store_maple(self) -> None:
        """Ranges of numbers, each with its last one; the last range of a node has no pivot."""
        ranges: list[tuple[int, int]] = []
        free = 0
        for number, irq in sorted(self._found.items()):
            if number > free:
                ranges.append((number - 1, 0))
            ranges.append((number, irq.address))
            free = number + 1
        ranges.append((LAST, 0))
        leaves = [self._leaf(ranges[at : at + 12]) for at in range(0, len(ranges), 12)]
        _, only = leaves[0]
        root = self._node("ma64", leaves) | 3 << 3 | NULL_BELOW if len(leaves) > 1 else only
        self.tree["ma_root"] = root | NODE

    def _leaf(self, ranges: list[tuple[int, int]]) -> tuple[int, int]:
        return ranges[-1][0], self._node("mr64", ranges) | 1 << 3 | NULL_BELOW

    def _node(self, form: str, ranges: list[tuple[int, int]]) -> int:
        va = self.guest.alloc(self.guest.types["struct maple_node"].size, align=256)
        node = self.guest.at(va, "struct maple_node")
        for index, (last, value) in enumerate(ranges):
            node[f"{form}.slot[{index}]"] = value
            if index < len(ranges) - 1:
                node[f"{form}.pivot[{index}]"] = last
        return va
