# SPDX-License-Identifier: MIT
"""Imports go one way: each room knows only those to its left. Lazy imports count too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

ROOMS = [
    "errors",
    "units",
    "budget",
    "arch",
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
SHARED = {
    "ntbdbg.errors",
    "ntbdbg.arch",
    *(f"ntbdbg.lab.{name}" for name in ("frozenmark", "gdbmark", "manifest", "qmp", "trust")),
    "ntbdbg.lab.sources.flatmap",
}

#: import statements of these libraries belong in these places only
HEAVY = {
    "capstone": ["ntbdbg/inspect/disassembly.py"],
    "drgn": ["ntbdbg/kernel/program/"],
    "click": ["ntbdbg/cli/", "run/cli/"],
    "rich": ["ntbdbg/render/", "ntbdbg/cli/", "run/"],
    "qemu": ["ntbdbg/lab/qmp.py"],
}


#: floors inside a room, the lowest first: each imports only from those below it
FLOORS = {
    "ntbdbg/kernel": [
        ["mmu"],
        ["boot"],
        ["symbols"],
        ["btf", "values"],
        ["image"],
        ["modules", "alive", "log"],
        ["tasks", "stacks", "asked"],
        ["program"],
        ["debugfile"],
    ],
    "ntbdbg/capture": [["reading"], ["taking"]],
    "run": [
        ["base"],
        ["steps", "reach"],
        ["vm", "debian"],
        ["host", "guest", "container"],
        ["lab", "qemu", "yocto", "suites"],
        ["make", "devenv", "demo"],
        ["cli"],
    ],
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
            # `from ntbdbg.lab import freeze` names a module by its last part.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def imported_files(path: Path) -> frozenset[Path]:
    """Files of this checkout that the import statements of `path` name, itself left out."""
    found = (module_file(name) for _, name in imports(path))
    return frozenset(file for file in found if file is not None and file != path)


@cache
def module_file(name: str) -> Path | None:
    """The file of a module, or of the one that a name is of; None outside this checkout."""
    if name.split(".")[0] not in ("ntbdbg", "run"):
        return None
    for each in (name, name.rpartition(".")[0]):
        place = CHECKOUT / each.replace(".", "/")
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if each and file.is_file():
                return file
    return None


def reachable(start: Path) -> set[Path]:
    """Every file that `start` imports, and that those import."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        new = imported_files(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def circles(paths: Iterable[Path]) -> Iterator[set[str]]:
    """Each set of files that all import each other, directly or by way of others."""
    reach = {path: reachable(path) for path in paths}
    left = [path for path in reach if path in reach[path]]
    while left:
        circle = {path for path in left if path in reach[left[0]] and left[0] in reach[path]}
        left = [path for path in left if path not in circle]
        yield {short(path) for path in circle}


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
        if mine is None or theirs is None:
            continue
        assert ROOMS.index(theirs) <= ROOMS.index(mine), f"{short(path)}:{line}: imports {name}"


@pytest.mark.parametrize("package", ["ntbdbg", "run"])
def test_no_files_import_each_other_in_a_circle(package: str) -> None:
    for circle in circles(modules(package)):
        links = [
            f"{importer} -> {short(path)}"
            for importer in sorted(circle)
            for path in sorted(imported_files(CHECKOUT / importer))
            if short(path) in circle
        ]
        raise AssertionError("\n".join(links))


@pytest.mark.parametrize("home", FLOORS)
def test_inside_a_room_imports_go_down(home: str) -> None:
    top = len(FLOORS[home])  # of files that lie at the door of the room
    level = {name: floor for floor, names in enumerate(FLOORS[home]) for name in names}
    inside = CHECKOUT / home
    for path in modules(home):
        own = path.relative_to(inside).parts[0]
        for file in filter(lambda file: file.is_relative_to(inside), imported_files(path)):
            theirs = file.relative_to(inside).parts[0]
            goes_down = own == theirs or level.get(theirs, top) < level.get(own, top + 1)
            assert goes_down, f"{short(path)}: imports {short(file)}"


def test_every_folder_of_a_room_with_floors_has_one() -> None:
    for home, floors in FLOORS.items():
        inside = CHECKOUT / home
        folders = {path.relative_to(inside).parts[0] for path in modules(home)}
        assert {name for name in folders if not name.endswith(".py")} == set().union(*floors)


def test_two_files_stand_at_the_launchers_door() -> None:
    door = {path.name for path in (CHECKOUT / "run").glob("*.py")}
    assert door == {"__init__.py", "__main__.py", "bootstrap.py"}


def test_before_there_is_a_venv_the_standard_library_is_enough() -> None:
    """Whatever the entry, the bootstrap and the way into a container import on a bare machine."""
    entry = CHECKOUT / "run/bootstrap.py"
    container = CHECKOUT / "run/container/main.py"
    inside = imported_files(entry) - {CHECKOUT / "run/cli/main.py"}
    for path in {entry, *inside, *reachable(container)}:
        for line, name in imports(path):
            top = name.split(".")[0]
            fine = top in {"run", *sys.stdlib_module_names} or name.startswith("ntbdbg.")
            assert fine, f"{short(path)}:{line}: imports {name}"


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
    *modules("ntbdbg/arch"),
    *modules("ntbdbg/memory"),
    CHECKOUT / "ntbdbg/budget.py",
    CHECKOUT / "ntbdbg/units.py",
    CHECKOUT / "ntbdbg/lab/gdbmark.py",
    CHECKOUT / "ntbdbg/lab/manifest.py",
    CHECKOUT / "ntbdbg/lab/trust.py",
]


@pytest.mark.parametrize("path", STDLIB_ONLY, ids=short)
def test_memory_and_manifest_need_the_standard_library_only(path: Path) -> None:
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
