# SPDX-License-Identifier: MIT
"""kallsyms tables as Linux' scripts/kallsyms.c builds them: names compressed by a token table.

    tables = kallsyms([(0xFFFFFFFF81000000, "T", "_stext"), …], relative_base=0xFFFFFFFF81000000)
    tables["kallsyms_names"]                # bytes to put wherever VMCOREINFO says

Each name is stored as `length, tokens…`, its first character being the symbol's type; a token is
an index into a table of strings. A length above 127 takes two bytes (since Linux 6.1).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

LEARNED = 32
"""Codes that stand for pairs: enough to make names short and tokens long, and quickly done."""

FakeSymbol = tuple[int, str, str]
"""address, type letter as nm's, name."""


def kallsyms(
    symbols: Sequence[FakeSymbol], *, relative_base: int, absolute_percpu: bool = True
) -> dict[str, bytes]:
    """All tables by the name of their symbol in the kernel.

    :param symbols: sorted by address
    :param absolute_percpu: CONFIG_KALLSYMS_ABSOLUTE_PERCPU: addresses below 2 GiB are stored as
        they are, others as negative offsets. x86-64 until 6.14; without it all are offsets
    """
    spelled = [(kind + name).encode() for _, kind, name in symbols]
    tokens, packed = compress(spelled)
    table = b"".join(token + b"\0" for token in tokens)
    starts = [0]
    for token in tokens[:-1]:
        starts.append(starts[-1] + len(token) + 1)
    offsets = [_offset(a, relative_base, absolute_percpu) for a, _, _ in symbols]
    return {
        "kallsyms_offsets": struct.pack(f"<{len(offsets)}I", *offsets),
        "kallsyms_relative_base": struct.pack("<Q", relative_base),
        "kallsyms_num_syms": struct.pack("<I", len(symbols)),
        "kallsyms_names": b"".join(_length(len(name)) + name for name in packed),
        "kallsyms_token_table": table,
        "kallsyms_token_index": struct.pack("<256H", *starts),
    }


def compress(names: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The 256 tokens, and each name in terms of them.

    Every byte in use stands for itself; free codes take, one after the other, the pair of codes
    that is most frequent by then. That is scripts/kallsyms.c' method, though it takes them all.
    """
    used = {byte for name in names for byte in name}
    tokens = [bytes([code]) if code in used else b"" for code in range(256)]
    packed = list(names)
    for code in [code for code in range(255, -1, -1) if code not in used][:LEARNED]:
        pair = _best_pair(packed)
        if pair is None:
            break
        tokens[code] = tokens[pair[0]] + tokens[pair[1]]
        packed = [name.replace(pair, bytes([code])) for name in packed]
    return tokens, packed


def _best_pair(names: Sequence[bytes]) -> bytes | None:
    pairs = Counter(name[i : i + 2] for name in names for i in range(len(name) - 1))
    best = max(pairs, key=lambda pair: (pairs[pair], pair), default=None)
    return best if best is not None and pairs[best] > 1 else None


def _length(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])


def _offset(address: int, base: int, absolute_percpu: bool) -> int:
    if not absolute_percpu:
        return address - base & 0xFFFF_FFFF
    return address if address < 1 << 31 else base - address - 1 & 0xFFFF_FFFF
