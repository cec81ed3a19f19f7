# SPDX-License-Identifier: MIT
"""What of a command line is for the container, and what is passed on into it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import UsageError
from run.base.spellings import translate
from run.container.engine import ENGINES
from run.vm.options import LaunchOptions

OPTION = "--container"
BUILD_DIR = "--host-build-dir"
DEFAULT_BUILD_DIR = Path("build_vm_image")

#: commands that start guests, whose ports are to be reached from the host
_GUESTS = ("vm", "vms", "demo", "shell")

#: commands about a lab that another container, of a known name, looks after
_INSIDE = (
    *("status", "ssh", "cp", "console"),
    *("stop", "start", "kill", "reset", "pause", "continue", "link"),
)


@dataclass(frozen=True)
class Request:
    """A command line, taken apart.

    :param engine: the one asked for, None for whichever is there
    :param host_build: the build folder on the host
    :param command: the launcher's words inside
    :param dry_run: print the engine's command instead
    """

    engine: str | None
    host_build: Path
    command: tuple[str, ...]
    dry_run: bool = False
    detach: bool = False
    lab: str = "default"
    ports: tuple[int, ...] = ()
    boot_timeout: float = LaunchOptions.boot_timeout

    @property
    def is_inside(self) -> bool:
        """Whether it is run in the container of a lab."""
        return bool(self.command) and self.command[0] in _INSIDE


def is_wanted(arguments: Sequence[str]) -> bool:
    """Whether a container is asked for: in front of ``--``, and of nobody's value."""
    return any(word.partition("=")[0] == OPTION for word in _ours(arguments))


def is_help(arguments: Sequence[str]) -> bool:
    """Whether a container is asked for, and then only what there is to ask for."""
    return is_wanted(arguments) and not {"-h", "--help"}.isdisjoint(_ours(arguments))


def parse(arguments: Sequence[str]) -> Request:
    """Take our own options out; raises UsageError."""
    words = list(_ours(arguments))
    rest = list(arguments[len(words) :])
    engine, host_build, kept = None, DEFAULT_BUILD_DIR, []
    pending = iter(words)
    for word in pending:
        name, equals, value = word.partition("=")
        if name == OPTION:
            engine = _engine(value) if equals else None
        elif name == BUILD_DIR:
            host_build = Path(value if equals else next(pending, ""))
            if not str(value if equals else host_build).strip("."):
                raise UsageError(f"{BUILD_DIR} wants a folder", hint=f"{BUILD_DIR}=build_vm_image")
        else:
            kept.append(word)
    command = translate(kept)
    starts = bool(command) and command[0] in ("vm", "vms")
    detach = starts and "--detach" in command
    dry_run = "--dry-run" in command
    own = {"--dry-run"} | ({"--detach"} if detach else set())
    return Request(
        engine=engine,
        host_build=host_build,
        command=(*(word for word in command if word not in own), *rest),
        dry_run=dry_run,
        detach=detach,
        lab=_value(command, "--name")
        or _value(command, "--lab")
        or ("demo" if command[:1] == ["demo"] else "default"),
        ports=_ports(command),
        boot_timeout=_seconds(command, "--boot-timeout", LaunchOptions.boot_timeout),
    )


def _ours(arguments: Sequence[str]) -> Sequence[str]:
    words = list(arguments)
    return words[: words.index("--")] if "--" in words else words


def _engine(name: str) -> str:
    if name not in ENGINES:
        raise UsageError(
            f"no container engine {name!r:.40}", hint=f"there are {', '.join(ENGINES)}"
        )
    return name


def _value(words: Sequence[str], option: str) -> str | None:
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _ports(command: Sequence[str]) -> tuple[int, ...]:
    """Those of guests that `command` may start; consoles after ssh."""
    if not command or command[0] not in _GUESTS:
        return ()
    bases = (("--ssh-port-base", 7001), ("--console-port-base", 8001))
    count = int(_number(command, "--vms", 2))
    return tuple(
        _number(command, option, first) + n for option, first in bases for n in range(count)
    )


def _number(command: Sequence[str], option: str, default: int) -> int:
    text = _value(command, option)
    try:
        return default if text is None else int(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r:.40} is no number") from None


def _seconds(command: Sequence[str], option: str, default: float) -> float:
    text = _value(command, option)
    try:
        found = default if text is None else float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise UsageError(f"{option}: {text!r:.40} is no number of seconds")
    return found
