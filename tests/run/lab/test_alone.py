# SPDX-License-Identifier: MIT
"""What is done to one guest alone: stopped, killed, reset, paused, its cable pulled."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ntbdbg.lab.qmp import Qmp
from run.base.deadline import Deadline
from tests.run.conftest import CHECKOUT, Launcher


def states(launcher: Launcher) -> list[str]:
    return [guest["state"] for guest in launcher.status()[0]["guests"]]


def noted(launcher: Launcher, number: int) -> int | None:
    """The exit code of a guest, once its launcher has written it down."""
    exits = [guest.exit for guest in launcher.manifest().guests]
    Deadline(30).poll(lambda: launcher.manifest().guests[number - 1].exit is not None)
    exits = [guest.exit for guest in launcher.manifest().guests]
    ended = exits[number - 1]
    return ended.code if ended else None


def toolkit(launcher: Launcher, *words: str, expect: int = 0) -> str:
    argv = [sys.executable, "-m", "ntbdbg", *words]
    done = subprocess.run(
        argv, env=launcher.environ, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stop", "2"], 0, "stopping qemu2\nqemu2 is stopped; 'python3 run start 2' starts it"),
        (["kill", "qemu2"], -9, "qemu2 is killed; 'python3 run start qemu2' starts it again\n"),
    ],
)
def test_one_ends_and_the_others_go_on(
    launcher: Launcher, words: list[str], code: int, said: str
) -> None:
    launcher.vms("--vms=3", "--vm3-opts-override=")
    before = launcher.manifest().guests
    assert launcher(*words).stderr.startswith(said)
    assert noted(launcher, 2) == code
    assert states(launcher) == ["running", "ended", "running"]
    after = launcher.manifest().guests
    assert (after[0], after[2]) == (before[0], before[2])
    told = launcher(*words, expect=1).stderr
    assert told.startswith("run: qemu2 of lab 'default' does not run")
    launcher("start", "2")
    assert states(launcher) == ["running"] * 3


@pytest.mark.parametrize("fake", ["deaf", "paused"])
def test_who_does_not_follow_the_button_is_ended_all_the_same(
    launcher: Launcher, fake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.vms(f"--vm1-opts-override=-fake {fake}")
    launcher("stop", "1")
    assert noted(launcher, 1) == (-9 if fake == "deaf" else 0)


def test_the_last_one_that_ends_leaves_the_lab_to_be_looked_at(launcher: Launcher) -> None:
    launcher.vms()
    launcher("stop", "1")
    launcher("kill", "2")
    assert Deadline(30).poll(lambda: launcher.status()[0]["state"] == "stopped")
    assert states(launcher) == ["ended", "ended"]


def test_reset(launcher: Launcher) -> None:
    launcher.vms("--vm2-opts-override=-fake paused")
    assert launcher("reset", "1").stderr == (
        "qemu1 is reset: booting, until it accepts ssh ...\nqemu1 is up\n"
    )
    assert launcher("reset", "2").stderr == "qemu2 is reset, and boots when it goes on\n"


def test_pause_and_continue(launcher: Launcher) -> None:
    launcher.vms()
    assert launcher("pause", "2").stderr == "qemu2 is paused\n"
    assert states(launcher) == ["running", "paused"]
    assert launcher("ssh", "2", "true", expect=1).stderr == (
        "run: qemu2 is paused, so it does not answer; 'python3 run continue 2' lets it go on;"
        " ntbdbg reads its memory meanwhile\n"
    )
    assert "stood still already" in launcher("pause", "qemu2").stderr
    assert launcher("continue", "2").stderr == "qemu2 goes on\n"
    assert launcher("continue", "2").stderr == "qemu2 runs already\n"
    assert states(launcher) == ["running", "running"]


def test_resume_leaves_who_was_paused(launcher: Launcher) -> None:
    launcher.vms()
    launcher("pause", "2")
    assert toolkit(launcher, "freeze") == "stopped qemu1\n"
    said = toolkit(launcher, "resume")
    assert "qemu2 stays paused, as 'python3 run pause' left it" in said
    assert "'python3 run continue qemu2' lets it go on" in said
    assert states(launcher) == ["running", "paused"]
    assert "stays paused" in toolkit(launcher, "resume", "qemu2", expect=3)
    launcher("continue", "2")
    assert states(launcher) == ["running", "running"]


def test_continue_leaves_who_is_frozen(launcher: Launcher) -> None:
    launcher.vms()
    launcher("pause", "2")
    toolkit(launcher, "freeze")
    assert launcher("continue", "1", expect=1).stderr == (
        "run: qemu1 is frozen, not paused; 'ntbdbg resume' lets it go on\n"
    )
    assert "no longer paused; 'ntbdbg freeze' stopped it, too" in launcher("continue", "2").stderr
    assert states(launcher) == ["paused", "paused"]
    toolkit(launcher, "resume")
    assert states(launcher) == ["running", "running"]


def test_who_is_paused_while_frozen_stays_so(launcher: Launcher) -> None:
    launcher.vms()
    toolkit(launcher, "freeze")
    assert "stood still already" in launcher("pause", "1").stderr
    toolkit(launcher, "resume")
    assert states(launcher) == ["paused", "running"]
    launcher("continue", "1")
    assert states(launcher) == ["running", "running"]


def test_a_debuggers_stop_is_not_ours(launcher: Launcher) -> None:
    launcher.vms("--vm1-opts-override=-fake debug")
    assert launcher("continue", "1", expect=1).stderr == (
        "run: qemu1 is debug, not paused; a debugger stopped it: it goes on by that\n"
    )
    assert "stood still already" in launcher("pause", "1").stderr
    assert "a debugger stopped it, too" in launcher("continue", "1").stderr
    assert states(launcher) == ["debug", "running"]


def test_who_was_stopped_by_hand_goes_on_by_either(launcher: Launcher) -> None:
    launcher.vms()
    record = launcher.manifest().guests[0]
    for way_on in (lambda: launcher("continue", "1"), lambda: toolkit(launcher, "resume")):
        with Qmp(record.qmp) as qmp:
            qmp.execute("stop")
        way_on()
        assert states(launcher) == ["running", "running"]


def test_a_guest_that_is_started_again_is_not_paused(launcher: Launcher) -> None:
    launcher.vms()
    launcher("pause", "2")
    launcher("kill", "2")
    noted(launcher, 2)
    launcher("start", "2")
    toolkit(launcher, "freeze")
    toolkit(launcher, "resume")
    assert states(launcher) == ["running", "running"]


@pytest.mark.parametrize("kind", ["idt", "epf"])
def test_the_cable(launcher: Launcher, kind: str) -> None:
    launcher.vms(f"--ntb={kind}")
    said = [launcher("link", what, "2").stderr for what in ("down", "down", "up", "up")]
    assert said == [
        f"the cable of qemu2 {how}\n" for how in ("is out", "was out", "is in", "was in")
    ]
    assert "Invalid value for 'down|up'" in launcher("link", "sideways", "2", expect=2).stderr


def test_a_guest_without_a_cable(launcher: Launcher) -> None:
    launcher("vm", "--build-dir", str(launcher.build), "--detach", "--vm1-opts-override=")
    assert launcher("link", "down", "1", expect=1).stderr == (
        "run: qemu has no NTB port; 'python3 run vms' starts linked guests\n"
    )


def test_a_device_that_is_too_old_for_a_cable(launcher: Launcher) -> None:
    launcher.vms("--vm1-opts-override=-fake old")
    assert "has no cable: its QEMU is older; 'python3 run build qemu'" in (
        launcher("link", "down", "1", expect=1).stderr
    )


@pytest.mark.parametrize("words", [["pause"], ["continue"], ["kill"], ["reset"], ["link", "up"]])
def test_a_guest_that_is_not_there(launcher: Launcher, words: list[str]) -> None:
    launcher.vms()
    told = launcher(*words, "3", expect=2).stderr
    assert told == "run: no guest '3' in lab 'default'; it has 1 (qemu1), 2 (qemu2)\n"
