# SPDX-License-Identifier: MIT
"""The README's tour: the lines a reader pastes, what is shown under each, and a shell for them."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from run.base.deadline import Deadline

#: one line of a dump: address, bytes, text; only the address is another one each time
_DUMP = re.compile(r"[0-9a-f]{8,16}(?=: [0-9a-f]{4})")

_HOW_LONG = r"\d+(?:\.\d+)? (?:ms|s|min)\b"
_HOW_LARGE = r"\d+(?:\.\d+)? (?:B|KiB|MiB|GiB)\b"

#: what is another one each time: times, sizes, addresses, other numbers
_VARYING = [_HOW_LONG, _HOW_LARGE, r"0x[0-9a-f]+", r"\b(?:[0-9a-f]{8}){1,2}\b", r"\d+"]
_ANY = re.compile("|".join(_VARYING))

#: stands for any lines, or for the end of one
REST = "…"


@dataclass
class Line:
    """A command, and what the page shows that it prints."""

    command: str
    shown: list[str] = field(default_factory=list)

    def mismatch(self, printed: str) -> str | None:
        """The first line of the page that is not in what was printed where it should be."""
        rest, loose = [line.rstrip() for line in printed.splitlines()], False
        for line in self.shown:
            if line.strip() == REST:
                loose = True
                continue
            wanted = re.compile(_pattern(line))
            at = next((i for i, one in enumerate(rest) if wanted.fullmatch(one)), None)
            if at is None or (at and not loose):
                return line
            rest, loose = rest[at + 1 :], False
        return None if loose or not rest else f"(nothing) instead of {rest[0]}"


def read(page: Path, heading: str) -> list[Line]:
    """The commands of a section's indented blocks, which follow ``$``."""
    lines: list[Line] = []
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("    $ "):
            lines.append(Line(line.removeprefix("    $ ")))
        elif line.startswith("    ") and lines:
            lines[-1].shown.append(line[4:])
    return lines


def _pattern(line: str) -> str:
    """A regular expression for a line with other numbers, and columns of another width."""
    dump = _DUMP.match(line)
    if dump:
        return "[0-9a-f]{8,16}" + re.escape(line[dump.end() :])
    parts, at = [], 0
    for found in _ANY.finditer(line):
        parts += [_fixed(line[at : found.start()]), _number(found[0])]
        at = found.end()
    return "".join([*parts, _fixed(line[at:])])


def _number(text: str) -> str:
    return next(f"(?:{kind})" for kind in _VARYING if re.fullmatch(kind, text))


def _fixed(text: str) -> str:
    pattern = re.sub(r"(\\ )+", r" +", re.escape(text))
    return pattern.replace(REST, ".*")


#: reads commands and tells the exit code of each; theirs is an empty input, as nobody types
_DRIVER = r"""
while IFS= read -r line; do
  eval "$line" < /dev/null
  printf '\036%d\n' $?
done
"""

#: what a progress bar showed meanwhile
_OVERWRITTEN = re.compile(r"[^\n]*\r(\x1b\[K)?")


class Shell:
    """A shell at a terminal of its own, plain and wide, as a reader's."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._screen, screen = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-c", _DRIVER],
            cwd=folder,
            env={**environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "120", "LINES": "50"},
            stdin=subprocess.PIPE,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
        )
        os.close(screen)

    def run(self, command: str, timeout: float) -> tuple[int, str]:
        """The exit code of `command`, and what it showed."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        deadline, seen = Deadline(timeout), b""
        while not (end := re.search(rb"\x1e(\d+)\r\n", seen)):
            ready, _, _ = select.select([self._screen], [], [], deadline.remaining)
            assert ready, f"{command}: not over within {timeout:g} s; so far:\n{seen.decode()}"
            seen += os.read(self._screen, 1 << 16)
        text = seen[: end.start()].decode(errors="replace").replace("\r\n", "\n")
        return int(end[1]), _OVERWRITTEN.sub("", text)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        os.close(self._screen)
