# SPDX-License-Identifier: MIT
"""Imports go one way: each room knows only those to its left. Lazy imports count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

ROOMS = [
    "errors",
    "budget",
    "memory",
    "kernel",
    "ntb",
    "inspect",
    "lab",
    "capture",
    "analysis",
    "render",
    "cli",
]

#: what the launcher may use of the toolkit; whose word is believed must be the same for both
SHARED = {"ntbdbg.errors", "ntbdbg.lab.manifest", "ntbdbg.lab.qmp", "ntbdbg.lab.trust"}

#: import statements of these libraries belong in these places only
HEAVY = {
    "drgn": ["ntbdbg/kernel/"],
    "click": ["ntbdbg/cli/", "run/cli/"],
    "rich": ["ntbdbg/render/", "ntbdbg/cli/", "run/"],
    "qemu": ["ntbdbg/lab/qmp.py"],
}


#: imports that still go the wrong way
KNOWN = {
    ("ntbdbg/lab/lab.py", "capture"),
    ("ntbdbg/lab/where.py", "capture"),
}


def modules(package: str) -> list[Path]:
    found = sorted((CHECKOUT / package).rglob("*.py"))
    assert found
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute module name of every import statement, wherever it stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module
            # `from ntbdbg.target import freeze` names a module by its last part.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room(name: str) -> str | None:
    """The room of a module name of ntbdbg; None for the package itself and other packages."""
    parts = name.split(".")
    return parts[1] if parts[0] == "ntbdbg" and len(parts) > 1 and parts[1] in ROOMS else None


def short(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


@pytest.mark.parametrize("path", modules("ntbdbg"), ids=short)
def test_a_room_imports_only_from_its_left(path: Path) -> None:
    own = short(path).removesuffix(".py").replace("/", ".")
    mine = room(own)
    for line, name in imports(path):
        assert name.split(".")[0] != "run", (
            f"{short(path)}:{line}: the toolkit imports the launcher"
        )
        theirs = room(name)
        if mine is None or theirs is None or (short(path), theirs) in KNOWN:
            continue
        assert ROOMS.index(theirs) <= ROOMS.index(mine), f"{short(path)}:{line}: imports {name}"


@pytest.mark.parametrize("path", modules("ntbdbg"), ids=short)
def test_rooms_do_not_reach_over_the_package(path: Path) -> None:
    """Only the command line may use the package's own names (its version)."""
    if room(short(path).removesuffix(".py").replace("/", ".")) in (None, "cli"):
        return
    for line, name in imports(path):
        outside = name == "ntbdbg" or (name.startswith("ntbdbg.") and room(name) is None)
        assert not outside, f"{short(path)}:{line}: imports {name}"


@pytest.mark.parametrize("path", modules("run"), ids=short)
def test_the_launcher_imports_only_what_both_share(path: Path) -> None:
    for line, name in imports(path):
        if name.split(".")[0] == "ntbdbg":
            allowed = any(name == s or name.startswith(s + ".") for s in SHARED)
            assert allowed, f"{short(path)}:{line}: imports {name}"


@pytest.mark.parametrize("path", modules("ntbdbg") + modules("run"), ids=short)
def test_libraries_stay_where_they_belong(path: Path) -> None:
    for line, name in imports(path):
        homes = HEAVY.get(name.split(".")[0])
        if homes:
            inside = any(short(path).startswith(home) for home in homes)
            assert inside, f"{short(path)}:{line}: imports {name}"


STDLIB_ONLY = [
    *modules("ntbdbg/memory"),
    CHECKOUT / "ntbdbg/budget.py",
    CHECKOUT / "ntbdbg/lab/manifest.py",
    CHECKOUT / "ntbdbg/lab/trust.py",
]


@pytest.mark.parametrize("path", STDLIB_ONLY, ids=short)
def test_memory_and_manifest_need_the_standard_library_only(path: Path) -> None:
    import sys

    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.split(".")[0]
            assert top == "ntbdbg" or top in sys.stdlib_module_names, f"{short(path)}: {name}"
            assert top != "numpy"


@pytest.mark.parametrize("path", modules("ntbdbg") + modules("run") + modules("tests"), ids=short)
def test_every_file_carries_its_licence(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or "SPDX-License-Identifier: MIT" in "\n".join(text.splitlines()[:3])
