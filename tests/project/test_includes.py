# SPDX-License-Identifier: MIT
"""The device's C files include one way, and its core nothing of a frontend."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.project.test_imports import CHECKOUT

FOLDER = CHECKOUT / "qemu_src/hw/ntb"
INCLUDE = re.compile(r'^#include "(?:hw/ntb/)?([\w.-]+)"', re.MULTILINE)
FILES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.[ch]"))}
CORE = [name for name in FILES if name.startswith("ntb-")]


def includes(name: str) -> set[str]:
    """Those of our own files that file `name` includes."""
    return {found for found in INCLUDE.findall(FILES[name]) if found in FILES}


def test_the_files_are_found() -> None:
    assert {"ntb-port.h", "ntb-life.c", "idt-ntb-pci.c", "epf-ntb-pci.c"} <= FILES.keys()
    assert includes("ntb-life.c") >= {"ntb-life.h", "ntb-link.h"}


def test_no_circle() -> None:
    """A .c file stands for its pair: what it calls must not lead back to it."""
    pairs = {name.rpartition(".")[0] for name in FILES}
    graph = {
        pair: {found.rpartition(".")[0] for part in "ch" for found in _of(f"{pair}.{part}")}
        for pair in pairs
    }
    for pair, needs in graph.items():
        needs.discard(pair)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"included in a circle: {' → '.join(error.args[1])}")


def _of(name: str) -> set[str]:
    return includes(name) if name in FILES else set()


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith(".c")])
def test_a_file_includes_its_own_header_and_the_first_of_all(name: str) -> None:
    assert FILES[name].index("#include") == FILES[name].index('#include "qemu/osdep.h"')
    header = name.removesuffix(".c") + ".h"
    assert header not in FILES or header in includes(name)


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_frontend_and_no_bus(name: str) -> None:
    named = re.findall(r'^#include "(.*)"', FILES[name], re.MULTILINE)
    assert not [n for n in named if re.match(r"(.*/)?(idt|epf|pci)", n)]
    frontends = r"\bidt_|\bIDT|\bepf_|\bEPF|\bPCIDevice\b|\bPCI_DEVICE\b"
    assert not re.findall(frontends, FILES[name])


FRONTENDS = [name for name in FILES if name.startswith(("idt-", "epf-"))]


@pytest.mark.parametrize("name", FRONTENDS)
def test_a_frontend_knows_no_other(name: str) -> None:
    other = "epf" if name.startswith("idt") else "idt"
    assert not [found for found in includes(name) if found.startswith(other)]
    assert not re.findall(rf"\b{other}_|\b{other.upper()}_?NTB", FILES[name])
