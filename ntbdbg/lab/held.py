# SPDX-License-Identifier: MIT
"""What the QEMUs that run tell of a RAM file that no run.json knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import TargetError
from ntbdbg.lab.qemus import qemu_processes

if TYPE_CHECKING:
    from ntbdbg.memory.file import CheckedFile


class Held(NamedTuple):
    """What the QEMUs that run tell of a file.

    :ivar stale: why it does not hold what a guest has in its RAM now; None if it does
    :ivar flat: whether it is no machine's RAM, so that offsets are all there is
    """

    stale: str | None = None
    flat: bool = False


def ask_holders(path: str, file: CheckedFile, forced: bool, note: Callable[[str], None]) -> Held:
    """Ask about a file that no run.json knows.

    :param forced: whether the user says where it lies
    :param note: called with what the user should know
    :raises TargetError: it is not forced, and is the file of a further NUMA node
    """
    pids = qemu_processes()
    if not pids:
        return Held()
    from ntbdbg.lab.holders import holders, is_of_ivshmem, numa_node

    found = holders(file, pids)
    for holder in found:
        node = numa_node(holder.argv, path)
        if node and not forced:
            raise TargetError(
                f"{path} is RAM of NUMA node {node} of QEMU process {holder.pid}, so it does not "
                "begin at guest-physical address 0",
                hint="say where it lies: --segments GPA:SIZE:0",
            )
        if node == 0:
            note(
                f"{path} is RAM of the first of several NUMA nodes of QEMU process {holder.pid}: "
                "more of its guest's RAM is in other files"
            )
        if is_of_ivshmem(holder.argv, path):
            if not forced:
                note(
                    f"{path} is what an ivshmem device of QEMU process {holder.pid} shows, no RAM "
                    "of a machine: addresses are offsets in it"
                )
            return Held(flat=not forced)
    if not found or not all(holder.private for holder in found):
        return Held()
    stale = (
        f"{path} is mapped privately (share=off) by QEMU process {found[0].pid}: what its guest "
        "writes is not in the file"
    )
    note(f"{stale}; what is shown may be of an earlier guest")
    return Held(stale)
