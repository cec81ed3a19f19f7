# SPDX-License-Identifier: MIT
"""Freezing a lab: everything that was running runs again, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

import ntbdbg
from ntbdbg.errors import QmpError, TargetError
from ntbdbg.lab import freeze, frozenmark, monitors
from ntbdbg.lab.lab import Lab
from ntbdbg.lab.qmp import Qmp
from tests.support.fakelab import FakeLab


@pytest.fixture
def opened(lab: FakeLab) -> Lab:
    return ntbdbg.open()


def status(lab: FakeLab) -> list[str]:
    return [server.status for server in lab.qmp.values()]


def commands(lab: FakeLab, guest: str) -> list[str]:
    return [c for c in lab.qmp[guest].log if c in ("stop", "cont")]


def test_both_stand_still_inside_and_run_afterwards(lab: FakeLab, opened: Lab) -> None:
    with opened.frozen():
        assert status(lab) == ["paused", "paused"]
        mark = frozenmark.read(lab.folder)
        assert mark
        assert mark.owner
        assert mark.owner.pid == os.getpid()
        assert mark.guests == ("qemu1", "qemu2")
    assert status(lab) == ["running", "running"]
    assert frozenmark.read(lab.folder) is None


def test_what_holds_the_monitors_shares_them(lab: FakeLab, opened: Lab) -> None:
    with opened.frozen() as still:
        assert opened.stillness() is still
        with opened.guest("qemu1").qmp() as qmp:
            assert qmp.execute("query-status")["status"] == "paused"
        with opened.guest("qemu1").qmp() as qmp:  # it is still open
            qmp.execute("query-status")
        assert monitors.states(opened) == {"qemu1": "running", "qemu2": "running"}
    assert opened.stillness() is None
    with opened.guest("qemu1").qmp() as qmp:
        assert qmp.execute("query-status")["status"] == "running"


def test_an_exception_inside_resumes_and_passes(lab: FakeLab, opened: Lab) -> None:
    with pytest.raises(KeyError), opened.frozen():
        raise KeyError
    assert status(lab) == ["running", "running"]


def test_a_guest_that_stood_still_stays_so(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu1"].status = "paused"
    with opened.frozen():
        assert status(lab) == ["paused", "paused"]
    assert status(lab) == ["paused", "running"]
    assert commands(lab, "qemu1") == []


def test_a_panicked_guest_is_left_alone(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu1"].status = "guest-panicked"
    with opened.frozen():
        pass
    assert opened.resume() == []
    assert status(lab) == ["guest-panicked", "running"]


def test_freeze_lasts_until_resume(lab: FakeLab, opened: Lab) -> None:
    assert opened.freeze() == ["qemu1", "qemu2"]
    assert opened.freeze() == []
    with opened.frozen():
        pass
    assert status(lab) == ["paused", "paused"]
    assert opened.notes == ["qemu1 and qemu2 stay frozen afterwards, as 'ntbdbg freeze' left them"]
    assert opened.resume() == ["qemu1", "qemu2"]
    assert status(lab) == ["running", "running"]
    assert frozenmark.read(lab.folder) is None


@pytest.mark.parametrize(
    ("state", "migration", "word"),
    [
        ("running", "active", "active"),
        ("running", "postcopy-active", "postcopy-active"),
        ("running", "postcopy-paused", "postcopy-paused"),
        ("paused", "device", "device"),
        ("inmigrate", "", "inmigrate"),
        ("finish-migrate", "completed", "finish-migrate"),
        ("save-vm", "", "save-vm"),
    ],
)
@pytest.mark.parametrize("how", ["frozen", "freeze"])
def test_who_is_on_the_move_is_refused_before_anybody_stops(
    lab: FakeLab, opened: Lab, how: str, state: str, migration: str, word: str
) -> None:
    lab.qmp["qemu2"].status, lab.qmp["qemu2"].migration = state, migration
    with pytest.raises(TargetError) as caught:
        opened.freeze() if how == "freeze" else opened.frozen().__enter__()
    assert f"qemu2 is being migrated, saved or loaded ({word})" in str(caught.value)
    assert commands(lab, "qemu1") == commands(lab, "qemu2") == []
    assert frozenmark.read(lab.folder) is None


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
def test_who_migrated_earlier_is_frozen_as_ever(lab: FakeLab, opened: Lab, ended: str) -> None:
    lab.qmp["qemu1"].migration = ended
    with opened.frozen():
        assert status(lab) == ["paused", "paused"]
    assert status(lab) == ["running", "running"]


@pytest.mark.parametrize(
    ("state", "migration", "told"),
    [
        ("postmigrate", "completed", "qemu1 is postmigrate by now, so it was not continued"),
        ("paused", "active", "qemu1 is on the move (active), so it was not continued"),
    ],
)
def test_who_migrates_while_it_stands_still_is_not_continued(
    lab: FakeLab, opened: Lab, state: str, migration: str, told: str
) -> None:
    with opened.frozen():
        lab.qmp["qemu1"].status, lab.qmp["qemu1"].migration = state, migration
    assert status(lab) == [state, "running"]
    assert commands(lab, "qemu1") == ["stop"]
    assert told in opened.notes


def test_resume_refuses_who_is_on_the_move(lab: FakeLab, opened: Lab) -> None:
    for server in lab.qmp.values():
        server.status = "paused"
    lab.qmp["qemu2"].migration = "active"
    with pytest.raises(TargetError, match=r"qemu2 is being migrated, saved or loaded \(active\)"):
        opened.resume()
    assert status(lab) == ["paused", "paused"]


def test_resume_by_name(lab: FakeLab, opened: Lab) -> None:
    opened.freeze()
    assert opened.resume("qemu2") == ["qemu2"]
    assert status(lab) == ["paused", "running"]
    mark = frozenmark.read(lab.folder)
    assert mark
    assert mark.guests == ("qemu1",)
    assert opened.resume("qemu1", "qemu2") == ["qemu1"]
    assert frozenmark.read(lab.folder) is None


def test_who_was_never_started_goes_on_by_its_name(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu2"].status = "prelaunch"
    assert opened.resume() == []
    assert opened.notes == ["qemu2 was never started; 'ntbdbg resume qemu2' starts it"]
    assert opened.resume("qemu2") == ["qemu2"]
    assert status(lab) == ["running", "running"]


def test_who_cannot_go_on_is_told(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu1"].status = "guest-panicked"
    with pytest.raises(TargetError) as caught:
        opened.resume("qemu1")
    assert str(caught.value) == (
        "qemu1 is guest-panicked, not paused, so it cannot go on; 'ntbdbg postmortem' tells why"
    )
    with pytest.raises(TargetError, match="no guest 'qemu9'"):
        opened.resume("qemu9")


def test_the_state_of_who_is_on_the_move_is_told_with_a_note(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu1"].migration = "postcopy-paused"
    assert monitors.states(opened) == {"qemu1": "running", "qemu2": "running"}
    assert opened.notes == [
        "qemu1 is being migrated, saved or loaded (postcopy-paused): memory may not be whole"
    ]


@pytest.mark.parametrize("how", ["frozen", "freeze"])
def test_if_one_refuses_to_stop_the_other_runs_again(lab: FakeLab, opened: Lab, how: str) -> None:
    lab.qmp["qemu2"].refuse["stop"] = "no"
    with pytest.raises(QmpError, match="qemu2: QEMU refuses stop: no"):
        opened.freeze() if how == "freeze" else opened.frozen().__enter__()
    assert status(lab) == ["running", "running"]
    assert frozenmark.read(lab.folder) is None


def test_if_one_refuses_to_go_on_the_other_does(lab: FakeLab, opened: Lab) -> None:
    with pytest.raises(QmpError) as caught, opened.frozen():
        lab.qmp["qemu1"].refuse["cont"] = "no"
    assert str(caught.value) == (
        "qemu1: QEMU refuses cont: no; it may still be stopped; "
        "'ntbdbg resume' tries again, 'ntbdbg info' shows each guest's state"
    )
    assert status(lab) == ["paused", "running"]
    del lab.qmp["qemu1"].refuse["cont"]
    assert opened.resume() == ["qemu1"]


def test_a_dead_monitor_is_told_before_anybody_stops(lab: FakeLab, opened: Lab) -> None:
    lab.qmp["qemu2"].close()
    with pytest.raises(QmpError, match=r"qemu2: QEMU's monitor .*no such socket"), opened.frozen():
        pytest.fail("not frozen")
    assert commands(lab, "qemu1") == []


def test_a_silent_monitor_costs_a_bounded_time(
    lab: FakeLab, opened: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.qmp["qemu2"].mute = True
    monkeypatch.setattr(freeze, "monitor", lambda r: Qmp(r.qmp, who=r.name, timeout=0.3))
    with pytest.raises(QmpError, match=r"qemu2: .* did not greet within 0.3 s"), opened.frozen():
        pytest.fail("not frozen")
    assert status(lab)[0] == "running"


def test_a_dead_lab_stands_still_already(tmp_path_factory: pytest.TempPathFactory) -> None:
    with FakeLab(tmp_path_factory.mktemp("dead"), live=False) as fake:
        lab = ntbdbg.open(fake.path)
        with lab.frozen():
            pass
        assert lab.notes == ["no guest runs: all stand still already"]
        for action in (lab.freeze, lab.resume):
            with pytest.raises(TargetError, match="no guest of lab 'default' runs"):
                action()


def test_bare_files_cannot_be_frozen(lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(lab.root / "none"))
    bare = ntbdbg.open()
    with pytest.raises(TargetError, match="bare RAM files cannot be frozen"), bare.frozen():
        pytest.fail("not frozen")


def test_two_at_once_take_turns(lab: FakeLab, opened: Lab) -> None:
    seen: list[list[str]] = []

    def other() -> None:
        with ntbdbg.open().frozen():
            seen.append(status(lab))

    thread = threading.Thread(target=other)
    with opened.frozen():
        thread.start()
        thread.join(0.2)
        assert seen == []
    thread.join(10)
    assert seen == [["paused", "paused"]]
    assert status(lab) == ["running", "running"]


def test_waiting_for_another_process_ends(
    lab: FakeLab, opened: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozenmark, "LOCK_TIMEOUT", 0.1)
    with opened.frozen():
        with pytest.raises(TargetError) as caught, ntbdbg.open().frozen():
            pytest.fail("not frozen")
        assert str(caught.value) == (
            f"process {os.getpid()} holds the lab frozen; wait for it, or end it"
        )


HOLD = """
import sys, time, ntbdbg
with ntbdbg.open() as lab, lab.frozen():
    print("frozen", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, None), (signal.SIGKILL, -9)],
)
def test_signals(lab: FakeLab, number: signal.Signals, code: int | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "frozen\n"
        process.send_signal(number)
        process.communicate(timeout=20)
    if number is signal.SIGKILL:
        assert status(lab) == ["paused", "paused"]
        again = ntbdbg.open()
        with again.frozen():
            pass
        assert again.notes == [
            f"qemu1 and qemu2 were left frozen by process {process.pid}, which was killed; "
            "'ntbdbg resume' lets them run"
        ]
        assert again.resume() == ["qemu1", "qemu2"]
    assert status(lab) == ["running", "running"]
    assert frozenmark.read(lab.folder) is None
    assert code is None or process.returncode == code


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": 5, "guests": 3, "since": "x"}'])
def test_a_senseless_mark_is_ignored(lab: FakeLab, opened: Lab, text: str) -> None:
    (lab.folder / frozenmark.NAME).write_text(text)
    with opened.frozen():
        pass
    assert opened.freeze() == ["qemu1", "qemu2"]
    assert opened.resume() == ["qemu1", "qemu2"]
