# SPDX-License-Identifier: MIT
"""``python3 run --container …``: standard library only, so that a host needs no .venv for it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.config import CHECKOUT, cache_dir
from run.base.deadline import Deadline
from run.base.errors import RunError, UsageError
from run.container import argv, engine
from run.container.argv import Ground
from run.container.request import Request, parse
from run.vm import kvm

#: the rest of the way goes by the engine's own exit code
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Do what is asked in a container; gives the exit code, or becomes the engine."""
    try:
        return run(parse(arguments))
    except RunError as error:
        print(f"run: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("run: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def run(request: Request) -> int:
    """Print or run the engine's command."""
    chosen = request.engine if request.dry_run and request.engine else engine.choose(request.engine)
    ground = survey(request, chosen)
    image = argv.image_name((CHECKOUT / "Dockerfile").read_bytes(), ground.uid)
    steps = Steps(ground, image, request)
    if request.dry_run:
        print("\n".join(shlex.join(line) for line in steps.lines()))
        return 0
    engine.check(chosen)
    for folder in (ground.build, ground.inner_build, ground.cache):
        folder.mkdir(parents=True, exist_ok=True)
    return steps.follow()


#: seconds for what comes before guests are started: a first .venv, above all
PREPARE = 600.0


@dataclass(frozen=True)
class Steps:
    """The engine's commands of one request."""

    ground: Ground
    image: str
    request: Request

    @property
    def last(self) -> list[str]:
        """The command that does what was asked."""
        request, name = self.request, argv.container_name(self.request.lab)
        if request.is_inside:
            return argv.exec_argv(self.ground, name, request.command)
        return argv.run_argv(
            self.ground,
            self.image,
            request.command,
            name=name if request.ports else None,
            ports=request.ports,
            detach=request.detach,
        )

    def lines(self) -> list[list[str]]:
        """Everything, in order."""
        make = [] if self.request.is_inside else [argv.build_argv(self.ground, self.image)]
        return [*make, self.last]

    def follow(self) -> int:
        """Run it; gives the exit code where the engine does not take our place."""
        if not self.request.is_inside:
            self._make_image()
        if self.request.detach:
            return self._start()
        sys.stdout.flush()
        # The engine takes our place: signals and exit code are between it and the user.
        return os.execvp(self.last[0], self.last)

    def _make_image(self) -> None:
        exists = argv.image_exists_argv(self.ground.engine, self.image)
        if subprocess.run(exists, capture_output=True, check=False).returncode == 0:
            return
        print(f"run: making the image {self.image}, once ...", file=sys.stderr)
        if subprocess.run(argv.build_argv(self.ground, self.image), check=False).returncode:
            raise RunError("the image could not be made", hint="its output is above")

    def _start(self) -> int:
        """Start guests in the background, and wait until they accept ssh."""
        name = argv.container_name(self.request.lab)
        if subprocess.run(self.last, stdout=subprocess.DEVNULL, check=False).returncode:
            raise RunError(f"the container {name} did not start", hint="see above")
        state = [self.ground.engine, "exec", name, "python3", str(CHECKOUT / "run"), "status"]
        deadline = Deadline(PREPARE + self.request.boot_timeout)
        while True:
            done = subprocess.run([*state, "--json"], capture_output=True, text=True, check=False)
            if '"state": "linked"' in done.stdout:
                return subprocess.run(state, check=False).returncode
            if deadline.expired:
                raise RunError(
                    f"not every guest in the container {name} accepts ssh within"
                    f" {self.request.boot_timeout:g} s",
                    hint="it stays as it is: 'python3 run --container status' shows it,"
                    " 'python3 run --container stop' ends it",
                )
            alive = [self.ground.engine, "container", "inspect", name]
            if subprocess.run(alive, capture_output=True, check=False).returncode:
                raise RunError(
                    f"the container {name} ended", hint="the same without --detach shows why"
                )
            time.sleep(1.0)


def survey(request: Request, chosen: str) -> Ground:
    """What this host hands into a container."""
    if request.host_build.is_absolute():
        raise UsageError("--host-build-dir is relative to the current folder")
    mirrors = os.environ.get("NTB_YOCTO_MIRRORS")
    usable = kvm.why_not() is None
    return Ground(
        engine=chosen,
        checkout=CHECKOUT,
        build=(Path.cwd() / request.host_build).resolve(),
        cache=cache_dir(),
        uid=os.getuid(),
        gid=os.getgid(),
        kvm=usable,
        kvm_gid=kvm.DEVICE.stat().st_gid if usable else None,
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        mirrors=Path(mirrors).resolve() if mirrors else None,
        environ=dict(os.environ),
    )
