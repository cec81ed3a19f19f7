# SPDX-License-Identifier: MIT
"""What this host has: packages, KVM, memory, ports; and what is done about what it lacks."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import HostError
from run.cli.main import main
from run.host import checkup, install
from run.host.checkup import Finding, State, abilities, subject_of
from run.host.install import Policy, require
from run.host.packages import NEEDS, PURPOSES, Need, choose, installed, lacking, mend_command
from run.steps.steps import Steps
from run.vm import kvm

STATUS = """\
Package: gcc
Status: install ok installed
Version: 4:12

Package: make
Status: deinstall ok config-files

Package: libelf1t64
Status: install ok installed
Provides: libelf1 (= 0.190), other:any

Package: pahole
Status: hold ok installed
"""


def test_installed_packages_and_what_they_provide() -> None:
    assert installed(STATUS) == {"gcc", "libelf1t64", "libelf1", "other", "pahole"}


def test_lacking_names_each_thing_once(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(STATUS)
    names = [need.package for need in lacking(["qemu", "guest"], status=status)]
    assert "make" in names
    assert not {"gcc", "pahole|dwarves", "libelf1"} & {*names}
    assert names == sorted(set(names))


def test_without_dpkg_programs_are_looked_for(tmp_path: Path) -> None:
    has = {"xxd", "cmp", "readelf"}
    missing = lacking(["test"], status=tmp_path / "none", probe=has.__contains__)
    assert {need.probe for need in missing}.isdisjoint(has)
    assert "ssh" in {need.probe for need in missing}


def test_the_name_that_a_release_knows_is_chosen() -> None:
    need = Need("pahole|dwarves", "pahole")
    assert choose(need, lambda name: True) == "pahole"
    assert choose(need, lambda name: name == "dwarves") == "dwarves"
    assert choose(need, lambda name: False) == "pahole"


def test_every_purpose_has_words() -> None:
    assert {*NEEDS} == {*PURPOSES}


GET = "apt-get update && apt-get install -y --no-install-recommends a b"


@pytest.mark.parametrize(
    ("uid", "sudo", "line"),
    [
        (0, True, GET),
        (0, False, GET),
        (1000, True, GET.replace("apt-get ", "sudo apt-get ")),
        (1000, False, f"su -c '{GET}'"),
    ],
)
def test_the_mending_command(
    monkeypatch: pytest.MonkeyPatch, uid: int, sudo: bool, line: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/sudo" if sudo else None)
    assert mend_command(["a", "b"]) == line


class Host:
    """A Debian host that lacks make until apt-get ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, uid: int) -> None:
        self.missing = [Need("make", "make")]
        self.ran: list[list[str]] = []
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(install, "lacking", lambda purposes: list(self.missing))
        monkeypatch.setattr(install, "_is_known", lambda package: True)
        monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr("run.steps.steps.Step.run", lambda step, argv: self._run(argv))

    def _run(self, argv: list[str]) -> str:
        self.ran.append(argv)
        if "install" in argv:
            self.missing.clear()
        return ""


@pytest.mark.parametrize(
    ("uid", "policy", "installs"),
    [
        (0, Policy.ROOT, True),
        (0, Policy.ALWAYS, True),
        (0, Policy.NEVER, False),
        (1000, Policy.ROOT, False),
        (1000, Policy.ALWAYS, True),
        (1000, Policy.NEVER, False),
    ],
)
def test_who_installs(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    uid: int,
    policy: Policy,
    installs: bool,
) -> None:
    host = Host(monkeypatch, uid=uid)
    if installs:
        require(Steps(tmp_path), "guest", policy=policy)
        assert "installing system packages: make" in capsys.readouterr().err
        assert [argv[0] == "sudo" for argv in host.ran] == [uid != 0] * 2
        assert host.ran[-1][-3:] == ["-y", "--no-install-recommends", "make"]
        return
    with pytest.raises(HostError) as caught:
        require(Steps(tmp_path), "guest", policy=policy)
    sudo = "sudo " if uid else ""
    assert str(caught.value) == (
        "to build the guest this host lacks 1 system package; "
        f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends make"
    )
    assert caught.value.exit_code == 3
    assert host.ran == []


def test_without_sudo_there_is_nothing_to_say_yes_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Host(monkeypatch, uid=1000)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "sudo" else name)
    with pytest.raises(HostError, match=r"su -c 'apt-get update && .* make'"):
        require(Steps(tmp_path), "guest", policy=Policy.ALWAYS)


def test_options_become_a_policy() -> None:
    assert Policy.of(yes=False, no_install=False) is Policy.ROOT
    assert Policy.of(yes=True, no_install=False) is Policy.ALWAYS
    assert Policy.of(yes=True, no_install=True) is Policy.NEVER


def test_nothing_missing_asks_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = Host(monkeypatch, uid=0)
    host.missing.clear()
    require(Steps(tmp_path), "guest", policy=Policy.NEVER)
    assert host.ran == []


def test_a_host_without_apt_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Host(monkeypatch, uid=0)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(HostError, match="this host lacks make; install"):
        require(Steps(tmp_path), "guest")


@pytest.mark.parametrize(
    ("flags", "device", "expected"),
    [
        ("flags\t\t: fpu vmx sse", "file", None),
        ("flags : svm", "file", None),
        ("flags : fpu sse", "file", "is there, but the processor shows neither"),
        ("flags : fpu sse", "none", "the processor shows neither"),
        ("vmx flags : svmx", "file", "neither vmx nor svm"),
        ("", "file", "neither vmx nor svm"),
        ("flags : vmx", "none", "is the module kvm_intel or kvm_amd loaded"),
        ("flags : vmx", "folder", "Is a directory"),
    ],
)
def test_when_kvm_is_used(tmp_path: Path, flags: str, device: str, expected: str | None) -> None:
    cpuinfo, kvm_device = tmp_path / "cpuinfo", tmp_path / "kvm"
    cpuinfo.write_text(f"processor : 0\n{flags}\nbugs : vmx\n")
    if device == "file":
        kvm_device.touch()
    elif device == "folder":
        kvm_device.mkdir()
    why = kvm.why_not(cpuinfo, kvm_device)
    assert (why is None) is (expected is None)
    assert expected is None or expected in str(why)


def test_kvm_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : svm\n")
    monkeypatch.setattr(os, "open", refuse)
    assert "usermod -aG kvm" in str(kvm.why_not(cpuinfo, tmp_path / "kvm"))


def test_kvm_without_cpuinfo(tmp_path: Path) -> None:
    assert kvm.why_not(tmp_path / "none", tmp_path / "kvm") is not None


def test_kvm_that_is_not_used_is_no_obstacle() -> None:
    assert checkup.accelerator(lambda: None).state is State.OK
    finding = checkup.accelerator(lambda: "why")
    assert (finding.state, "why" in finding.words) == (State.NOTE, True)


def test_little_shared_memory_is_lacking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkup, "SHM_NEEDED", 1 << 62)
    finding = checkup.shared_memory(tmp_path)
    assert finding.state is State.LACKING
    assert "remount" in str(finding.mend)
    assert checkup.shared_memory(tmp_path / "none").state is State.LACKING


def test_little_memory_is_noted(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:  1048576 kB\n")
    assert checkup.memory(meminfo) == Finding(
        "memory", State.NOTE, "1.0 GiB available, 2.0 GiB wanted"
    )


def test_a_taken_port_is_noted_with_its_way_out() -> None:
    (finding,) = checkup.ports(lambda port: port == 8002)
    assert (finding.subject, finding.state) == ("port 8002", State.NOTE)
    assert "--console-port-base" in finding.words
    (free,) = checkup.ports(lambda port: False)
    assert free.state is State.OK


def test_a_listening_port_is_seen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        assert checkup._is_taken(taken.getsockname()[1])


def test_a_missing_build_names_the_command(tmp_path: Path) -> None:
    findings = list(checkup.builds(Paths(tmp_path)))
    assert [finding.mend for finding in findings] == [
        "python3 run build qemu",
        "python3 run build guest",
    ]


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("lacking", 3)])
def test_doctor_ends_with_3_only_if_something_is_lacking(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    finding = Finding("thing", State(state), "words", "mend it")
    monkeypatch.setattr("run.cli.commands.doctor.examine", lambda paths: [finding])
    monkeypatch.setattr("run.cli.commands.doctor.mend", lambda missing: None)
    assert main(["doctor"]) == code
    assert ("mend it" in capsys.readouterr().out) is (code == 3)
    assert main(["doctor", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report["findings"] == [
        {"subject": "thing", "state": state, "words": "words", "mend": "mend it"}
    ]


def findings(*purposes: str) -> list[Finding]:
    """What `examine` finds where packages for these are missing and nothing is built."""
    states = {p: State.LACKING if p in purposes else State.OK for p in PURPOSES}
    found = [Finding(subject_of(p), state, "") for p, state in states.items()]
    return [*found, Finding("QEMU", State.NOTE, ""), Finding("guest", State.NOTE, "")]


def test_doctor_says_what_can_run() -> None:
    assert not [ability for ability in abilities(findings()) if ability.lacks]
    found = {a.commands: a.lacks for a in abilities(findings("test"))}
    assert found.pop("test") == ("packages to run the tests",)
    assert not any(found.values())
    found = {a.commands: a.lacks for a in abilities(findings("qemu"))}
    assert found["vm, vms, demo"] == found["build"] == ("packages to build QEMU",)
    built = [f for f in findings("qemu") if f.subject not in ("QEMU", "guest")]
    assert not {a.commands: a.lacks for a in abilities(built)}["vm, vms, demo"]


def test_packages_for_tests_are_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "run.host.checkup.lacking", lambda purposes: NEEDS["test"] if "test" in purposes else []
    )
    states = {finding.subject: finding.state for finding in checkup.packages()}
    assert states.pop("packages to run the tests") is State.NOTE
    assert set(states.values()) == {State.OK}
