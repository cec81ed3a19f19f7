# SPDX-License-Identifier: MIT
"""C declarations to layouts, for tests that put kernel structures into a fake guest.

    types = CTypes()
    types.declare("struct list_head { struct list_head *next, *prev; };")
    types.declare("struct job { struct list_head list; char name[16]; int flag:3; };")
    types["struct job"].size                                  # 40
    types["struct job"].find("list.prev")                     # (8, CType of 'struct list_head *')

Understood: struct, union (named, anonymous, nested), enum, typedef, arrays, flexible arrays, bit
fields, pointers, pointers to functions (as `void *`). Layout is x86-64's. A structure may be used
by pointer before, or without, its declaration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(r"\w+|\.\.\.|[^\s\w]")
BASES = {
    "void": 0, "_Bool": 1, "char": 1, "signed char": 1, "unsigned char": 1, "short": 2,
    "unsigned short": 2, "int": 4, "unsigned int": 4, "long": 8, "unsigned long": 8,
    "long long": 8, "unsigned long long": 8,
}  # fmt: skip
TYPEDEFS = """
typedef _Bool bool; typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32;
typedef unsigned long long u64; typedef signed char s8; typedef short s16; typedef int s32;
typedef long long s64; typedef int pid_t; typedef unsigned long size_t;
typedef unsigned long long resource_size_t; typedef unsigned long long dma_addr_t;
typedef unsigned long long phys_addr_t; typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t; typedef atomic64_t atomic_long_t;
typedef struct refcount_struct { atomic_t refs; } refcount_t;
"""
PREFIXES = ("struct", "union", "enum")
CONTAINERS = ("struct", "union")


@dataclass(eq=False)
class CType:
    """One type.

    :ivar kind: int, ptr, array, struct, union, enum, typedef, void
    :ivar size: bytes; an incomplete structure has 0
    :ivar target: pointed to, element, or aliased type
    :ivar count: elements of an array (0: flexible)
    :ivar members: of a structure
    :ivar values: of an enum
    """

    kind: str
    name: str = ""
    size: int = 0
    align: int = 1
    signed: bool = False
    target: CType | None = None
    count: int = 0
    members: list[Member] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def bare(self) -> CType:
        """The type behind typedefs."""
        return self.target.bare if self.kind == "typedef" and self.target else self

    def find(self, path: str) -> tuple[int, CType]:
        """(byte offset, type) of a member path: ``list.next``, ``windows[2].base``, ``[3]``."""
        offset, kind, _ = self.locate(path)
        return offset, kind

    def locate(self, path: str) -> tuple[int, CType, Member | None]:
        """As `find`, with the last member of the path: it tells a bit field's place."""
        offset, here, member = 0, self, None
        for step in re.findall(r"\[\d+\]|\w+", path):
            here = here.bare
            if step.startswith("["):
                assert here.target is not None, f"{path}: no array"
                here, member = here.target, None
                offset += int(step[1:-1]) * here.size
            else:
                found = here._member(step)
                assert found is not None, f"{here.name} has no member {step}"
                inside, member = found
                offset, here = offset + inside, member.type
        return offset, here, member

    def _member(self, name: str) -> tuple[int, Member] | None:
        for member in self.members:
            if member.name == name:
                return member.offset, member
            if not member.name:
                found = member.type.bare._member(name)
                if found is not None:
                    return member.offset + found[0], found[1]
        return None


@dataclass(eq=False)
class Member:
    """One member; `bits` is 0 unless it is a bit field, `bit_offset` counts from `offset`."""

    name: str
    type: CType
    offset: int = 0
    bit_offset: int = 0
    bits: int = 0


class CTypes:
    """Declared types by C name: ``struct foo``, ``enum state``, ``u32``, ``int``."""

    def __init__(self) -> None:
        self.named: dict[str, CType] = {
            name: CType("int" if size else "void", name, size, max(size, 1), _is_signed(name))
            for name, size in BASES.items()
        }
        self.declare(TYPEDEFS)

    def declare(self, text: str) -> None:
        """Add declarations, or complete or replace earlier ones."""
        self._tokens = TOKEN.findall(re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S))[::-1]
        while self._tokens:
            is_typedef = self._accept("typedef")
            base = self._specifier()
            while not self._accept(";"):
                assert is_typedef, f"declare types, not variables: {self._tokens[-3:]}"
                name, kind, _ = self._declarator(base)
                self.named[name] = CType("typedef", name, kind.size, kind.align, target=kind)
                self._accept(",")

    def __getitem__(self, name: str) -> CType:
        """A declared type, or a derived one: ``struct foo *``, ``char[16]``."""
        if name in self.named:
            return self.named[name]
        self._tokens = TOKEN.findall(name)[::-1]
        base = self._specifier()
        return self._declarator(base, abstract=True)[1]

    def _specifier(self) -> CType:
        while self._accept("const") or self._accept("volatile"):
            pass
        word = self._next()
        if word in PREFIXES:
            return self._tagged(word)
        words = [word]
        while self._tokens and self._tokens[-1] in ("char", "short", "int", "long", "unsigned"):
            words.append(self._next())
        while self._accept("const") or self._accept("volatile"):
            pass
        if words[-1] == "int" and len(words) > 1 and words[-2] in ("long", "short"):
            words.pop()
        return self.named["unsigned int" if words == ["unsigned"] else " ".join(words)]

    def _tagged(self, kind: str) -> CType:
        tag = self._next() if self._tokens[-1] != "{" else ""
        name = f"{kind} {tag}".strip()
        known = self.named.get(name) if tag else None
        made = known or CType(kind, name if tag else "", complete=False)
        if tag:
            self.named[name] = made
        if self._accept("{"):
            made.complete = True
            self._enumerators(made) if kind == "enum" else self._body(made)
        return made

    def _enumerators(self, made: CType) -> None:
        made.values, made.size, made.align, value = {}, 4, 4, 0
        while not self._accept("}"):
            name = self._next()
            if self._accept("="):
                sign = -1 if self._accept("-") else 1
                value = sign * int(self._next(), 0)
            made.values[name] = value
            value += 1
            self._accept(",")

    def _body(self, made: CType) -> None:
        made.members = []
        while not self._accept("}"):
            base = self._specifier()
            if self._accept(";"):
                made.members.append(Member("", base))
                continue
            while not self._accept(";"):
                name, kind, bits = self._declarator(base)
                made.members.append(Member(name, kind, bits=bits))
                self._accept(",")
        lay_out(made)

    def _declarator(self, base: CType, *, abstract: bool = False) -> tuple[str, CType, int]:
        kind = base
        while self._accept("*"):
            kind = CType("ptr", size=8, align=8, target=kind)
            self._accept("const")
        if self._accept("("):
            return self._function_pointer()
        name = "" if abstract else self._next()
        counts = []
        while self._accept("["):
            counts.append(0 if self._tokens[-1] == "]" else int(self._next(), 0))
            self._accept("]")
        for count in reversed(counts):
            kind = CType("array", "", kind.size * count, kind.align, target=kind, count=count)
        return name, kind, int(self._next()) if self._accept(":") else 0

    def _function_pointer(self) -> tuple[str, CType, int]:
        assert self._next() == "*"
        name = self._next()
        assert self._next() == ")"
        assert self._next() == "("
        depth = 1
        while depth:
            depth += {"(": 1, ")": -1}.get(self._next(), 0)
        return name, CType("ptr", size=8, align=8, target=self.named["void"]), 0

    def _accept(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False

    def _next(self) -> str:
        return self._tokens.pop()


def lay_out(made: CType) -> None:
    """Give members their offsets and the structure its size, by x86-64's psABI."""
    bit = 0
    made.align = 1
    for member in made.members:
        kind = member.type
        assert kind.bare.complete, f"{kind.name} is used before it is declared"
        made.align = max(made.align, kind.align)
        if made.kind == "union":
            bit = max(bit, member.bits or kind.size * 8)
            continue
        unit = kind.size * 8
        if not member.bits:
            bit = _round(bit, kind.align * 8)
            member.offset = bit // 8
            bit += unit
            continue
        if bit % unit + member.bits > unit:
            bit = _round(bit, unit)
        member.offset, member.bit_offset = bit // unit * kind.size, bit % unit
        bit += member.bits
    made.size = _round((bit + 7) // 8, made.align)


def _round(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _is_signed(name: str) -> bool:
    return "unsigned" not in name and name not in ("void", "_Bool")
