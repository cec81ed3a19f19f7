# SPDX-License-Identifier: MIT
"""A guest on the move, by QEMU itself: nobody stops it, and it never runs at two places."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import ntbdbg
from ntbdbg.errors import QmpError, TargetError
from ntbdbg.lab.manifest import GuestRecord, Manifest, ProcessRef, RamRecord, SegmentRecord
from ntbdbg.lab.qmp import Qmp
from ntbdbg.memory.layout import qemu_segments
from tests.device.conftest import qemu_build
from tests.device.deadline import eventually
from tests.device.qtest import base_argv

RAM = 64 << 20
SLOW = 1 << 14
"""Bytes per second at which a migration does not end by itself during a test."""


class Machine:
    """A QEMU without a disk: its firmware runs and looks for one."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        self.name, self.folder = name, folder
        self.ram = folder / f"{name}.ram"
        argv = [
            w.replace("accel=qtest", "accel=tcg") for w in base_argv(qemu_build(), self.ram, RAM)
        ]
        for kind in ("toolkit", "launcher"):
            argv += ["-qmp", f"unix:{folder / name}.{kind},server=on,wait=off"]
        with (folder / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*argv, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        # answered when the machine is made, RAM file and all
        eventually(self._answers, f"QEMU {name}", 60)

    def ask(self, command: str, **arguments: Any) -> Any:
        with Qmp(f"{self.folder / self.name}.launcher", timeout=60, who=self.name) as qmp:
            return qmp.execute(command, **arguments)

    def _answers(self) -> bool:
        with contextlib.suppress(QmpError):
            return bool(self.state)
        return False

    @property
    def state(self) -> str:
        return str(self.ask("query-status")["status"])

    def migration(self) -> str:
        return str(self.ask("query-migrate").get("status", "none"))

    def record(self, index: int) -> GuestRecord:
        status = self.ram.stat()
        segments = tuple(SegmentRecord(*segment) for segment in qemu_segments("q35", RAM))
        return GuestRecord(
            name=self.name,
            index=index,
            ram=RamRecord(str(self.ram), status.st_dev, status.st_ino, RAM, segments),
            qmp=f"{self.folder / self.name}.toolkit",
            qmp_launcher=f"{self.folder / self.name}.launcher",
            console_log=str(self.folder / "console"),
            log=str(self.folder / f"{self.name}.log"),
            process=ProcessRef.of(self.process.pid),
        )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


Pair = tuple[Machine, Machine]


@pytest.fixture
def pair(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A guest that runs, and where it may go; the environment leads to the lab of both."""
    folder = runtime / "ntbdbg" / "moving"
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(runtime))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        source = Machine(folder, "source")
        stack.callback(source.end)
        target = Machine(folder, "target", "-incoming", f"unix:{folder}/incoming")
        stack.callback(target.end)
        records = (source.record(0), target.record(1))
        Manifest("moving", "linked", time.time(), records).save(folder / "run.json")
        yield source, target


def start_migration(source: Machine, target: Machine, **parameters: int) -> None:
    source.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 30, **parameters})
    source.ask("migrate", uri=f"unix:{target.folder}/incoming")


@pytest.mark.parametrize("how", [lambda lab: lab.freeze(), lambda lab: lab.frozen().__enter__()])
def test_nobody_stops_who_is_on_the_move(pair: Pair, how: Callable[[Any], object]) -> None:
    source, target = pair
    start_migration(source, target, **{"max-bandwidth": SLOW})
    eventually(lambda: source.migration() == "active", "the migration", 60)
    refused = pytest.raises(TargetError, match=r"source is being migrated.*\(active\)")
    with ntbdbg.open(lab="moving") as lab, refused:
        how(lab)
    assert (source.state, target.state) == ("running", "inmigrate")


def test_who_migrates_while_it_stands_still_runs_at_one_place(pair: Pair) -> None:
    source, target = pair
    # where the guest is to go is none of the lab yet: it waits, and would be refused
    alone = Manifest("moving", "linked", time.time(), (source.record(0),))
    alone.save(source.folder / "run.json")
    with ntbdbg.open(lab="moving") as lab:
        with lab.frozen():
            start_migration(source, target)
            eventually(lambda: source.migration() == "completed", "the migration's end", 60)
        assert any("source is postmigrate by now" in note for note in lab.notes)
    assert source.state == "postmigrate"
    assert target.state == "paused"
