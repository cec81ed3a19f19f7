# SPDX-License-Identifier: MIT
"""What users bring: files, a folder, a module; and what they do to one guest alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.shared import NUMBERS, PAIR, SharedLabs
from tests.vm.support import BUILD_DIR, CHECKOUT, Lab

pytestmark = pytest.mark.vm

#: time for a module's headers to be made, on a busy machine
BUILD_TIMEOUT = 900.0
FILE = "/sys/kernel/debug/my_client"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the host that guests have."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def lab(shared_labs: SharedLabs) -> Iterator[Lab]:
    with shared_labs.lab(*PAIR) as lab:
        yield lab


@pytest.fixture(scope="module")
def client(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client that `module new` makes, compiled for the guests."""
    source = tmp_path_factory.mktemp("module") / "my_client"
    lab.run("module", "new", str(source))
    build = ("module", "build", str(source), "--build-dir", str(BUILD_DIR))
    built = lab.run(*build, timeout=BUILD_TIMEOUT).stdout
    assert built == f"{source}/my_client.ko\n"
    return source / "my_client.ko"


@pytest.fixture
def loaded(lab: Lab, client: Path) -> Iterator[Lab]:
    """In both guests; afterwards they have the client that they had."""
    for number in NUMBERS:
        said = lab.run("module", "load", "--lab", lab.name, str(number), str(client)).stderr
        assert f"qemu{number}: ntb_pingpong gave way" in said
    yield lab
    for number in NUMBERS:
        lab.run("module", "unload", "--lab", lab.name, str(number), "my_client", expect=None)
        lab.sh(number, "modprobe ntb_pingpong")


def put(lab: Lab, number: int, text: str) -> None:
    """Write to the client, as soon as its peer has told where to."""
    lab.until(lambda: lab.ssh(number, f"echo {text} > {FILE}").returncode == 0, timeout=60)


def test_a_folder_both_ways(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "tree/in").mkdir(parents=True)
    (tmp_path / "tree/in/file").write_text("text")
    lab.run("cp", "--lab", lab.name, str(tmp_path / "tree"), "2:/root")
    assert lab.sh(2, "cat /root/tree/in/file") == "text"
    lab.run("cp", "--lab", lab.name, "2:/root/tree", str(tmp_path / "back"))
    assert (tmp_path / "back/in/file").read_text() == "text"
    lab.sh(2, "rm -r /root/tree")


def test_the_agent_is_there_if_it_is_wanted(lab: Lab, tmp_path: Path) -> None:
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        lab.until(socket.exists)
        environ = {**lab.environ, "SSH_AUTH_SOCK": str(socket)}
        script = 'test -S "$SSH_AUTH_SOCK"'
        argv = [sys.executable, str(CHECKOUT / "run"), "ssh", "--lab", lab.name]
        for words, code in ((["-A"], 0), ([], 1)):
            done = subprocess.run([*argv, *words, "1", "--", script], env=environ, check=False)
            assert done.returncode == code, words
    finally:
        agent.terminate()
        agent.wait()


def test_a_client_from_source_passes_text(loaded: Lab) -> None:
    for sender, receiver in ((1, 2), (2, 1)):
        put(loaded, sender, f"from-{sender}")
        assert loaded.sh(receiver, f"cat {FILE}") == f"from-{sender}"
    assert [loaded.complaints(number) for number in NUMBERS] == ["", ""]


def test_its_symbols_are_known(loaded: Lab) -> None:
    assert "my_client_probe" in loaded.ntbdbg("sym", "qemu1", "my_client_*")


def test_a_parameter_that_it_lacks(lab: Lab, client: Path) -> None:
    loaded = lab.run("module", "reload", "--lab", lab.name, "1", str(client), "depth=3")
    try:  # Linux only warns
        assert "unknown parameter 'depth'" in lab.sh(1, "dmesg | tail -n 20")
    finally:
        lab.run("module", "unload", "--lab", lab.name, "1", "my_client")
        lab.sh(1, "modprobe ntb_pingpong")
    assert loaded.returncode == 0


def test_the_cable_takes_the_link_down_and_up(loaded: Lab) -> None:
    put(loaded, 1, "before")
    loaded.run("link", "--lab", loaded.name, "down", "2")
    try:
        loaded.until(lambda: loaded.ssh(1, f"echo lost > {FILE}").returncode != 0)
        said = loaded.ntbdbg("windows")
        assert "cable is out" in said
    finally:
        loaded.run("link", "--lab", loaded.name, "up", "2")
    put(loaded, 1, "after")
    assert loaded.sh(2, f"cat {FILE}") == "after"
