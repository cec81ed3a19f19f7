# SPDX-License-Identifier: MIT
"""A process that is called like QEMU and holds a guest's RAM as QEMU would; it runs nothing.

with FakeMachine(tmp_path, "web1", ram) as machine: …
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOLD = """
import mmap, os, sys
kind, source = sys.argv[1], sys.argv[2]
data = open(source, "rb").read()
if kind == "memfd":
    fd = os.memfd_create("memory-backend-memfd")
    os.ftruncate(fd, len(data))
    os.pwrite(fd, data, 0)
else:
    fd = os.open(source, os.O_RDWR)
flags = mmap.MAP_PRIVATE if kind == "private" else mmap.MAP_SHARED
ram = mmap.mmap(fd, len(data), flags)
if kind == "deleted":
    os.unlink(source)
print("ready", flush=True)
sys.stdin.read()
"""


class FakeMachine:
    """A guest called `name` whose RAM has the content of the file `ram`, until `end`.

    :param kind: ``file``, ``memfd``, ``private``; ``deleted``: a file that is gone from its folder
    :param options: further words of its command line
    """

    def __init__(
        self, folder: Path, name: str, ram: Path, *options: str, kind: str = "memfd"
    ) -> None:
        program = folder / "qemu-system-x86_64"
        if not program.exists():
            shutil.copy(os.path.realpath(sys.executable), program)
        where = "" if kind == "memfd" else f",mem-path={ram}"
        share = ",share=on" if kind in ("file", "deleted") else ""
        size = ram.stat().st_size
        backend = "memfd" if kind == "memfd" else "file"
        memory = f"memory-backend-{backend},id=ram,size={size}{where}{share}"
        machine = [] if "-machine" in options else ["-machine", "q35,memory-backend=ram"]
        self.process = subprocess.Popen(
            [program, "-c", HOLD, kind, ram, "-name", name, "-object", memory, *machine, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONHOME": sys.base_prefix},
        )
        self.pid = self.process.pid
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def __enter__(self) -> FakeMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let it go."""
        if self.process.poll() is None:
            self.process.communicate()
