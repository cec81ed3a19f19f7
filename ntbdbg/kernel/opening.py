# SPDX-License-Identifier: MIT
"""Which kernels a guest's memory holds, and which of them is taken.

First what a dump says of itself; else every VMCOREINFO in RAM, the live kernel first. Where page
tables are gone but the image is in its place, a kernel counts all the same, after the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ntbdbg.arch.foreign import of_vmcoreinfo
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.kernel.boot.linear import is_in_place
from ntbdbg.kernel.boot.locate import contradiction, implausible, scan
from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
from ntbdbg.kernel.image.image import KernelImage
from ntbdbg.memory.image import ImageMemory
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

MOST_KERNELS = 8
"""In one RAM, of which the live one is looked for; a hostile guest may show any number."""

K = TypeVar("K", bound=KernelImage)

Make = Callable[[Vmcoreinfo, str | None], K]
"""Makes a kernel of what it says of itself, and of why its page tables are gone, if they are."""

Notify = Callable[[str], None]


class Candidate(NamedTuple):
    """What may be a kernel; `lost`: why its page tables cannot be used, None if they can."""

    info: Vmcoreinfo
    lost: str | None


def open_kernel(
    memory: PhysicalMemory, make: Make[K], notify: Notify, which: int | None = None
) -> K:
    """The kernel in `memory` that is meant.

    :param which: its number as `info` tells it, from 1 on; by default the live one
    :raises KernelError: there is none
    :raises UsageError: there is none of that number; the hint lists them
    """
    named = _named_by_dump(memory)
    if which is None and named is not None:
        return _told(make(*named), notify)
    texts = scan(memory)
    _note_left_out(memory, notify)
    candidates = [c for info in _with(texts, named) if (c := _candidate(memory, info))]
    if not candidates:
        from ntbdbg.kernel.boot.absent import why_absent

        raise why_absent(memory, texts)
    chosen = _one_each(memory, candidates, notify)[:MOST_KERNELS]
    kernels, reason = _ordered([make(*candidate) for candidate in chosen])
    for number, kernel in enumerate(kernels, 1):
        kernel.number = number
    return _told(_chosen(memory, kernels, which, reason, notify), notify)


def _named_by_dump(memory: PhysicalMemory) -> Candidate | None:
    """The kernel of a dump's own VMCOREINFO note."""
    text = memory.facts.vmcoreinfo if isinstance(memory, ImageMemory) else None
    info = None if text is None else Vmcoreinfo.parse(None, text)
    return None if info is None else _candidate(memory, info, agreeing=True)


def _candidate(
    memory: PhysicalMemory, info: Vmcoreinfo, *, agreeing: bool = False
) -> Candidate | None:
    """`info` as a kernel, None if there is too little left of it.

    :param agreeing: only if its memory says the same as `info`
    """
    try:
        problem = implausible(memory, info)
    except FaultError as error:
        problem = error.message
    if problem is None:
        return None if agreeing and contradiction(memory, info) else Candidate(info, None)
    in_place = not of_vmcoreinfo(info.text) and is_in_place(memory, info)
    return Candidate(info, problem) if in_place else None


def _one_each(
    memory: PhysicalMemory, candidates: list[Candidate], notify: Notify
) -> list[Candidate]:
    """Of each kernel that copy of VMCOREINFO which the memory bears out best."""

    def rank(one: Candidate) -> tuple[bool, bool, int]:
        doubted = one.lost is not None or contradiction(memory, one.info) is not None
        return one.lost is not None, doubted, -len(one.info.values)

    if len(candidates) < 2:
        return candidates
    from ntbdbg.kernel.boot.copies import one_each

    taken, left = one_each(candidates, lambda one: one.info, rank)
    for other, one in left:
        notify(
            f"{memory.name}: two copies of VMCOREINFO of Linux {one.info.release} differ, so one "
            f"is damaged; taken is that {one.info.place}, not that {other.info.place}"
        )
    return taken


def _with(texts: list[Vmcoreinfo], named: Candidate | None) -> list[Vmcoreinfo]:
    if named is None or any(info.text == named.info.text for info in texts):
        return texts
    return [named.info, *texts]


def _ordered(kernels: list[K]) -> tuple[list[K], str]:
    """The live one first, those without page tables last; and in words how that was decided."""
    whole = [kernel for kernel in kernels if kernel.lost is None]
    lost = [kernel for kernel in kernels if kernel.lost is not None]
    if len(whole) < 2:
        return whole + lost, "page tables of the others are gone"
    from ntbdbg.kernel.alive.liveness import by_liveness

    # What an earlier kernel left may be whole; the memory behind it is the live one's by now.
    whole.sort(key=lambda kernel: contradiction(kernel.memory, kernel.info) is not None)
    ordered, reason = by_liveness(whole)
    return ordered + lost, reason


def _chosen(
    memory: PhysicalMemory, kernels: list[K], which: int | None, reason: str, notify: Notify
) -> K:
    """One of them; it knows the others, and so does the user."""
    if which is not None and not 1 <= which <= len(kernels):
        raise UsageError(
            f"{memory.name}: there is no kernel {which} in its RAM",
            hint="it has " + "; ".join(f"{kernel.number}: {_words(kernel)}" for kernel in kernels),
        )
    chosen = kernels[(which or 1) - 1]
    others = [kernel for kernel in kernels if kernel is not chosen and (which or not kernel.lost)]
    chosen.others = [kernel.info for kernel in others]
    chosen.other_numbers = [kernel.number for kernel in others]
    if others and which is None:
        names = ", ".join(f"{_words(kernel)}" for kernel in others)
        notify(
            f"{memory.name}: {len(others) + 1} kernels are in its RAM; taken: {_words(chosen)}, "
            f"{reason}; not {names} (--which-kernel)"
        )
    return chosen


def _words(kernel: KernelImage) -> str:
    return f"{kernel.info.release} (VMCOREINFO {kernel.info.place})"


def _told(kernel: K, notify: Notify) -> K:
    """Tell what of it cannot be had."""
    if kernel.lost is not None:
        from ntbdbg.kernel.boot.absent import elsewhere

        notify(
            f"{kernel.memory.name}: Linux {kernel.info.release}: {kernel.lost}; its image and the "
            "direct map are taken to lie where VMCOREINFO says, nothing else of it can be read"
            + elsewhere(kernel.lost)
        )
    return kernel


def _note_left_out(memory: PhysicalMemory, notify: Notify) -> None:
    size = memory.left_out()
    if size:
        notify(f"{format_size(size)} of {memory.name} cannot be read, and were passed over")
