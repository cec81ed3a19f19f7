# SPDX-License-Identifier: MIT
"""The spellings of the shell-script launcher that this one descends from."""

from __future__ import annotations

from run.base.errors import UsageError

#: ``--command=NAME`` -> our command
COMMANDS = {
    "build": "build",
    "run_vm": "vm",
    "run_vms": "vms",
    "shell": "shell",
    "enter_qemu_devenv": "enter_qemu_devenv",
    "finish_qemu_devenv": "finish_qemu_devenv",
}

_OPTIONS = ("--command", "--cmd")

#: options that `run.bootstrap` has dealt with before anything of this is imported
_DONE = ("--container", "--host-build-dir")


def translate(arguments: list[str]) -> list[str]:
    """Rewrite ``--command=run_vms …`` (or ``--cmd run_vms``) to ``vms …``; leave the rest alone.

    Only looked for in front of a command of our own and of ``--``, so that an option's value or
    a command for a guest is never taken for it.
    """
    while arguments and arguments[0].partition("=")[0] in _DONE:
        arguments = arguments[1:]
    for index, argument in enumerate(arguments):
        if argument == "--" or not argument.startswith("-"):
            break
        name, equals, value = argument.partition("=")
        if name not in _OPTIONS:
            continue
        rest = arguments[index + 1 :]
        if not equals:
            value, rest = (rest[0], rest[1:]) if rest else ("", [])
        if value not in COMMANDS:
            raise UsageError(
                f"no command {value!r:.40} for {name}", hint=f"there are {', '.join(COMMANDS)}"
            )
        return [COMMANDS[value], *arguments[:index], *rest]
    return arguments
