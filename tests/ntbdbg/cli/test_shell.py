# SPDX-License-Identifier: MIT
"""The Python shell: names, code from an option and from a pipe, live and captured."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import ntbdbg as package
from ntbdbg.cli.commands import shell
from tests.ntbdbg.conftest import Run
from tests.support.fakelab import FakeLab


def test_code_from_an_option_and_from_a_pipe(lab: FakeLab, tmp_path: Path, ntbdbg: Run) -> None:
    lab.poke("qemu1", 0x1000, b"hello")
    code = "print(qemu1.read(0x1000, 5), [g.name for g in lab], ntbdbg.__name__)"
    expected = "b'hello' ['qemu1', 'qemu2'] ntbdbg\n"
    assert ntbdbg("shell", "-c", code).stdout == expected
    assert ntbdbg("shell", input=code).stdout == expected
    path = tmp_path / "x.cap"
    assert ntbdbg("capture", path).returncode == 0
    assert ntbdbg("--from", path, "shell", "-c", code).stdout == expected


def test_errors_in_the_code_end_as_elsewhere(lab: FakeLab, ntbdbg: Run) -> None:
    done = ntbdbg("shell", "-c", "qemu1.read(0xa0000, 1)")
    assert done.returncode == 4
    assert "VGA hole" in done.stderr
    done = ntbdbg("shell", "-c", "import sys; sys.exit(7)")
    assert done.returncode == 7
    done = ntbdbg("shell", "-c", "1/0")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "<shell>", line 1, in <module>',
        "ZeroDivisionError: division by zero",
    ]
    done = ntbdbg("shell", "-c", "x = ")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == '  File "<shell>", line 1'
    assert "SyntaxError" in done.stderr


def test_a_guest_that_cannot_be_opened_is_left_out(lab: FakeLab, ntbdbg: Run) -> None:
    lab.ram_path("qemu2").unlink()
    done = ntbdbg("shell", "-c", "print('qemu2' in globals())")
    assert done.stdout == "False\n"
    assert "note: qemu2 is left out: qemu2: RAM file" in done.stderr


def test_the_banner_tells_the_names(lab: FakeLab) -> None:
    with package.open() as opened:
        names = shell.namespace(opened)
        assert names.pop("_problems") == []
        assert shell.banner(names) == (
            "the only lab that runs, 'default': lab, qemu1, qemu2; "
            "qemu1.read(0x1000, 16), qemu1.prog"
        )


def test_a_line_typed_at_a_terminal(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import builtins
    import code
    import sys

    real = builtins.__import__

    def without_ipython(name: str, *rest: object) -> object:
        if name == "IPython":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    lines = iter(["print(lab.names)"])

    def ask(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "__import__", without_ipython)
    monkeypatch.setattr(code.InteractiveConsole, "raw_input", lambda self, prompt="": ask(prompt))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    from ntbdbg.cli.main import main

    assert main(["shell"]) == 0
    assert "('qemu1', 'qemu2')" in capsys.readouterr().out


class Terminal:
    """A command at a pseudo-terminal."""

    def __init__(self, *argv: str, **environ: str) -> None:
        self._fd, inside = pty.openpty()
        self.process = subprocess.Popen(
            argv,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "TERM": "dumb", **environ},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inside)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def until(self, text: str) -> str:
        """What is shown up to and with `text`, from where the last call ended."""
        while text not in self.shown:
            ready, _, _ = select.select([self._fd], [], [], 60)
            assert ready, f"not within a minute: {text!r}; {self.shown!r}"
            self.shown += os.read(self._fd, 4096).decode()
        before, _, self.shown = self.shown.partition(text)
        return before + text


def test_ipython_at_a_terminal(lab: FakeLab, tmp_path: Path) -> None:
    lab.poke("qemu1", 0x1000, b"hello")
    words = (sys.executable, "-m", "ntbdbg", "shell")
    settings = {"IPYTHONDIR": str(tmp_path / "ipython"), "IPY_TEST_SIMPLE_PROMPT": "1"}
    with Terminal(*words, **settings) as terminal:
        assert "'default': lab, qemu1, qemu2; qemu1.read(" in terminal.until("In [1]: ")
        terminal.type("qemu1.read(0x1000, 5)\n")
        assert "Out[1]: b'hello'" in terminal.until("In [2]: ")
        terminal.type("qemu1.read(0xa0000, 1)\n")
        assert "FaultError: qemu1: 0xa0000 is in the VGA hole" in terminal.until("In [3]: ")
        terminal.type("exit\n")
        assert terminal.process.wait(60) == 0


def test_names_are_completed_without_ipython(lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    import code
    import readline

    monkeypatch.setattr(code, "interact", lambda *words, **more: None)
    before = readline.get_completer()
    try:
        shell._interact_plainly({"qemu1": object()}, "")
        complete = readline.get_completer()
        assert complete is not None
        assert complete("qem", 0) == "qemu1"
    finally:
        readline.set_completer(before)


def test_guests_hide_nothing(tmp_path: Path, ntbdbg: Run) -> None:
    names = ["lab", "print", "class", "my-guest", "qemu1"]
    with FakeLab(tmp_path / "odd", guests=names) as odd:
        code = "print(*lab.names); print(guest_1.name, guest_4.name, qemu1.name)"
        done = ntbdbg("shell", "-c", code, env=odd.environ)
    assert done.stdout == "lab print class my-guest qemu1\nlab my-guest qemu1\n"
    assert done.stderr.splitlines() == [
        f"note: {name} is called guest_{number} here" for number, name in enumerate(names[:4], 1)
    ]
