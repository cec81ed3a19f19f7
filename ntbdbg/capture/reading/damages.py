# SPDX-License-Identifier: MIT
"""What in the files of a capture is not what was written, by its checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ntbdbg.capture.reading.checksums import (
    BLOCK,
    LOST,
    MAX_FILE,
    Damage,
    Sums,
    checksum,
    parse,
    zeros_sum,
)
from ntbdbg.errors import FormatError, NtbdbgError
from ntbdbg.lab.manifest import CHECKSUM_FILE

if TYPE_CHECKING:
    from ntbdbg.capture.reading.store import Store

Progress = Callable[[int, int], None]

_DIFFERS = "differs from its checksum"


def damages(store: Store, progress: Progress | None = None) -> Iterator[Damage]:
    """Everything in the store that is not what was written, file by file.

    :param progress: called with bytes looked at and bytes in all
    :raises NtbdbgError: there are no checksums to go by
    """
    size = store.size(CHECKSUM_FILE)
    if size is not None and size > MAX_FILE:
        raise FormatError(store.where(CHECKSUM_FILE), None, f"is {size} bytes long", hint=LOST)
    data = store.read(CHECKSUM_FILE, 0, size or 0)
    sums = parse(data, store.where(CHECKSUM_FILE))
    total = sum(entry.size for entry in sums.values())
    done = 0
    for name, entry in sums.items():
        for at, reason in _wrong_blocks(store, name, entry):
            end = min(entry.size, at + BLOCK)
            if reason:
                yield Damage(name, at, end, reason)
            if progress:
                progress(done + end, total)
        done += entry.size


def _wrong_blocks(store: Store, name: str, sums: Sums) -> Iterator[tuple[int, str]]:
    """Each block's offset, and what is wrong with it or nothing."""
    present = store.size(name) or 0
    touched = store.touched(name) if present else iter(())
    start, stop = next(touched, (sums.size, sums.size))
    for at in range(0, sums.size, BLOCK):
        wanted = sums.block(at // BLOCK)
        end = min(sums.size, at + BLOCK)
        while stop <= at:
            start, stop = next(touched, (sums.size, sums.size))
        if end > present:
            yield at, "is not there"
        elif end <= start:
            yield at, "" if wanted == zeros_sum(end - at) else _DIFFERS
        else:
            yield at, _compare(store, name, at, end, wanted)


def _compare(store: Store, name: str, start: int, end: int, wanted: bytes) -> str:
    try:
        data = store.read(name, start, end - start)
    except FormatError as error:
        return error.reason
    except NtbdbgError as error:
        return error.message
    return "" if checksum(data) == wanted else _DIFFERS
