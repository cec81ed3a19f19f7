# SPDX-License-Identifier: MIT
"""JSON as ntbdbg prints it: one document a line, `kind` and `schema` first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def document(kind: str, data: Mapping[str, Any]) -> str:
    """One document of the schema that docs/json.md describes under `kind`."""
    return encoded({"kind": kind, "schema": SCHEMA, **data})


def encoded(value: object) -> str:
    """`value` as JSON that every reader takes.

    A name that is not UTF-8 has its bytes as ``\\xff`` in it: Python's way to keep them, half a
    surrogate pair, is no character.
    """
    text = json.dumps(value, default=_plain)
    return json.dumps(_characters(json.loads(text))) if _HALF in text else text


_HALF = "\\ud"
"""How half a pair begins in JSON; both halves together do so, too, and are left alone."""


def _characters(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(map(_character, value))
    if isinstance(value, list):
        return [_characters(item) for item in value]
    if isinstance(value, dict):
        return {_characters(name): _characters(item) for name, item in value.items()}
    return value


def _character(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # PEP 383: a byte that could not be decoded
        return f"\\x{ord(char) - 0xDC00:02x}"
    return f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
