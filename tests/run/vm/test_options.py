# SPDX-License-Identifier: MIT
"""What users type becomes a checked configuration, or a clear refusal."""

from __future__ import annotations

import re

import click
import pytest

from run.base.errors import UsageError
from run.cli.launching import launch_options, parse
from run.vm.kvm import accelerator, default_processors
from run.vm.options import Extra, LaunchOptions, choose_memory


def options(*words: str, guests: int = 2) -> LaunchOptions:
    """The options as the command's own parser and `parse` make them."""

    @click.command()
    @launch_options
    def command(**given: object) -> LaunchOptions:
        return parse(guests, given)

    made = command.main(list(words), standalone_mode=False)
    assert isinstance(made, LaunchOptions)
    return made


def test_defaults():
    made = options()
    assert (made.memory, made.shm) == (256, False)
    assert made.smp == default_processors(accelerator())
    assert (made.ssh_port_base, made.console_port_base) == (7001, 8001)
    assert made.name == "default"
    assert made == LaunchOptions(smp=made.smp)


@pytest.mark.parametrize(
    ("words", "memory", "shm"),
    [
        (["--qemu-map-ram-to-shm"], 256, True),
        (["--qemu-map-ram-to-shm=1000"], 1000, True),
        (["--qemu-map-ram-to-shm", "--smp", "1"], 256, True),
        (["--qemu-map-ram-to-shm", "--memory", "512"], 512, True),
        (["--qemu-map-ram-to-shm=512", "--memory=512"], 512, True),
        (["--memory", "64"], 64, False),
    ],
)
def test_memory(words, memory, shm):
    made = options(*words)
    assert (made.memory, made.shm) == (memory, shm)


@pytest.mark.parametrize("size", ["0", "1000M", "1G", "x", "0x100", "1.5", "99999999", "٣"])
def test_garbage_as_size(size):
    with pytest.raises(UsageError, match="MiB without suffix"):
        options(f"--qemu-map-ram-to-shm={size}")


def test_negative_size():
    with pytest.raises(click.UsageError):
        options("--qemu-map-ram-to-shm=-5")


def test_two_sizes_that_differ():
    with pytest.raises(UsageError, match="contradict"):
        choose_memory(512, "1000")


@pytest.mark.parametrize("option", ["common-opts", "vm1-opts", "vm2-opts", "common-opts-override"])
def test_memory_option_of_qemu_is_refused(option):
    with pytest.raises(UsageError, match="use --memory MIB"):
        options(f"--{option}=-smp 2 -m 512")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--vm1-opts=-kernel X", "-kernel inside --vm1-opts does not work; use --kernel"),
        ("--common-opts=--initrd X", "--initrd inside --common-opts does not work"),
        ("--vm2-opts-override=-append x", "-append inside --vm2-opts does not work; use --cmdline"),
        ("--common-opts=-daemonize", "use --detach"),
    ],
)
def test_what_the_launcher_says_itself_is_refused_by_name(words, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        options(words)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "soon"])
def test_a_deadline_that_is_none(text):
    with pytest.raises(click.UsageError) as refused:
        options("--boot-timeout", text)
    assert "'--boot-timeout'" in refused.value.format_message()


def test_values_that_look_like_options():
    made = options("--common-opts=-device edu", "--vm2-opts", "-s", "--server-opts-override=-m .")
    assert made.common.words(["-smp", "4"]) == ["-smp", "4", "-device", "edu"]
    assert made.per_vm[1].append == "-s"
    assert made.server.words(["-M", "x"]) == ["-m", "."]


def test_override_and_append_together():
    made = options("--common-opts-override=-machine pc", "--common-opts=-snapshot")
    assert made.common.words(["-machine", "q35"]) == ["-machine", "pc", "-snapshot"]


def test_an_empty_override_leaves_nothing():
    assert options("--vm1-opts-override=").per_vm[0].words(["-serial", "null"]) == []


def test_quotes_are_read_as_by_a_shell():
    assert Extra("--x", append="-append 'a b' c").words([]) == ["-append", "a b", "c"]
    with pytest.raises(UsageError, match="--x: No closing quotation"):
        Extra("--x", append="'a").words([])


def test_repeated_traces():
    assert options("--trace", "idt_*", "--trace=a").traces == ("idt_*", "a")


def test_an_interface_wants_scratchpads():
    with pytest.raises(UsageError, match="which has no scratchpads") as caught:
        LaunchOptions(client="netdev")
    assert caught.value.hint == "say --ntb=epf"
    assert LaunchOptions(ntb="epf", client="netdev").client == "netdev"


def test_two_guests_of_the_other_kind():
    with pytest.raises(UsageError, match="joins two guests, not 3"):
        LaunchOptions(ntb="epf", guests=3)
