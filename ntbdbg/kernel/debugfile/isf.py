# SPDX-License-Identifier: MIT
"""Symbols and types in volatility3's form (ISF), from a kernel's own BTF and kallsyms.

Source: volatility3's ``schema-6.2.0.json``; names of what has none as dwarf2json makes them.
Addresses are those at which the kernel was linked: volatility finds by itself how far it moved,
so a file serves every boot of that kernel. It has no modules, as their place differs by boot.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.debugfile.ctype import CType
from ntbdbg.kernel.debugfile.isftypes import IsfTypes
from ntbdbg.kernel.debugfile.variables import variables
from ntbdbg.kernel.symbols.symbols import IMAGE_START, SymbolTable

if TYPE_CHECKING:
    from ntbdbg.budget import Budget

FORMAT = "6.2.0"
"""The schema's version."""

VOID = {"size": 0, "signed": False, "kind": "void", "endian": "little"}
POINTER = {"size": 8, "signed": False, "kind": "int", "endian": "little"}

Json = dict[str, Any]


def isf(
    btf: Btf, table: SymbolTable, budget: Budget, *, shift: int, banner: bytes, producer: Json
) -> Json:
    """The whole file.

    :param table: the symbols of vmlinux
    :param budget: what all of it may spend
    :param shift: how far KASLR moved it
    :param banner: ``linux_banner`` with its NUL, by which volatility knows the kernel
    :param producer: ``name`` and ``version`` of who writes it
    """
    types = IsfTypes(btf, budget)
    return {
        "metadata": {"format": FORMAT, "producer": producer, "linux": {"symbols": [], "types": []}},
        "base_types": {"void": VOID, "pointer": POINTER, **types.base_types()},
        "enums": types.enums(),
        "user_types": types.user_types(),
        "symbols": _symbols(types, table, shift, {"linux_banner": banner}),
    }


def _symbols(
    types: IsfTypes, table: SymbolTable, shift: int, contents: Mapping[str, bytes]
) -> dict[str, Json]:
    """By name; of several of one name that which `SymbolTable.named` has first."""
    found: dict[str, Json] = {}
    is_global: set[str] = set()
    for symbol in table:
        if symbol.name in found and (symbol.name in is_global or not symbol.is_global):
            continue
        if symbol.is_global:
            is_global.add(symbol.name)
        moved = shift if symbol.address >= IMAGE_START else 0
        found[symbol.name] = {"address": symbol.address - moved}
    for symbol, kind in variables(types.btf, table):
        found[symbol.name]["type"] = types.of(kind)
    for name, content in contents.items():
        if name in found:
            found[name]["constant_data"] = base64.b64encode(content).decode()
            found[name]["type"] = _characters(types, len(content))
    return found


def _characters(types: IsfTypes, count: int) -> Json:
    number = next(iter(types.btf.all_by_name(Kind.INT, "char")), 0)
    return types.of(CType(number, lengths=(count,)))
