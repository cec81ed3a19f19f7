# SPDX-License-Identifier: MIT
"""ntbdbg shell."""

from __future__ import annotations

import builtins
import contextlib
import keyword
import sys
from typing import TYPE_CHECKING, Any

import click

from ntbdbg.cli.options import lab_command
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import NtbdbgError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.lab import Lab

EXAMPLES = [
    ("ntbdbg shell", "Python, with the lab and its guests by name"),
    ("ntbdbg --from before.cap shell", "the same on a capture"),
    ("ntbdbg shell -c 'print(qemu1.read(0x1000, 16).hex())'", "one line of it"),
]


@lab_command("shell", examples=EXAMPLES, freezes=True)
@click.option("-c", "code", metavar="CODE", help="Run this, instead of asking for lines.")
def command(app: AppContext, code: str | None) -> ExitStatus:
    """A Python shell with the lab: IPython where it is installed.

    Names there: lab, and each guest by its own (qemu1.read(0x1000, 16)); the kernel in a guest
    as drgn knows it is qemu1.prog. docs/api.md is the guide. A script on stdin is run.
    """
    app.is_session = True
    with app.stillness():
        names = namespace(app.lab)
        for problem in names.pop("_problems"):
            app.note(problem)
        if code is None and not sys.stdin.isatty():
            code = sys.stdin.read()
        if code is not None:
            return run(code, names)
        _interact(names, banner(names), color=app.color)
        return ExitStatus.OK


def run(code: str, names: dict[str, Any]) -> ExitStatus:
    """Run a script; its own exceptions end it as Python would, ours as any command."""
    try:
        exec(compile(code, "<shell>", "exec"), names)
    except NtbdbgError:
        raise
    except Exception as error:
        import traceback

        own, error.__traceback__ = error.__traceback__, None
        frames = own.tb_next if own else None  # the first one is this function
        traceback.print_exception(error.with_traceback(frames))
        return ExitStatus.DIFFERENT
    return ExitStatus.OK


def namespace(lab: Lab) -> dict[str, Any]:
    """What a shell starts with; guests that cannot be opened are left out, with the reason."""
    import ntbdbg

    names: dict[str, Any] = {"__name__": "__main__", "ntbdbg": ntbdbg, "lab": lab}
    problems: list[str] = []
    for number, name in enumerate(lab.names, 1):
        called = name if _is_free(name, names) else f"guest_{number}"
        try:
            names[called] = lab.guest(name)
            if called != name:
                problems.append(f"{name} is called {called} here")
        except NtbdbgError as error:
            problems.append(f"{name} is left out: {error.message}")
    return {**names, "_problems": problems}


def _is_free(name: str, taken: dict[str, Any]) -> bool:
    """Whether a guest's name can be used in Python without hiding something."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and name not in taken
        and not hasattr(builtins, name)
        and name != "_problems"
    )


def banner(names: dict[str, Any]) -> str:
    """What the shell says first."""
    guests = [name for name in names if name not in ("__name__", "ntbdbg", "lab")]
    known = ", ".join(["lab", *guests])
    example = f"; {guests[0]}.read(0x1000, 16), {guests[0]}.prog" if guests else ""
    lab: Lab = names["lab"]
    return f"{lab.path if lab.capture else lab.how}: {known}{example}"


def _interact(names: dict[str, Any], words: str, *, color: bool) -> None:
    try:
        from IPython import start_ipython
    except ImportError:
        _interact_plainly(names, words)
        return
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = words + "\n"
    if not color:
        config.TerminalInteractiveShell.colors = "nocolor"
    start_ipython(argv=[], user_ns=names, config=config)


def _interact_plainly(names: dict[str, Any], words: str) -> None:
    import code

    with contextlib.suppress(ImportError):
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(words, local=names, exitmsg="")
