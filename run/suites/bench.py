# SPDX-License-Identifier: MIT
"""Benchmarks: which programs there are, what they need, and the table of what they found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from run.base.config import CHECKOUT
from run.base.errors import UsageError

FOLDER = CHECKOUT / "tests" / "bench"
_PREFIX = "bench_"

#: those that start QEMUs, and so need the builds
WITH_QEMU = frozenset({"doorbell", "kernel", "port", "recorder", "window"})

#: the file to which a program appends its results as JSON Lines (tests/bench/result.py)
RESULTS = "NTBDBG_BENCH_RESULTS"


def programs() -> dict[str, Path]:
    """All of them by name, in order."""
    found = sorted(FOLDER.glob(f"{_PREFIX}*.py"))
    return {path.stem.removeprefix(_PREFIX): path for path in found}


def choose(names: Sequence[str], *, guests: bool) -> dict[str, Path]:
    """The named ones, or all; without `guests` none that starts a QEMU.

    :raises UsageError: there is none of a name
    """
    known = programs()
    for name in names:
        if name not in known:
            raise UsageError(f"no benchmark {name!r:.40}", hint=f"there are {', '.join(known)}")
    wanted = names or list(known)
    return {name: known[name] for name in wanted if guests or name not in WITH_QEMU}


def load(path: Path) -> list[dict[str, Any]]:
    """What programs appended; nothing where none did."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line) for line in lines]


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Results as a Markdown table."""
    rows = [
        "| what | against | time | ours | theirs | ratio | budget | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [_row(result) for result in results]
    return "\n".join(rows) + "\n"


def _row(result: Mapping[str, Any]) -> str:
    ratio = "" if result["ratio"] is None else f"{result['ratio']:.2f}"
    verdict = "" if not result["budget"] else "ok" if result["holds"] else "over"
    cells = [result[name] for name in ("what", "against", "clock", "ours", "theirs")]
    cells += [ratio, result["budget"], verdict]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
