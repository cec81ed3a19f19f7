# SPDX-License-Identifier: MIT
"""`python3 -m tests.fuzz.ram --cases 200 [RAM]`: a kernel in damaged memory, asked everything.

Each case damages page tables, symbols, types, modules, tasks, VMCOREINFO or any page: random
bytes, or lies that are well-formed. Then every command runs in a process of its own, which may
use 2 GiB and 10 seconds of processor time; what the library tells is asked as well. Each must
end in an answer or in one clear line. Without RAM, a copy of a guest's, fake guests are used.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ntbdbg.cli.main import COMMANDS
from ntbdbg.errors import NtbdbgError
from tests.fuzz import commands
from tests.fuzz.asking import ask_everything
from tests.fuzz.child import Outcome, command, limited
from tests.fuzz.guests import make_lab
from tests.fuzz.victim import Victim

PATCHED = 0x500
"""Where `patch` writes."""


class Campaign:
    """Cases against one victim.

    :param chosen: the words of each command
    :param share: how many of them each case asks, None for all
    :ivar bad: what ended as it must not
    """

    def __init__(
        self, victim: Victim, folder: Path, chosen: list[list[str]], share: int | None = None
    ) -> None:
        self._victim, self._folder = victim, folder
        self._chosen, self._share = chosen, share
        self.ran: Counter[int] = Counter()
        self.bad: list[str] = []
        self.slowest = self.largest = Outcome((), 0, "", 0, 0)

    def case(self, seed: int) -> None:
        """One damage, and all commands on it."""
        chance = random.Random(seed)
        what = self._victim.damage(chance)
        print(f"case {seed}: {what:.300}", file=sys.stderr, flush=True)
        self._victim.keep(PATCHED, 8)
        ram = 2 * self._victim.size
        self._take(seed, limited(("library",), self._ask, ram, self._folder))
        few = self._share is not None and self._share < len(self._chosen)
        for words in chance.sample(self._chosen, self._share or 0) if few else self._chosen:
            self._take(seed, command(words, ram, self._folder))
        self._victim.mend()
        self._tidy()

    def _ask(self) -> int:
        with contextlib.suppress(NtbdbgError):
            ask_everything(self._victim.memory)
        return 0

    def _take(self, seed: int, outcome: Outcome) -> None:
        self.ran[outcome.code] += 1
        self.slowest = max(self.slowest, outcome, key=lambda one: one.seconds)
        self.largest = max(self.largest, outcome, key=lambda one: one.memory)
        if outcome.problem is not None:
            told = f"case {seed}: {' '.join(outcome.words)}: {outcome.problem} "
            self.bad.append(f"{told}after {outcome.seconds:.1f} s\n{outcome.error[-3000:]}")
            print(self.bad[-1], file=sys.stderr, flush=True)

    def _tidy(self) -> None:
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def summary(self) -> str:
        codes = ", ".join(f"{count} × {code}" for code, count in sorted(self.ran.items()))
        slow, large = self.slowest, self.largest
        return (
            f"{self.ran.total()} commands, exit codes {codes}; slowest {' '.join(slow.words)} "
            f"{slow.seconds:.1f} s, largest {' '.join(large.words)} {large.memory >> 20} MiB; "
            f"{len(self.bad)} bad"
        )


@contextlib.contextmanager
def fakes() -> Iterator[tuple[Victim, list[list[str]]]]:
    """A lab in memory, found by whoever looks for one."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="fuzz-") as folder,
        make_lab(Path(folder) / "run") as lab,
    ):
        os.environ.update(lab.environ)
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        yield Victim(lab.ram_path("qemu1")), commands.of_lab()


@contextlib.contextmanager
def copy_of(ram: Path, machine: str) -> Iterator[tuple[Victim, list[list[str]]]]:
    """A guest's RAM, copied to be damaged."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="fuzz-") as folder:
        path = Path(folder) / "ram"
        shutil.copyfile(ram, path)
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = folder
        yield Victim(path, machine), commands.of_file(str(path))


def preload() -> None:
    """Import what commands import, once for all of them."""
    for module, _ in COMMANDS.values():
        importlib.import_module(f"ntbdbg.cli.commands.{module}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.ram")
    parser.add_argument("ram", type=Path, nargs="?", help="copy of a guest's RAM")
    parser.add_argument("--machine", default="q35")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--only", default="", help="commands that hold this text")
    parser.add_argument("--share", type=int, help="so many commands for each case, not all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    preload()
    made = copy_of(options.ram, options.machine) if options.ram else fakes()
    with made as (victim, chosen), tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        wanted = [words for words in chosen if options.only in " ".join(words)]
        campaign = Campaign(victim, Path(folder), wanted, options.share)
        for seed in range(options.seed, options.seed + options.cases):
            campaign.case(seed)
    print(f"{options.cases} cases from {options.seed} on: {campaign.summary()}")
    return bool(campaign.bad)


if __name__ == "__main__":
    sys.exit(main())
