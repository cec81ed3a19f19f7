# SPDX-License-Identifier: MIT
"""Makes .venv at the checkout's root, installs ntbdbg there, and continues inside it.

Standard library only. Nothing is done when a stamp says that .venv was made from the
present pyproject.toml by the present Python.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

from run.base.forroot import for_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent


def venv_of(checkout: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the .venv of a checkout is: in it, but where Python refuses to make one."""
    if os.pathsep not in str(checkout):
        return Path(environ.get("NTBDBG_VENV") or checkout / ".venv")
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    default = Path(cache, "ntbdbg", f"venv-{zlib.crc32(bytes(checkout)):08x}")
    return Path(environ.get("NTBDBG_VENV") or default)


VENV = venv_of(CHECKOUT)
LOG = CHECKOUT / ".venv.log"
TAIL_LINES = 25
OLDEST_PYTHON = (3, 11)
EXIT_FAILED, EXIT_HOST, EXIT_INTERRUPTED = 1, 3, 130


class BootstrapError(Exception):
    """Ends the program with `exit_code` after printing the message."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str]) -> None:
    """Run the launcher with `arguments`, first bringing .venv into shape; does not return."""
    if any(word.partition("=")[0] == "--container" for word in arguments):
        from run.container import request

        if request.is_help(arguments):  # is the same inside and out
            arguments = request.parse(arguments).command
        elif request.is_wanted(arguments):  # the container has a .venv of its own
            from run.container.main import main as in_container

            sys.exit(in_container(arguments))
    try:
        if Path(sys.prefix) == VENV and is_current(VENV, CHECKOUT):
            sys.exit(_launch(arguments))
        ensure_venv(may_install="--no-install" not in arguments)
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, str(CHECKOUT / "run"), *arguments])
    except BootstrapError as error:
        sys.exit(_complain(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted", EXIT_INTERRUPTED))


def _launch(arguments: Sequence[str]) -> int:
    try:
        from run.cli.main import main as launcher
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("run", "ntbdbg"):
            raise  # ours: a bug, and no fresh .venv would mend it
        _say(f"{error.name} is missing from .venv, which is therefore made anew")
        with _lock(CHECKOUT / ".venv.lock"):
            shutil.rmtree(VENV, ignore_errors=True)
        os.execv(_base_python(), [_base_python(), str(CHECKOUT / "run"), *arguments])
    return launcher(list(arguments))


def ensure_venv(*, may_install: bool = True) -> None:
    """Make or mend .venv; two processes that do it at once wait for each other."""
    if is_current(VENV, CHECKOUT):
        return
    with _lock(CHECKOUT / ".venv.lock"):
        if is_current(VENV, CHECKOUT):
            return
        LOG.unlink(missing_ok=True)
        _say("setting up .venv (first use, or pyproject.toml changed) ...")
        if not _works(VENV):
            _make_venv(may_install)
        _install_project()
        _stamp_path(VENV).write_text(stamp(VENV, CHECKOUT), encoding="utf-8")


def stamp(venv: Path, checkout: Path) -> str:
    """Digest of what `venv` is made from: the project file, the Python, and where all that lies.

    The Python is the one that `venv` was made with, not the one that asks: any that is new
    enough may start the launcher.
    """
    parts = [
        (checkout / "pyproject.toml").read_bytes(),
        os.path.realpath(venv / "bin" / "python").encode(),
        str(checkout).encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current(venv: Path, checkout: Path) -> bool:
    """Whether `venv` is whole and was made from `checkout` as it is now."""
    try:
        found = _stamp_path(venv).read_text(encoding="utf-8")
    except OSError:
        return False
    programs = all((venv / "bin" / name).exists() for name in ("python", "ntbdbg"))
    return programs and found == stamp(venv, checkout)


def _stamp_path(venv: Path) -> Path:
    return venv / ".ntbdbg-stamp"


def _works(venv: Path) -> bool:
    """Whether `venv` has a Python new enough that finds pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        done = subprocess.run(
            [str(venv / "bin" / "python"), "-c", probe], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _make_venv(may_install: bool) -> None:
    if not _has_ensurepip():
        _install_venv_package(may_install)
    shutil.rmtree(VENV, ignore_errors=True)
    _run([_base_python(), "-m", "venv", str(VENV)], "making .venv")


def _base_python() -> str:
    """The Python to make a .venv with: never one of a .venv that is about to go."""
    return getattr(sys, "_base_executable", sys.executable)


def _has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _install_venv_package(may_install: bool) -> None:
    """On Debian Python comes without its venv module; get it, or say how to."""
    if shutil.which("apt-get") is None:
        raise BootstrapError(
            "this Python has no venv or ensurepip module; install them with your package manager",
            EXIT_HOST,
        )
    install = ["apt-get", "install", "-y", "--no-install-recommends", "python3-venv"]
    if os.geteuid() != 0 or not may_install:
        command = for_root("apt-get update", " ".join(install))
        raise BootstrapError(f"the package python3-venv is missing; {command}", EXIT_HOST)
    _say("installing the system package python3-venv ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A source that is broken need not be the one that has it, so only the install must succeed.
    with suppress(BootstrapError):
        _run(["apt-get", "update"], "apt-get update", environment)
    _run(install, "apt-get install python3-venv", environment)
    if not _has_ensurepip():
        raise BootstrapError(
            f"python3-venv is installed, but {sys.executable} still has no ensurepip; "
            "call the launcher with the system's own /usr/bin/python3",
            EXIT_HOST,
        )


def _install_project() -> None:
    _say("installing ntbdbg and what it needs into .venv ...")
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    options = ["--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", *options, "--editable", str(CHECKOUT)], "installing ntbdbg into .venv")


def _run(argv: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    """Run a step; its output is kept in a log beside .venv, and its end shown if it fails."""
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(argv)}\n".encode())
        log.flush()
        code = subprocess.run(
            argv,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=str(CHECKOUT),
            check=False,
        ).returncode
    if code:
        end = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        sys.stderr.write("".join(f"    {line}\n" for line in end))
        raise BootstrapError(f"{what} failed with exit code {code}; the whole log is {LOG}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        file = path.open("w")
    except OSError as error:
        raise BootstrapError(
            f"{path}: {error.strerror}; the checkout must be writable for its .venv"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("another process is setting up .venv, waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(words: str) -> None:
    sys.stderr.write(f"run: {words}\n")
    sys.stderr.flush()


def _complain(words: str, exit_code: int) -> int:
    _say(words)
    return exit_code
