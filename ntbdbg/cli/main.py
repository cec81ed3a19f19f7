# SPDX-License-Identifier: MIT
"""``ntbdbg COMMAND``: one file per command, imported when it is used.

The only place that knows exit codes: commands and rooms below raise, `main` maps.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ntbdbg import __version__
from ntbdbg.cli.context import AppContext
from ntbdbg.cli.options import CONTEXT_SETTINGS, freeze_option, lab_options
from ntbdbg.cli.status import ExitStatus, status_of
from ntbdbg.errors import NtbdbgError, TargetError, UsageError

#: command → module in ntbdbg.cli.commands that holds it as `command`, and its line of help
COMMANDS = {
    "info": ("info", "Show the lab: guests, memory, link, and how it was found."),
    "map": ("map", "Show where a guest's RAM lies, and what windows reach it."),
    "windows": ("windows", "Show memory windows: where they lead, or why they are closed."),
    "regs": ("regs", "Show NT registers, doorbells and messages."),
    "dump": ("dump", "Show memory as hex and ASCII."),
    "sym": ("sym", "Look up kernel symbols by name, pattern or address."),
    "translate": ("translate", "Show where an address leads: page tables, RAM file, windows."),
    "decode": ("decode", "Show the members of a binary structure."),
    "search": ("search", "Find bytes, numbers, text or a regular expression."),
    "diff": ("diff", "Compare guests, files, or the two directions of a window."),
    "watch": ("watch", "Watch memory or the link for changes."),
    "patch": ("patch", "Change memory, after journalling the old bytes."),
    "undo": ("undo", "Take a patch back."),
    "dmesg": ("dmesg", "Show the kernel log of a guest."),
    "ps": ("ps", "Show the tasks of a guest."),
    "modules": ("modules", "Show the modules loaded in a guest."),
    "devices": ("devices", "Show the PCI devices of a guest and their drivers."),
    "postmortem": ("postmortem", "Tell what every guest was doing, and how the link was."),
    "report": ("report", "Write what postmortem tells, and more, as one HTML page."),
    "ntb": ("ntb", "Show the NTB as its driver sees it, and where the device disagrees."),
    "events": ("events", "Tell what has happened on the link, in the order of time."),
    "cpu": ("cpu", "Show registers of a guest's processors, and what they mean."),
    "bt": ("bt", "Show backtraces of CPUs and tasks."),
    "gdb": ("gdb", "Debug a running guest's kernel with gdb."),
    "disas": ("disas", "Show code of a guest's kernel as instructions."),
    "export": ("export", "Write a guest as a dump that other tools open."),
    "freeze": ("freeze", "Stop all guests of the lab."),
    "resume": ("resume", "Let all guests of the lab go on."),
    "capture": ("capture", "Preserve guests and link at one moment, for later."),
    "verify": ("verify", "Check a capture against its checksums."),
    "guests": ("guests", "Show the guests that QEMU runs on this host."),
    "attach": ("attach", "Make guests that somebody else started a lab."),
    "detach": ("detach", "Forget a lab that was attached to."),
    "shell": ("shell", "A Python shell with the lab and its guests."),
}


LAUNCHER = ("build", "vm", "vms", "start", "status", "ssh", "console", "stop", "demo", "doctor")
"""Commands of ``python3 run`` that are asked of us by mistake."""

HELP_WORDS = ("help", "-?", "?")


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run or describe it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] in HELP_WORDS:
            args = [*args[1:2], "--help"]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ntbdbg.cli.commands.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise _no_command(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has seen enough (head, less). Click would exit with 1.
            _drop_stdout()
            raise click.exceptions.Exit(ExitStatus.OK) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=words)
            for name, (_, words) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def _no_command(words: Sequence[str]) -> UsageError:
    import difflib

    name, *rest = words
    near = difflib.get_close_matches(name.lower(), COMMANDS, 1)
    later = next((word for word in rest if word in COMMANDS), None)
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif later:
        hint = f"the command comes first: ntbdbg {later} {name:.40} …"
    elif name in LAUNCHER:
        hint = f"that is one of the launcher: python3 run {name}"
    else:
        hint = "'ntbdbg --help' lists them"
    return UsageError(f"no command '{name:.40}'", hint=hint)


@click.group(cls=LazyGroup, context_settings=CONTEXT_SETTINGS)
@lab_options
@freeze_option
@click.version_option(__version__, "-V", "--version", prog_name="ntbdbg")
def cli() -> None:
    """See, compare, watch and change the memory of two guests joined by an NTB.

    TARGET is a guest's name (qemu1) or the path of a RAM file. ADDR is guest-physical
    (0x1000, 4K), a kernel symbol (jiffies, ntb_hw_idt:idt_thread_isr, runqueues@1) or virtual
    address (0xffff888000001000), or lies behind a memory window of the guest (mw0+0x40).
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (by default the process's own); gives the exit code."""
    app = AppContext()
    try:
        _expect_streams()
        result = cli.main(
            None if argv is None else list(argv), "ntbdbg", standalone_mode=False, obj=app
        )
        if sys.stdout is not None:
            sys.stdout.flush()
        app.note_spent()
        return int(result or 0)
    except (Exception, KeyboardInterrupt) as error:
        return _report(error, app)
    finally:
        app.close()


def _expect_streams() -> None:
    """Where a standard stream is closed: nobody hears words, but results must go somewhere."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - until we end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        raise TargetError("cannot write the output: it is closed", hint="'>/dev/null' discards it")
    if type(sys.stdout) is io.TextIOWrapper:
        sys.stdout = _told(sys.stdout)


class OutputError(Exception):
    """Results could not be written; nobody else's OSError is taken for that."""


class _Output(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.strerror) from error


def _told(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same output, whose errors are known for its own, and which takes every character."""
    buffer: Any = stream.buffer
    is_buffered = isinstance(buffer, io.BufferedWriter)
    raw = buffer.raw if is_buffered else buffer
    if type(raw) is not io.FileIO:
        return stream  # it goes nowhere that we know
    output = _Output(raw.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(output) if is_buffered else output,
        encoding=stream.encoding,
        errors=_error_handler(stream.encoding) if stream.errors in LENIENT else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


LENIENT = ("strict", "surrogateescape")
"""What Python takes for a stream that nobody said anything of."""


def _error_handler(encoding: str) -> str:
    """What is done about characters that the output cannot take: an ASCII locale has no ×."""
    if encoding.lower().replace("-", "") == "utf8":
        return "backslashreplace"
    from ntbdbg.render.plain import register

    return register()


def _report(error: BaseException, app: AppContext) -> int:
    """Say on stderr what went wrong; gives the exit code."""
    if app.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):  # by what was still buffered
        _drop_stdout()
        return ExitStatus.OK
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    if isinstance(error, NtbdbgError):
        _say(str(error))
        return status_of(error)
    if isinstance(error, click.ClickException):
        _say(_click_message(error))
        return ExitStatus.USAGE
    if isinstance(error, OutputError):
        _say(f"cannot write the output: {error}; give it room, or another place")
        _drop_stdout()
        return ExitStatus.TARGET
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        _say(f"{what}{error.strerror or error}; run it again with --debug to see where")
        return ExitStatus.TARGET
    words = f"{type(error).__name__}: {error}"
    _say(f"this is a bug of ntbdbg: {words:.300}; run it again with --debug and report both")
    return ExitStatus.BUG


def _click_message(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "ntbdbg"
    words = " ".join(error.format_message().split())  # click breaks lists of choices into lines
    return f"{words.rstrip('.')}; '{path} --help' shows how it is used"


def _say(text: str) -> None:
    from ntbdbg.render.text import printable, say

    with contextlib.suppress(OSError, OutputError, AttributeError):
        sys.stdout.flush()
    say(f"ntbdbg: {printable(text)}\n")


def _drop_stdout() -> None:
    """Send what is still buffered to nowhere, so that the interpreter's exit stays quiet."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
