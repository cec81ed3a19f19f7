# SPDX-License-Identifier: MIT
"""What the tour's scenes stand on: showing a command, running it, and checking what it said."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from run.base.config import launcher, spelt
from run.base.errors import RunError

#: seconds that any single command of the tour may take
COMMAND_TIMEOUT = 60.0


class DemoError(RunError):
    """Reality differs from what the tour says."""


@dataclass(frozen=True)
class Stage:
    """One lab, the commands to look at it, and a place to print.

    :param lab: name of the lab, as ``--name`` and ``--lab`` take it
    :param checkout: the folder that holds run/ and .venv/
    """

    lab: str
    checkout: Path
    console: Console

    def scene(self, title: str) -> None:
        """Open a scene."""
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left", characters="─")

    def say(self, text: str) -> None:
        """One thought of the narrator."""
        self.console.print(Text(text, style="cyan"))

    def check(self, claim: str, holds: bool, found: object = "") -> None:
        """State a fact that was just tested; raises DemoError where it does not hold."""
        if not holds:
            raise DemoError(
                f"this should hold and does not: {claim} (found {found!r:.300})",
                hint=f"python3 run status; the lab's logs tell more (lab {self.lab!r})",
            )
        self.console.print(Text.assemble(("  ✓ ", "bold green"), claim))

    def run(self, *arguments: str) -> str:
        """Show and run a launcher command; gives what it printed."""
        self._prompt(spelt("python3 run ") + shlex.join(arguments))
        return self._show([*launcher(), *arguments])

    def ntbdbg(self, *arguments: str, expect: int = 0) -> str:
        """Show and run an ntbdbg command; gives what it printed."""
        self._prompt("ntbdbg " + shlex.join(arguments))
        return self._show(self._ntbdbg(arguments), expect)

    def facts(self, *arguments: str, expect: int = 0) -> Any:
        """The JSON answer of an ntbdbg command, unseen: what checks compare with."""
        text = self._call([*self._ntbdbg(arguments), "--json"], expect)
        return json.loads(text)

    def guest(self, number: int, script: str, *, show: bool = True) -> str:
        """Run a shell script in guest `number` over ssh; gives its output, stripped."""
        if show:
            self._prompt(spelt(f"python3 run ssh {number} -- {shlex.quote(script)}"))
        command = [*launcher(), "ssh", "--name", self.lab]
        argv = [*command, str(number), "--", script]
        return (self._show(argv) if show else self._call(argv)).strip()

    def until(self, claim: str, test: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Poll `test` until it holds, for `timeout` seconds; then state or refute `claim`."""
        deadline = time.monotonic() + timeout
        while not (holds := test()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.check(claim, holds, f"not within {timeout:.0f} s")

    def _ntbdbg(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(Path(sys.executable).with_name("ntbdbg")), "--lab", self.lab, *arguments]

    def _prompt(self, command: str) -> None:
        self.console.print(Text.assemble(("$ ", "bold"), (command, "bold")), soft_wrap=True)

    def _show(self, argv: list[str], expect: int = 0) -> str:
        text = self._call(argv, expect)
        self.console.print(Text(text.rstrip("\n"), style="dim"), soft_wrap=True)
        return text

    def _call(self, argv: list[str], expect: int = 0) -> str:
        """Run `argv`; raises DemoError unless it exits with `expect`."""
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT,
                stdin=subprocess.DEVNULL,
                # What is shown side by side shall fit the terminal that we show it on.
                env={**os.environ, "COLUMNS": str(self.console.width)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(
                f"{shlex.join(argv)} did not end within {COMMAND_TIMEOUT:.0f} s"
            ) from None
        if done.returncode != expect:
            raise DemoError(
                f"{shlex.join(argv)} ended with {done.returncode}, not {expect}:"
                f" {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout
