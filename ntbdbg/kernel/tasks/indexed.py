# SPDX-License-Identifier: MIT
"""What a kernel keeps by number: one entry of an xarray (a radix tree until 4.20), or maple tree.

Both end at a pointer that is no node; a node is a pointer whose two low bits are 0b10
(``xa_is_internal``, ``include/linux/xarray.h``). Whatever the guest says, no way is deeper than
a sound tree's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Layout, Record
    from ntbdbg.kernel.image.image import KernelImage

INTERNAL, INTERNAL_BITS = 2, 3
SMALLEST_NODE = 4096
"""``xa_is_node``: internal entries below it are marks, such as those of siblings."""

SIBLINGS = 62
"""``xa_is_sibling``: an internal entry below it names a slot of the same node."""

DEEPEST = 16
"""An xarray of 64-bit numbers has 11 levels, a maple tree fewer."""

NODE_MASK = 255
"""``MAPLE_NODE_MASK``: a maple node is aligned so; its type is in bits 3 to 6."""

LEAF, RANGE, ARANGE = 1, 2, 3
"""``enum maple_type`` (``include/linux/maple_tree.h``)."""


def load_xarray(kernel: KernelImage, address: int, index: int) -> int:
    """What the ``struct xarray`` at a VA has under `index`, 0 for nothing.

    :raises KernelError: it is damaged, or its types are not known
    :raises FaultError: a node of it is not there
    """
    layout = kernel.layouts["xa_node"]
    slots = layout.length("slots", 64)
    head = kernel.layouts["xarray"].read_number(kernel.virtual, address, "xa_head")
    if not _is_node(head):
        return head if index == 0 else 0
    for level in range(DEEPEST):
        node = _parse(kernel, layout, head - INTERNAL)
        offset = index >> node.number("shift")
        if level == 0 and offset >= slots:
            return 0
        head = node.number(f"slots[{offset % slots}]")
        if head & INTERNAL_BITS == INTERNAL and head >> 2 < SIBLINGS:
            head = node.number(f"slots[{(head >> 2) % slots}]")
        if not _is_node(head):
            return head
    raise _too_deep("xarray", address)


def load_maple(kernel: KernelImage, address: int, index: int) -> int:
    """As `load_xarray`, of the ``struct maple_tree`` at a VA."""
    layout = kernel.layouts["maple_node"]
    entry = kernel.layouts["maple_tree"].read_number(kernel.virtual, address, "ma_root")
    if not _is_node(entry):
        return entry if index == 0 else 0
    for _ in range(DEEPEST):
        kind = entry >> 3 & 15
        form = {LEAF: "mr64", RANGE: "mr64", ARANGE: "ma64"}.get(kind)
        if form is None:
            raise KernelError(f"the maple tree at {address:#x} is damaged: a node of type {kind}")
        entry = _slot(_parse(kernel, layout, entry & ~NODE_MASK), form, index)
        if kind == LEAF:
            return entry
    raise _too_deep("maple tree", address)


def _slot(node: Record, form: str, index: int) -> int:
    """The slot whose range `index` is in: each pivot is the last number of its slot's.

    The last slot in use has no pivot of its own, or 0.
    """
    pivots = node.layout.length(f"{form}.pivot", 64)
    for slot in range(pivots):
        pivot = node.number(f"{form}.pivot[{slot}]")
        if index <= pivot or (slot and not pivot):
            return node.number(f"{form}.slot[{slot}]")
    return node.number(f"{form}.slot[{pivots}]")


def _parse(kernel: KernelImage, layout: Layout, address: int) -> Record:
    kernel.budget.step()
    return layout.parse(kernel.virtual, address)


def _is_node(entry: int) -> bool:
    return entry & INTERNAL_BITS == INTERNAL and entry > SMALLEST_NODE


def _too_deep(what: str, address: int) -> KernelError:
    return KernelError(f"the {what} at {address:#x} is damaged: it is deeper than {DEEPEST} levels")
