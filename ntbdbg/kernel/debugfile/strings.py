# SPDX-License-Identifier: MIT
"""A section of strings, each there once."""

from __future__ import annotations


class Strings:
    """What ``.strtab``, ``.shstrtab`` and ``.debug_str`` hold.

    :ivar data: NUL, then names that each end in NUL
    """

    def __init__(self) -> None:
        self.data = bytearray(1)
        self._known: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """Where it is."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = len(self.data)
            self.data += text.encode("utf-8", "backslashreplace").replace(b"\0", b"?") + b"\0"
        return known
