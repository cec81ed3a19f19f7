# SPDX-License-Identifier: MIT
"""What is the container's, what is passed on; and engines that are not there or do not let us."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from run.base.config import CHECKOUT
from run.base.errors import HostError, UsageError
from run.container import engine
from run.container.main import main
from run.container.request import is_help, is_wanted, parse
from run.host.packages import NEEDS


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--container", "build"], ["build"]),
        (["--container=podman", "--command=run_vms"], ["vms"]),
        (["--container", "--cmd", "run_vm", "--memory=64"], ["vm", "--memory=64"]),
        (["--container", "--command=build", "--build=image"], ["build", "--build=image"]),
        (["--container", "--host-build-dir=b", "--command=shell"], ["shell"]),
        (["--host-build-dir", "b", "vms", "--container"], ["vms"]),
        (["--container", "--cmd=enter_qemu_devenv"], ["enter_qemu_devenv"]),
        (["--container", "-h"], ["-h"]),
        (["--container", "ssh", "1", "--", "--dry-run"], ["ssh", "1", "--", "--dry-run"]),
    ],
)
def test_what_is_passed_on(typed: list[str], meant: list[str]) -> None:
    assert list(parse(typed).command) == meant


def test_the_build_folder() -> None:
    assert parse(["--container", "build"]).host_build == Path("build_vm_image")
    assert parse(["--container", "--host-build-dir=a/b", "build"]).host_build == Path("a/b")
    for words in (["--host-build-dir="], ["--host-build-dir"]):
        with pytest.raises(UsageError, match="wants a folder"):
            parse(["--container", "build", *words])


def test_an_absolute_build_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--container=docker", "--dry-run", "--host-build-dir=/b", "build"]) == 2
    assert "relative to the current folder" in capsys.readouterr().err


def test_the_engine_is_one_we_know() -> None:
    assert parse(["--container=podman", "build"]).engine == "podman"
    with pytest.raises(UsageError, match="no container engine 'lxc'; there are docker, podman"):
        parse(["--container=lxc", "build"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--container", "build"], True),
        (["build", "--container=docker"], True),
        (["ssh", "1", "--", "--container"], False),
        (["build"], False),
    ],
)
def test_whether_a_container_is_wanted(words: list[str], wanted: bool) -> None:
    assert is_wanted(words) is wanted


def test_help_needs_no_container() -> None:
    assert is_help(["--container", "--command=build", "-h"])
    assert is_help(["vms", "--container", "--help"])
    assert not is_help(["vms", "-h"])
    assert not is_help(["--container", "ssh", "1", "--", "ls", "-h"])
    done = subprocess.run(
        ["./run_container.sh", "--command=run_vms", "-h"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Start two or more VMs" in done.stdout


def test_no_engine() -> None:
    with pytest.raises(HostError, match="no docker or podman on this host; install one"):
        engine.choose(None, which=lambda _: None)
    with pytest.raises(HostError, match="no podman on this host"):
        engine.choose("podman", which=lambda name: "/bin/docker" if name == "docker" else None)
    assert engine.choose(None, which=lambda n: "/x" if n == "podman" else None) == "podman"


DENIED = "permission denied while trying to connect to the Docker daemon socket"
ABSENT = "Cannot connect to the Docker daemon. Is the docker daemon running?"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (DENIED, "usermod -aG docker"),
        (ABSENT, "systemctl start docker"),
        ("out of luck", "'docker info' says more"),
    ],
)
def test_an_engine_that_does_not_let_us(said: str, hint: str) -> None:
    def ask(argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", f"{said}\n")

    with pytest.raises(HostError) as caught:
        engine.check("docker", ask)
    assert said in str(caught.value)
    assert hint in str(caught.value)


def test_an_engine_that_hangs() -> None:
    def ask(argv: list[str]) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(argv, 20)

    with pytest.raises(HostError, match="does not answer"):
        engine.check("docker", ask)


@pytest.mark.parametrize(
    "program", [[sys.executable, "-I", "run"], ["./run_container.sh"]], ids=["run", "script"]
)
def test_a_dry_run_needs_neither_engine_nor_venv(program: list[str], tmp_path: Path) -> None:
    words = [*program, "--container=docker", "--command=run_vms", "--dry-run", "--host-build-dir=b"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NTBDBG_VENV": str(tmp_path / "no")}
    done = subprocess.run(
        words, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=True
    )
    build, run = done.stdout.splitlines()
    assert build.startswith("docker build --tag ntbdbg:")
    assert re.search(rf"source={CHECKOUT}/b,target={CHECKOUT}/build .* vms$", run)
    assert not (tmp_path / "no").exists()


def test_the_older_script_without_a_container(tmp_path: Path) -> None:
    words = ["scripts/dispatch_docker_command.sh", "--command=fly"]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "enter_qemu_devenv" in done.stderr


def test_the_image_has_what_the_launcher_wants() -> None:
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    named = set(re.findall(r"[a-z0-9.+-]+", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)))
    for purpose, needs in NEEDS.items():
        for need in needs:
            assert named & set(need.names), f"{purpose}: {need.package}"
