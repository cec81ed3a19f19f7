# SPDX-License-Identifier: MIT
"""Build steps: a named bar on a terminal, plain lines elsewhere, full logs in files."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from run.base.config import program_path
from run.base.errors import RunError

#: lines of a failed step's log that are shown
TAIL_LINES = 25

#: how ninja and bitbake tell how far they are
_FRACTION = re.compile(r"^(?:\[|.*NOTE: Running (?:setscene )?task )(\d+)(?:/| of )(\d+)\b")


class StepError(RunError):
    """A build step failed; the message ends with the last lines of its log."""

    def __init__(self, step: str, why: str, log: Path, tail: Sequence[str]) -> None:
        shown = "".join(f"\n    {line}" for line in tail)
        super().__init__(f"{step}: {why}{shown}\n  the whole log is {log}")
        self.log = log


class Steps:
    """Runs the steps of one build, one after the other.

    :param logs: folder for one log file per step, named after it
    """

    def __init__(self, logs: Path, console: Console | None = None) -> None:
        self._logs = logs
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """One named step; on a terminal its bar stays until it is done, then a line remains."""
        started = time.monotonic()
        with self._bar(name) as (progress, task):
            yield Step(name, self._log(name), progress, task)
        self._console.print(
            f"  {name} [dim]{time.monotonic() - started:.0f} s[/dim]", highlight=False
        )

    def say(self, words: str) -> None:
        """A line between steps."""
        self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def _bar(self, name: str) -> Iterator[tuple[Progress | None, TaskID]]:
        if not self._console.is_interactive:  # neither in a file nor on a dumb terminal
            self._console.print(f"  {name} ...", highlight=False, markup=False)
            yield None, TaskID(0)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield progress, progress.add_task(name, total=None, count="")

    def _log(self, name: str) -> Path:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / (re.sub(r"[^\w.-]+", "-", name).strip("-") + ".log")


class Step:
    """A running step, for the commands it consists of."""

    def __init__(self, name: str, log: Path, progress: Progress | None, task: TaskID) -> None:
        self.name = name
        self.log = log
        self._progress = progress
        self._task = task
        log.write_bytes(b"")

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> str:
        """Run a command, its output going to the log; gives that output.

        :param env: variables to set besides our own
        :raises StepError: it could not be started or did not exit with 0
        """
        words = [str(word) for word in argv]
        self._append(f"$ {shlex.join(words)}\n")
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, "PATH": program_path(), **(env or {})},
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            why = f"cannot run {words[0]}: {error.strerror}"
            raise StepError(self.name, why, self.log, []) from None
        with process:
            if stdin is not None and process.stdin is not None:
                process.stdin.write(stdin)
                process.stdin.close()
            output = self._follow(process)
        if process.returncode:
            tail = deque(output.splitlines(), TAIL_LINES)
            why = f"{Path(words[0]).name} ended with {process.returncode}"
            raise StepError(self.name, why, self.log, list(tail))
        return output

    def note(self, words: str) -> None:
        """A line for the log alone."""
        self._append(f"{words}\n")

    def fraction(self, done: int, total: int) -> None:
        """How far the step is, in units of its own."""
        if self._progress is not None:
            count = f"{done}/{total}"
            self._progress.update(self._task, completed=done, total=total, count=count)

    def _follow(self, process: subprocess.Popen[bytes]) -> str:
        lines = []
        assert process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            for raw in process.stdout:
                log.write(raw)
                line = raw.decode(errors="replace")
                lines.append(line)
                if match := _FRACTION.match(line):
                    self.fraction(int(match[1]), int(match[2]))
        return "".join(lines)

    def _append(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text)
