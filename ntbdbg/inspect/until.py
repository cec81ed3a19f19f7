# SPDX-License-Identifier: MIT
"""Conditions that end a watch: ``u32==5``, ``u16be+8>=0x10``, ``qemu2.doorbell.status&1``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.inspect.changes import LinkProbe, MemoryProbe, Probe
from ntbdbg.units import parse_number

SYNTAX = (
    "a condition looks like u32==5, u16be+8>=0x10, hex+4==deadbeef, "
    "or with --link qemu2.doorbell.status!=0"
)

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "&": lambda a, b: bool(a & b),
}
_CONDITION = re.compile(r"\s*([^\s=!<>&]+)\s*(==|!=|<=|>=|<|>|&)\s*(\S.*?)\s*")
_MEMORY = re.compile(r"(?:([ui])(8|16|32|64)(le|be)?|hex)(?:\+(\w+))?")
_WORDS = {"true": True, "false": False}


class Until(NamedTuple):
    """A parsed condition: what is left of the operator, the operator, the value's text."""

    subject: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Until:
        """Take `text` apart; raises UsageError."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise UsageError(f"condition {text!r:.60} is not understood", hint=SYNTAX)
        return cls(*match.groups())

    def bind(self, probes: Sequence[Probe]) -> Callable[[Sequence[Any]], bool]:
        """The condition over the probes' states.

        A condition on memory is about the first range, one on a field about the link.

        :raises UsageError: no such field, not a value of its kind, or beyond the range
        """
        memory = _MEMORY.fullmatch(self.subject)
        if memory is None:
            return self._bind_field(probes)
        index = _index_of(probes, MemoryProbe, self, "give an address to watch as well")
        probe = probes[index]
        assert isinstance(probe, MemoryProbe)
        return self._bind_memory(index, probe.size, memory)

    def _bind_memory(
        self, index: int, size: int, match: re.Match[str]
    ) -> Callable[[Sequence[Any]], bool]:
        sign, bits, order, offset = match.groups()
        start = parse_number(offset, what="offset") if offset else 0
        wanted = self._bytes() if sign is None else self._integer()
        length = len(wanted) if isinstance(wanted, bytes) else int(bits) // 8
        if start + length > size:
            raise UsageError(
                f"condition {str(self)!r} looks beyond the watched {size} bytes",
                hint="watch a longer range, or give a smaller offset",
            )
        compare = _OPERATORS[self.operator]

        def holds(states: Sequence[Any]) -> bool:
            data = states[index][start : start + length]
            if sign is None:
                return compare(data, wanted)
            ordered = data if order == "be" else data[::-1]
            return compare(int.from_bytes(ordered, "big", signed=sign == "i"), wanted)

        return holds

    def _bind_field(self, probes: Sequence[Probe]) -> Callable[[Sequence[Any]], bool]:
        index = _index_of(probes, LinkProbe, self, SYNTAX)
        probe = probes[index]
        assert isinstance(probe, LinkProbe)
        source, _, field = self.subject.partition(".")
        now = probe.fields(probe.read())
        if (source, field) not in now:
            raise _no_field(self.subject, [".".join(key) for key in now])
        wanted: int | str = self.value
        if not isinstance(now[source, field], str):
            wanted = self._integer()
        elif self.operator not in ("==", "!="):
            raise UsageError(f"{self.subject} is a word: it can only be compared by == and !=")
        compare = _OPERATORS[self.operator]
        return lambda states: compare(probe.fields(states[index])[source, field], wanted)

    def _integer(self) -> int:
        word = self.value.lower()
        if word in _WORDS:
            return _WORDS[word]
        negative = word.startswith("-")
        number = parse_number(word[1:] if negative else word, what="value")
        return -number if negative else number

    def _bytes(self) -> bytes:
        if self.operator not in ("==", "!="):
            raise UsageError("hex can only be compared by == and !=", hint=SYNTAX)
        try:
            return bytes.fromhex(self.value)
        except ValueError:
            raise UsageError(f"{self.value!r:.60} are not hex digits", hint=SYNTAX) from None

    def __str__(self) -> str:
        return f"{self.subject}{self.operator}{self.value}"


def _index_of(probes: Sequence[Probe], kind: type, condition: Until, hint: str) -> int:
    for index, probe in enumerate(probes):
        if isinstance(probe, kind):
            return index
    raise UsageError(f"condition {str(condition)!r} is about something not watched", hint=hint)


def _no_field(name: str, known: list[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(name, known, 3) or known[:3]
    return UsageError(f"the link has no field {name!r:.60}", hint=f"there are {', '.join(near)}, …")
