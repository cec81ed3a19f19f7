# SPDX-License-Identifier: MIT
"""What commands share: their class, options that work before and after the command's name,
arguments with completion."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from ntbdbg.cli.context import AppContext
from ntbdbg.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
Example = tuple[str, str]

pass_app = click.make_pass_decorator(AppContext)

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command with examples in its help; `freezes` if it understands ``--freeze``."""

    def __init__(
        self, *args: Any, examples: Sequence[Example] = (), freezes: bool = False, **kwargs: Any
    ) -> None:
        kwargs.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.freezes = freezes

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name[1:2].isdigit():
                values = "; before a value write --: patch … -- -5" if self.name == "patch" else ""
                raise UsageError(
                    f"{error.option_name} is negative",
                    hint=f"addresses, sizes and numbers start at 0{values}",
                ) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.find_object(AppContext)
        if app and app.freeze and not self.freezes:
            raise UsageError(
                f"'{self.name}' does not take --freeze", hint="'ntbdbg freeze' stops the lab"
            )
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl([(line, words) for line, words in self.examples])


def lab_command(
    name: str, *, examples: Sequence[Example], freezes: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command: its docstring is the help, the shared options are added.

    The function gets the AppContext first. It may return an ExitStatus.

    :param examples: command lines and what each one does, for the help
    :param freezes: also give it ``--freeze``
    """

    def wrap(function: Callable[..., Any]) -> Command:
        # click lists options in the order in which they were written, from the last decorator
        # on; the shared ones belong below the command's own.
        own = getattr(function, "__click_params__", [])
        wrapped = pass_app(function)
        wrapped.__click_params__ = []  # type: ignore[attr-defined]
        if freezes:
            freeze_option(wrapped)
        lab_options(wrapped)
        wrapped.__click_params__ += own  # type: ignore[attr-defined]
        return click.command(name, cls=Command, examples=examples, freezes=freezes)(wrapped)

    return wrap


def _shared(flag: str, attribute: str, **settings: Any) -> Callable[[F], F]:
    """An option whose value goes to the AppContext, wherever on the line it stands."""

    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        given = value is not None and value is not False
        app = ctx.ensure_object(AppContext)
        if given:
            setattr(app, attribute, value)

    return click.option(
        flag, attribute, expose_value=False, callback=store, default=None, **settings
    )


_LAB_OPTIONS = (
    _shared("--json", "json", is_flag=True, help="Print JSON (docs/json.md) instead of text."),
    _shared(
        "--from",
        "where",
        metavar="PATH",
        type=click.Path(),
        help="run.json of a lab, its folder, a dump of one guest, or a guest that 'guests' shows.  "
        "[env: NTBDBG_FROM]",
    ),
    _shared(
        "--lab", "lab_name", metavar="NAME", help="Lab by name, if several run.  [env: NTBDBG_LAB]"
    ),
    _shared(
        "--machine",
        "machine",
        metavar="q35|pc",
        help="Memory map of a bare RAM file.  [default: q35]",
    ),
    _shared(
        "--segments",
        "segments",
        metavar="GPA:SIZE:OFFSET,…",
        help="Memory map of a bare RAM file, piece by piece.",
    ),
    _shared(
        "--symbols",
        "symbols",
        metavar="FILE",
        type=click.Path(),
        help="Debug information (DWARF) of the guests' kernel: a vmlinux.",
    ),
    _shared(
        "--which-kernel",
        "which_kernel",
        metavar="N",
        type=click.IntRange(1),
        help="Of several kernels in one RAM, that of this number in 'info TARGET'.",
    ),
    _shared(
        "--color",
        "color_mode",
        type=click.Choice(["auto", "always", "never"]),
        help="Colours; auto: on a terminal, unless NO_COLOR is set.",
    ),
    _shared("--debug", "debug", is_flag=True, help="Show a traceback with any error."),
)


def lab_options(function: F) -> F:
    """Add the options that every command has."""
    for option in reversed(_LAB_OPTIONS):
        function = option(function)
    return function


freeze_option = _shared(
    "--freeze", "freeze", is_flag=True, help="Stop all guests of the lab meanwhile."
)


def complete_guest(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Names of the lab's guests, for the shell; silent whatever goes wrong."""
    from click.shell_completion import CompletionItem

    names: tuple[str, ...] = ()
    with contextlib.suppress(Exception):
        app = ctx.find_object(AppContext) or AppContext()
        names = app.lab.names
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def target_argument(name: str = "target", **settings: Any) -> Callable[[F], F]:
    """TARGET: a guest's name, or the path of a bare RAM file (with a slash in it)."""
    return click.argument(name, shell_complete=complete_guest, **settings)
