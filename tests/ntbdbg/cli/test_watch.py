# SPDX-License-Identifier: MIT
"""ntbdbg watch as processes: lines, JSON, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntbdbg.cli.main import main
from tests.support.fakelab import FakeLab
from tests.support.linkedlab import TARGET, LinkedLab


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        yield lab


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["watch", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


class Watching:
    """A watch in a process of its own, known to have taken its first sample."""

    def __init__(self, lab: FakeLab, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ntbdbg", "watch", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # `communicate` does not see what `readline` read ahead
            env=lab.environ,
        )
        self._lab = lab
        self._beat = 0

    def until_awake(self, address: int) -> str:
        """Change a byte again and again until the first line about it comes."""
        import threading

        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.02):
                self._beat += 1
                self._lab.poke("qemu1", address, bytes([self._beat & 0xFF]))

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            assert self.process.stdout is not None
            return self.process.stdout.readline().decode()
        finally:
            stop.set()
            thread.join()

    def finish(self, timeout: float = 30) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out.decode(), err.decode()


LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \+\d+\.\d{6} qemu1 0x1000 [0-9a-f]{2} -> [0-9a-f]{2}"
)


def test_a_line_is_there_at_once_and_ctrl_c_is_fine(lab: FakeLab) -> None:
    watching = Watching(lab, "qemu1", "0x1000", "64", "--interval", "0.005")
    assert LINE.fullmatch(watching.until_awake(0x1000).rstrip())
    watching.process.send_signal(signal.SIGINT)
    code, _, err = watching.finish()
    assert code == 0
    assert re.search(r"\d+ samples in [\d.]+ s: \d+/s, longest gap [\d.]+ ms; \d+ changes", err)


def test_count_in_json(lab: FakeLab) -> None:
    watching = Watching(lab, "qemu1", "0x1000", "--count", "1", "--json", "--interval", "0")
    first = json.loads(watching.until_awake(0x1000))
    code, out, _ = watching.finish()
    assert code == 0
    assert (first["kind"], first["guest"], first["address"]) == ("watch", "qemu1", 0x1000)
    end = json.loads(out)
    assert (end["kind"], end["ended"], end["changes"]) == ("watch-end", "count", 1)
    assert end["rate"] > 0
    assert end["longest_gap"] > 0


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: os.truncate(path, 4096), "shrank"),
        (None, "replaced"),
    ],
)
def test_a_ram_file_that_goes_away(lab: FakeLab, harm, says) -> None:
    watching = Watching(lab, "qemu1", "0x100000", "1M", "--interval", "0.001")
    watching.until_awake(0x100000)
    if harm:
        harm(lab.ram_path("qemu1"))
    else:
        lab.replace_ram("qemu1")
    code, _, err = watching.finish()
    assert code == 3
    assert says in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_reader_that_leaves(lab: FakeLab) -> None:
    watching = Watching(lab, "qemu1", "0x1000", "--count", "3", "--interval", "0.001")
    watching.until_awake(0x1000)
    watching.process.stdout.close()
    for value in range(100, 200):
        lab.poke("qemu1", 0x1000, bytes([value]))
        if watching.process.poll() is not None:
            break
        watching_wait(watching)
    assert watching.process.wait(30) == 0


def watching_wait(watching: Watching) -> None:
    try:
        watching.process.wait(0.05)
    except subprocess.TimeoutExpired:
        return


def test_timeout_without_the_event(lab: FakeLab, run) -> None:
    code, out, err = run("qemu1", "0x1000", "--timeout", "0.05")
    assert (code, out) == (1, "")
    assert "0 changes" in err
    assert run("qemu1", "0x1000", "--until", "u8==7", "--timeout", "0.05")[0] == 1
    assert run("qemu1", "0x1000", "--count", "1", "--timeout", "0.05", "--json")[0] == 1


def test_until_that_holds_at_once(lab: FakeLab, run) -> None:
    lab.poke("qemu1", 0x1004, b"\x05")
    assert run("qemu1", "0x1000", "--until", "u32+4==5")[0] == 0
    assert run("qemu1", "0x1004", "4", "0x2000", "--until", "u32==5")[0] == 0


def test_until_freezes_and_leaves_frozen(lab: FakeLab, run) -> None:
    code, _, err = run("qemu1", "0x1000", "--until", "u8==0", "--freeze")
    assert code == 0
    assert "stopped: qemu1, qemu2" in err
    assert {server.status for server in lab.qmp.values()} == {"paused"}


def test_a_timeout_does_not_freeze(lab: FakeLab, run) -> None:
    args = ("qemu1", "0x1000", "--until", "u8==9", "--freeze", "--timeout", "0.05")
    assert run(*args)[0] == 1
    assert {server.status for server in lab.qmp.values()} == {"running"}


def test_link(linked: LinkedLab) -> None:
    watching = Watching(linked, "--link", "qemu1", "0x1000", "--until", "qemu2.doorbell.status==4")
    watching.until_awake(0x1000)
    linked.switch.ring(1, 4)
    linked.publish()
    code, out, _ = watching.finish()
    assert code == 0
    assert "qemu2 doorbell.status 0x0 -> 0x4" in out
    assert "qemu2 doorbell.received 0 -> 1" in out


def test_through_a_window(linked: LinkedLab, run) -> None:
    linked.poke("qemu2", TARGET, b"\x2a")
    code, _, err = run("qemu1", "mw0", "--until", "u8==42")
    assert code == 0
    assert "qemu1:mw0 reaches qemu2:0x200000" in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "nothing to watch"),
        (["qemu1"], 2, "ADDR after TARGET"),
        (["qemu9", "0"], 3, "qemu1, qemu2"),
        (["qemu1", "0xa0000"], 4, "VGA hole"),
        (["qemu1", "0", "1M"], 4, "VGA hole"),
        (["qemu1", "0", "1G"], 2, "too much to watch"),
        (["qemu1", "1M", "0"], 2, "zero"),
        (["qemu1", "1M", "--until", "u32"], 2, "looks like"),
        (["qemu1", "1M", "4", "--until", "u64==1"], 2, "beyond the watched"),
        (["qemu1", "1M", "--freeze"], 2, "--until or --count"),
        (["--link"], 3, "no NTB link"),
        (["qemu1", "mw0"], 3, "not on an NTB link"),
        (["qemu1", "1M", "--interval", "-1"], 2, "range"),
    ],
)
def test_bad_input(lab: FakeLab, run, words, code, says) -> None:
    got, out, err = run(*words)
    assert (got, out) == (code, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_too_much_to_watch_is_told_before_what_is_no_ram(lab: FakeLab, run) -> None:
    code, _, err = run("qemu1", "0x1000", "65M")
    assert code == 2
    assert err == (
        "ntbdbg: 65 MiB are too much to watch at once; 64 MiB at most; "
        "'ntbdbg diff' compares whole guests\n"
    )
