# SPDX-License-Identifier: MIT
"""The engine's command lines, compared as lists."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from run.base.errors import RunError, UsageError
from run.container import argv, main
from run.container.argv import Ground
from run.container.main import Steps
from run.container.request import parse

GROUND = Ground(
    engine="docker",
    checkout=Path("/src/ntbdbg"),
    build=Path("/src/ntbdbg/build_vm_image"),
    cache=Path("/home/u/.cache/ntbdbg"),
    uid=1234,
    gid=100,
)
IMAGE = "ntbdbg:0-1234"
FOLDERS = [
    *("--mount", "type=bind,source=/src/ntbdbg,target=/src/ntbdbg"),
    *("--mount", "type=bind,source=/src/ntbdbg/build_vm_image,target=/src/ntbdbg/build"),
    *("--mount", "type=bind,source=/home/u/.cache/ntbdbg,target=/home/u/.cache/ntbdbg"),
]
ENVIRONMENT = [
    *("--env", "XDG_CACHE_HOME=/home/u/.cache"),
    *("--env", "NTBDBG_VENV=/src/ntbdbg/build/.venv"),
    "--env",
    "PATH=/src/ntbdbg/build/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    *("--env", "NTBDBG_LISTEN=0.0.0.0"),
]
TAIL = ["--workdir", "/src/ntbdbg", IMAGE]
PORTS = [
    word for port in (7001, 7002, 8001, 8002) for word in ("--publish", f"127.0.0.1:{port}:{port}")
]


def last(*words: str, ground: Ground = GROUND) -> list[str]:
    return Steps(ground, IMAGE, parse(["--container", *words])).last


def test_two_guests() -> None:
    assert last("vms", "--qemu-map-ram-to-shm") == [
        *("docker", "run", "--rm", "--name", "ntbdbg", "--init", "--interactive"),
        *("--user", "1234:100"),
        *FOLDERS,
        *("--shm-size", "8g"),
        *ENVIRONMENT,
        *PORTS,
        *TAIL,
        *("python3", "/src/ntbdbg/run", "vms", "--qemu-map-ram-to-shm"),
    ]


def test_a_build_has_no_name_and_no_ports() -> None:
    words = last("build", "--build=qemu")
    assert "--name" not in words
    assert "--publish" not in words
    assert words[-4:] == ["python3", "/src/ntbdbg/run", "build", "--build=qemu"]


def test_terminal_kvm_mirrors_and_variables() -> None:
    ground = replace(
        GROUND,
        terminal=True,
        kvm=True,
        kvm_gid=108,
        mirrors=Path("/m"),
        environ={"NO_COLOR": "1", "SECRET": "x"},
    )
    text = " ".join(last("build", "yocto", ground=ground))
    assert " --interactive --tty " in text
    assert " --device /dev/kvm --group-add 108 " in text
    assert " --mount type=bind,source=/m,target=/m,readonly " in text
    assert " --env NO_COLOR=1 " in text
    assert "SECRET" not in text


def test_podman_keeps_the_number() -> None:
    ground = replace(GROUND, engine="podman")
    words = last("build", ground=ground)
    assert words[0] == "podman"
    assert "--userns=keep-id" in words
    assert "--userns=keep-id" not in last("build", ground=replace(ground, uid=0))
    assert "--userns=keep-id" not in last("ssh", "1", ground=ground)


@pytest.mark.parametrize(
    "words", [["status"], ["ssh", "1", "--", "uname", "--container"], ["stop", "--all"]]
)
def test_what_is_about_a_running_lab_goes_to_its_container(words: list[str]) -> None:
    assert last(*words) == [
        *("docker", "exec", "--interactive", "--user", "1234:100"),
        *("--workdir", "/src/ntbdbg", "ntbdbg", "python3", "/src/ntbdbg/run", *words),
    ]


def test_a_named_lab_has_a_container_of_its_own() -> None:
    assert "ntbdbg-two" in last("vms", "--name", "two")
    assert "ntbdbg-two" in last("status", "--name=two")


def test_a_shell() -> None:
    words = last("--command=shell")
    assert words[-1] == "bash"
    assert "--publish" in words, "guests may be started from it"


def test_in_the_background() -> None:
    words = last("vms", "--detach")
    assert words[:4] == ["docker", "run", "--rm", "--detach"]
    assert words[-1] == "vms", "inside they run in the foreground, or the container would end"


def test_moved_ports_and_more_guests() -> None:
    words = last("vms", "--vms=3", "--ssh-port-base=9001", "--console-port-base", "9101")
    published = [b for a, b in itertools.pairwise(words) if a == "--publish"]
    ports = [9001, 9002, 9003, 9101, 9102, 9103]
    assert published == [f"127.0.0.1:{port}:{port}" for port in ports]


def test_the_image() -> None:
    image = argv.image_name(b"FROM x", 1234)
    assert image != argv.image_name(b"FROM y", 1234) != argv.image_name(b"FROM y", 0)
    assert argv.build_argv(GROUND, image) == [
        *("docker", "build", "--tag", image, "--build-arg", "UID=1234", "--build-arg", "GID=100"),
        *("--file", "/src/ntbdbg/Dockerfile", "/src/ntbdbg"),
    ]


def test_a_checkout_whose_path_has_a_colon_and_a_comma() -> None:
    words = last("vms", ground=replace(GROUND, checkout=Path('/src/a:b,"c')))
    mounts = [b for a, b in itertools.pairwise(words) if a == "--mount"]
    where = '/src/a:b,""c'
    assert mounts[0] == f'type=bind,"source={where}","target={where}"'
    (venv,) = (word for word in words if word.startswith("NTBDBG_VENV="))
    assert ":" not in venv


class Engine:
    """Answers every command of an engine: it is there, and `status` says `state`."""

    def __init__(self, state: str) -> None:
        self.state = state

    def run(self, argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said = f'"state": "{self.state}"' if "--json" in argv else ""
        return subprocess.CompletedProcess(argv, 0, said, "")


@pytest.mark.parametrize(("state", "fails"), [("linked", False), ("booted", True)])
def test_in_the_background_there_is_a_deadline(
    monkeypatch: pytest.MonkeyPatch, state: str, fails: bool
) -> None:
    request = parse(["--container=docker", "vms", "--detach", "--boot-timeout", "1.5"])
    assert request.boot_timeout == 1.5
    monkeypatch.setattr(main.subprocess, "run", Engine(state).run)
    monkeypatch.setattr(main, "PREPARE", -9.0)
    monkeypatch.setattr(main.Steps, "_make_image", lambda _: None)
    steps = Steps(GROUND, IMAGE, request)
    if not fails:
        assert steps.follow() == 0
        return
    with pytest.raises(RunError, match=r"accepts ssh within 1\.5 s; it stays as it is"):
        steps.follow()


@pytest.mark.parametrize("text", ["nan", "0", "-1", "inf", "soon"])
def test_a_deadline_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="no number of seconds"):
        parse(["--container", "vms", "--boot-timeout", text])
