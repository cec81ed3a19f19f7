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
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
OLDEST_PYTHON = (3, 11)
EXIT_FAILED, EXIT_HOST, EXIT_INTERRUPTED = 1, 3, 130


class BootstrapError(Exception):
    """Ends the program with `exit_code` after printing the message."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str]) -> None:
    """Run the launcher with `arguments`, first bringing .venv into shape; does not return."""
    try:
        _check_python()
        if Path(sys.prefix).resolve() == VENV.resolve() and is_current(VENV, CHECKOUT):
            from run.cli.main import main as launcher

            sys.exit(launcher(list(arguments)))
        ensure_venv(may_install="--no-install" not in arguments)
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, str(CHECKOUT / "run"), *arguments])
    except BootstrapError as error:
        sys.exit(_complain(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted", EXIT_INTERRUPTED))


def ensure_venv(*, may_install: bool = True) -> None:
    """Make or mend .venv; two processes that do it at once wait for each other."""
    if is_current(VENV, CHECKOUT):
        return
    with _lock(CHECKOUT / ".venv.lock"):
        if is_current(VENV, CHECKOUT):
            return
        _say("setting up .venv (first use, or pyproject.toml changed) ...")
        if not _works(VENV):
            _make_venv(may_install)
        _install_project()
        _stamp_path(VENV).write_text(stamp(CHECKOUT), encoding="utf-8")


def stamp(checkout: Path) -> str:
    """Digest of what .venv is made from: the project file and the Python."""
    base = getattr(sys, "_base_executable", sys.executable)
    parts = [
        (checkout / "pyproject.toml").read_bytes(),
        sys.version.encode(),
        os.path.realpath(base).encode(),
        str(checkout).encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current(venv: Path, checkout: Path) -> bool:
    """Whether `venv` is whole and was made from `checkout` as it is now."""
    try:
        found = _stamp_path(venv).read_text(encoding="utf-8")
    except OSError:
        return False
    return found == stamp(checkout) and (venv / "bin" / "ntbdbg").exists()


def _stamp_path(venv: Path) -> Path:
    return venv / ".ntbdbg-stamp"


def _check_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        found = ".".join(map(str, sys.version_info[:3]))
        raise BootstrapError(
            f"Python {wanted} or newer is needed, this is {found}; "
            f"call it as python{wanted} run, or install that",
            EXIT_HOST,
        )


def _works(venv: Path) -> bool:
    """Whether `venv` has a Python of our version that finds pip."""
    probe = "import sys, pip; print(sys.version)"
    try:
        done = subprocess.run(
            [str(venv / "bin" / "python"), "-c", probe],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == sys.version.strip()


def _make_venv(may_install: bool) -> None:
    if not _has_ensurepip():
        _install_venv_package(may_install)
    shutil.rmtree(VENV, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    _run([base, "-m", "venv", str(VENV)], "making .venv")


def _has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _install_venv_package(may_install: bool) -> None:
    """On Debian Python comes without its venv module; get it, or say how to."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", "python3-venv"]
    if shutil.which("apt-get") is None:
        raise BootstrapError(
            "this Python has no venv or ensurepip module; install them with your package manager",
            EXIT_HOST,
        )
    if os.geteuid() != 0 or not may_install:
        raise BootstrapError(
            "the package python3-venv is missing; sudo apt-get update && sudo " + " ".join(command),
            EXIT_HOST,
        )
    _say("installing the system package python3-venv ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-q"], "apt-get update", environment)
    _run(command, "apt-get install python3-venv", environment)
    if not _has_ensurepip():
        raise BootstrapError(
            f"python3-venv is installed, but {sys.executable} still has no ensurepip; "
            "call the launcher with the system's own /usr/bin/python3",
            EXIT_HOST,
        )


def _install_project() -> None:
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", *options, "--editable", str(CHECKOUT)], "installing ntbdbg into .venv")


def _run(argv: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    """Run a step; its output is shown only if it fails."""
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=str(CHECKOUT),
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise BootstrapError(f"{what} failed with exit code {done.returncode}; see above")


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
