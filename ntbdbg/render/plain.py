# SPDX-License-Identifier: MIT
"""Plain forms of characters that an output has no code for."""

from __future__ import annotations

import codecs

NAME = "ntbdbg.plain"

FORMS = {
    "×": "x",
    "…": "...",
    "→": "->",
    "›": ">",
    "§": "section ",
    "·": ".",
    **dict.fromkeys("─━╸╺", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("└├┌┐┘┤┬┴┼", "+"),
}
"""What we and rich print beyond ASCII; the rest becomes ``\\xd7``."""


def register() -> str:
    """Make the handler known to codecs; gives its name."""
    codecs.register_error(NAME, _replace)
    return NAME


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = "".join(
        FORMS.get(char) or char.encode("ascii", "backslashreplace").decode()
        for char in error.object[error.start : error.end]
    )
    return plain, error.end
