# SPDX-License-Identifier: MIT
"""The device alone compiled anew, with sanitizers, and linked with the rest of a compiled QEMU.

AddressSanitizer replaces the allocator of the whole program, so that it sees the device misuse
what others allocated as well. Compiling all of QEMU so would take a quarter of an hour, to look for
mistakes that are not ours.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run.base.errors import RunError
from run.steps.steps import Step

#: what finds an access outside of an object, and what C leaves undefined, and ends QEMU then
FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

_LINKERS = ("c_LINKER", "c_LINKER_RSP")


def build(
    step: Step, tree: Path, sources: Sequence[str], program: str, target: Path, jobs: int
) -> None:
    """Make `target`, which is `program` of the build folder `tree` with sanitizers in `sources`.

    :param step: its log takes what the compiler says
    :param sources: relative to the source tree, of which `tree` is a subfolder
    """
    scratch = target.parent / "sanitized-objects"
    scratch.mkdir(parents=True)
    ours = commands(tree, sources)
    objects = {c["output"]: scratch / Path(c["output"]).name for c in ours}
    lines = [_compiler(shlex.split(c["command"]), objects[c["output"]]) for c in ours]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda line: step.run(line, cwd=tree), lines))
    step.run(_linker(_link_line(step, tree, program), objects, target), cwd=tree)
    for path in objects.values():
        path.unlink()
    scratch.rmdir()


def commands(tree: Path, sources: Sequence[str]) -> list[dict[str, str]]:
    """How each of `sources` is compiled: ``file``, ``output``, ``command``, as CMake has it.

    :param tree: a build folder, one level below the source tree
    :raises RunError: this QEMU does not compile one of them
    """
    listed = json.loads((tree / "compile_commands.json").read_text(encoding="utf-8"))
    root = tree.parent.resolve()
    known = {os.path.relpath(tree.resolve() / c["file"], root): c for c in listed}
    missing = [name for name in sources if name not in known]
    if missing or not sources:
        raise RunError(f"this QEMU compiles nothing of {', '.join(missing) or 'the device'}")
    return [known[name] for name in sources]


def _compiler(words: list[str], output: Path) -> list[str]:
    """The command that compiles one file, writing to `output` and noting no dependencies."""
    kept, skip = [], False
    for word in words:
        if not skip and word not in ("-MD", "-MQ", "-MF"):
            kept.append(word)
        skip = not skip and word in ("-MQ", "-MF")
    kept[kept.index("-o") + 1] = str(output)
    return [kept[0], *FLAGS, *kept[1:]]


def _link_line(step: Step, tree: Path, program: str) -> list[str]:
    """How ninja links `program`, its response file written out."""
    text = step.run(["ninja", "-C", tree, "--quiet", "-t", "compdb", "-x", *_LINKERS])
    listed = json.loads(text[text.index("[") :])
    lines = [entry["command"] for entry in listed if entry["output"] == program]
    if len(lines) != 1:
        raise RunError(f"ninja knows {len(lines)} ways to link {program}")
    return shlex.split(lines[0])


def _linker(words: list[str], objects: dict[str, Path], target: Path) -> list[str]:
    """The same with our objects in the place of theirs."""
    missing = objects.keys() - set(words)
    if missing:
        raise RunError(f"QEMU is linked without {', '.join(sorted(missing))}")
    replaced = [str(objects.get(word, word)) for word in words]
    replaced[replaced.index("-o") + 1] = str(target)
    return [replaced[0], *FLAGS, *replaced[1:]]
