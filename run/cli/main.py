# SPDX-License-Identifier: MIT
"""`python3 run COMMAND`: one file per command, imported when it is used.

Commands raise; only `main` knows how an error is printed and which exit code it ends with.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

import click

from run.base.config import IS_CHECKOUT, PROGRAM, spelt
from run.base.errors import RunError, UsageError
from run.base.spellings import translate

#: command name -> module that holds it as attribute `command`, and its line in --help
COMMANDS = {
    "demo": ("run.cli.commands.demo", "Everything from nothing, as a guided tour."),
    "build": ("run.cli.commands.build", "Build QEMU with our device, and a guest."),
    "vm": ("run.cli.commands.vm", "Start one VM."),
    "vms": ("run.cli.commands.vms", "Start two or more VMs joined by an NTB."),
    "start": ("run.cli.commands.start", "Start a VM again that ended."),
    "status": ("run.cli.commands.status", "Show what runs, and how what ended ended."),
    "ssh": ("run.cli.commands.ssh", "A shell, or one command, in a guest."),
    "cp": ("run.cli.commands.cp", "Copy files into a guest, or out of it."),
    "console": ("run.cli.commands.console", "The serial console of a guest."),
    "stop": ("run.cli.commands.stop", "Stop a lab and clean up after it, or one guest."),
    "module": ("run.cli.commands.module", "A kernel module of your own, into a guest."),
    "kill": ("run.cli.commands.kill", "Kill one guest, as a crash would."),
    "reset": ("run.cli.commands.reset", "Press the reset button of a guest."),
    "pause": ("run.cli.commands.pause", "Stop the processors of a guest."),
    "continue": ("run.cli.commands.continue_", "Let a guest go on that was paused."),
    "link": ("run.cli.commands.link", "Pull the cable of a guest's NTB, or plug it in."),
    "trace": ("run.cli.commands.trace", "Switch QEMU's trace events of running guests."),
    "shell": ("run.cli.commands.shell", "A shell with ntbdbg in it."),
    "enter_qemu_devenv": (
        "run.cli.commands.enter_qemu_devenv",
        "A git tree of QEMU with our device, to develop in.",
    ),
    "finish_qemu_devenv": (
        "run.cli.commands.finish_qemu_devenv",
        "Its commits become patches and qemu_src.",
    ),
    "test": ("run.cli.commands.test", "Run the project's tests."),
    "fuzz": ("run.cli.commands.fuzz", "Hostile guests against the device."),
    "selftest": ("run.cli.commands.selftest", "Run Linux' own NTB test between two VMs."),
    "soak": ("run.cli.commands.soak", "Repeat the fault tests many times."),
    "bench": ("run.cli.commands.bench", "Measure, and compare with other programs."),
    "doctor": ("run.cli.commands.doctor", "Say what this host lacks, and how to mend it."),
}

#: what tests, measures or changes the project itself
OF_CHECKOUT = (
    *("test", "bench", "fuzz", "soak"),
    *("enter_qemu_devenv", "finish_qemu_devenv"),
)

EXIT_INTERRUPTED = 130

#: commands of `ntbdbg` that are asked of us by mistake
TOOLKIT = (
    *("info", "map", "windows", "regs", "dump", "sym", "translate", "decode", "search", "diff"),
    *("watch", "patch", "undo", "dmesg", "ps", "modules", "devices", "postmortem", "report"),
    *("ntb", "events", "cpu", "bt", "gdb", "disas", "export", "freeze", "resume", "capture"),
    *("verify", "guests", "attach", "detach"),
)

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
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise _no_command(args)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


def _no_command(words: Sequence[str]) -> UsageError:
    import difflib

    name, *rest = words
    near = difflib.get_close_matches(name.lower(), COMMANDS, 1)
    later = next((word for word in rest if word in COMMANDS), None)
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif later:
        hint = f"the command comes first: python3 run {later} {name:.40}"
    elif name in TOOLKIT:
        hint = f"that is one of the toolkit: .venv/bin/ntbdbg {name}"
    else:
        hint = f"there are {', '.join(COMMANDS)}"
    return UsageError(f"no command {name!r:.40}", hint=hint)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
@click.option("--container", is_flag=True, help="Do it inside a container; =docker or =podman.")
@click.version_option(
    None,
    "-V",
    "--version",
    package_name="ntbdbg",
    message=f"{PROGRAM}, of %(package)s %(version)s",
)
@click.option(
    "--host-build-dir",
    metavar="DIR",
    help="With --container: the build folder, relative.  [default: ./build_vm_image]",
)
def cli(**_: object) -> None:  # taken by `main` and by `run.bootstrap`, wherever they stand
    """Build QEMU and a guest, start linked VMs, look after them.

    \b
    python3 run demo        builds all, boots two linked guests, shows what ntbdbg sees
    python3 run vms         two VMs; ssh root@localhost -p7001 and -p7002
    python3 run COMMAND -h  options, defaults and examples of a command
    """


def main(arguments: Sequence[str]) -> int:
    """Run the command line; gives the exit code: 0, 1 failed, 2 usage, 3 host, 130 interrupted."""
    own, rest = _split(arguments)
    debug = "--debug" in own
    words = [word for word in own if word != "--debug"] + rest
    try:
        _refuse_checkouts(words)
        result = cli.main(translate(words), prog_name=PROGRAM, standalone_mode=False)
    except RunError as error:
        if debug:
            raise
        return _complain(str(error), error.exit_code)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else PROGRAM
        hint = f"'{where} --help' shows what there is"
        return _complain(f"{error.format_message().rstrip('.')}; {hint}", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except OSError as error:
        if debug:
            raise
        return _refused(error)
    return result if isinstance(result, int) else 0


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is for us, and what comes from ``--`` on, for a guest or for pytest."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]


def _refused(error: OSError) -> int:
    """Tell what the system did not do for us: write the output, say, where no room is left."""
    what = f"{error.filename}: " if error.filename else ""
    # What is still buffered would be tried again, and fail again, at the interpreter's end.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    return _complain(f"{what}{error.strerror or error}; --debug shows where", RunError.exit_code)


def _complain(words: str, exit_code: int) -> int:
    with contextlib.suppress(OSError):  # the exit code still tells
        print(f"run: {spelt(words)}", file=sys.stderr, flush=True)
    return exit_code


def _refuse_checkouts(words: Sequence[str]) -> None:
    """Raise UsageError for what works on a checkout, where there is none."""
    named = {word.partition("=")[0] for word in words[:1] if word in OF_CHECKOUT}
    named |= {word for word in words if word.partition("=")[0] == "--container"}
    if named and not IS_CHECKOUT:
        raise UsageError(
            f"{named.pop()} works in a checkout, this launcher was installed",
            hint="clone the project, and use the launcher that it has",
        )


def installed() -> None:
    """The program of a wheel."""
    sys.exit(main(sys.argv[1:]))
