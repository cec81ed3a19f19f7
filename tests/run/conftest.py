# SPDX-License-Identifier: MIT
"""A runtime folder of the test's own, a build of stand-ins, and the launcher as a process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ntbdbg.lab.manifest import Manifest
from run.lab.lab import lab_paths
from run.vm.plan import LabPaths
from tests.support.fakemachines import make_build

CHECKOUT = Path(__file__).parents[2]

#: `-c` leaves the bootstrap out, which has tests of its own
CALL = "import sys; from run.cli.main import main; sys.exit(main(sys.argv[2:]))"

#: the guests' options without network and console: nothing there to wait for, no ports taken
QUIET = ("--vm1-opts-override=", "--vm2-opts-override=")


@dataclass
class Launcher:
    """`python3 run` with a runtime folder of its own."""

    runtime: Path
    build: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "NTBDBG_LAB"}
        return {**kept, "XDG_RUNTIME_DIR": str(self.runtime)}

    def argv(self, *words: str) -> list[str]:
        # The second word is what the launcher's own process is recognised by.
        return [sys.executable, "-c", CALL, "run", *words]

    def __call__(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*words),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=CHECKOUT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
        )

    def vms(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Two stand-ins, detached."""
        return self(
            "vms", "--build-dir", str(self.build), "--detach", *QUIET, *words, expect=expect
        )

    def paths(self, name: str = "default") -> LabPaths:
        return lab_paths(self.runtime / "ntbdbg" / name)

    def manifest(self, name: str = "default") -> Manifest:
        return Manifest.load(self.paths(name).manifest)

    def status(self) -> list[dict]:
        return json.loads(self("status", "--json").stdout)["labs"]


@pytest.fixture
def launcher(tmp_path) -> Iterator[Launcher]:
    # tmp_path would make names of sockets too long
    runtime = Path(tempfile.mkdtemp(prefix="r-"))
    made = Launcher(runtime, make_build(tmp_path / "build"))
    yield made
    made("stop", "--all", "--no-keep-ram", "--quiet")
    for name in ("default", "other"):
        assert not made.paths(name).shm.exists()
    shutil.rmtree(runtime)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
