# SPDX-License-Identifier: MIT
"""JSON as ntbdbg prints it: one document a line, `kind` and `schema` first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def document(kind: str, data: Mapping[str, Any]) -> str:
    """One document of the schema that docs/json.md describes under `kind`."""
    return json.dumps({"kind": kind, "schema": SCHEMA, **data}, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
