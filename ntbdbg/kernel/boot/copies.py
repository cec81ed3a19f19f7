# SPDX-License-Identifier: MIT
"""The two copies of VMCOREINFO that a kernel keeps, where damage made them differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo

T = TypeVar("T")


def of_one_kernel(a: Vmcoreinfo, b: Vmcoreinfo) -> bool:
    """Whether both speak of the same image at the same place.

    Most addresses agree, as KASLR moves those of every other kernel; without KASLR, a crash
    kernel has the same ones at another physical base.
    """
    bases = {info.number("phys_base") for info in (a, b)} - {None}
    common = a.symbols.items() & b.symbols.items()
    return len(bases) < 2 and 2 * len(common) > min(len(a.symbols), len(b.symbols))


def one_each(
    found: Sequence[T], info: Callable[[T], Vmcoreinfo], rank: Callable[[T], Any]
) -> tuple[list[T], list[tuple[T, T]]]:
    """Of each kernel the copy with the lowest rank; and each other copy with the one taken."""
    groups: list[list[T]] = []
    for item in found:
        for group in groups:
            if of_one_kernel(info(group[0]), info(item)):
                group.append(item)
                break
        else:
            groups.append([item])
    ordered = [sorted(group, key=rank) for group in groups]
    return [group[0] for group in ordered], [(x, group[0]) for group in ordered for x in group[1:]]
