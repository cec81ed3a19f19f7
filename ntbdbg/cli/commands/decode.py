# SPDX-License-Identifier: MIT
"""ntbdbg decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ntbdbg.cli.addressed import addressed_argument, target_and_words
from ntbdbg.cli.linkpage import open_page, page_option, partition_of
from ntbdbg.cli.options import lab_command
from ntbdbg.errors import TargetError, UsageError
from ntbdbg.inspect.structlist import STRUCTS, find_struct

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.inspect.structs import Member, StructDef

EXAMPLES = [
    ("ntbdbg decode qemu1 init_uts_ns", "a variable of the kernel whose type is known"),
    ("ntbdbg decode qemu1 init_uts_ns.name.nodename", "one member of it"),
    ("ntbdbg decode qemu1 'struct task_struct' init_task --depth 1", "a type at an address"),
    ("ntbdbg decode qemu1 init_task.parent --follow 1", "and what its pointers lead to"),
    ("ntbdbg decode qemu1 nt_port", "the guest's NT port as the device publishes it"),
    ("ntbdbg decode qemu1 shared_page --all", "the whole page, padding and zeros too"),
    ("ntbdbg decode qemu1 boot_params 0x13d00", "boot parameters at a known place"),
    ("ntbdbg decode --list", "the structures known without a kernel"),
]


@lab_command("decode", examples=EXAMPLES, freezes=True)
@addressed_argument("TARGET WHAT [ADDR]", required=False)
@click.option("--list", "lists", is_flag=True, help="List the structures known without a kernel.")
@click.option("--all", "everything", is_flag=True, help="Also padding, and members that are 0.")
@click.option("--depth", type=click.IntRange(1), help="Levels of members shown.  [default: all]")
@click.option(
    "--follow",
    type=click.IntRange(0, 16),
    default=0,
    metavar="N",
    help="Show what pointers lead to, N of them in a row.",
)
@click.option(
    "--elements",
    type=click.IntRange(1, 65536),
    default=64,
    show_default=True,
    help="Elements of an array shown.",
)
@page_option
def command(
    app: AppContext,
    words: tuple[str, ...],
    lists: bool,
    everything: bool,
    depth: int | None,
    follow: int,
    elements: int,
    page: str | None,
) -> None:
    """Show the members of a structure in TARGET: offset, name, value, type or meaning.

    WHAT is a variable of the kernel or a member of one ('init_uts_ns.name', 'mod:sym[3].x'),
    if its type is known; or a C type ('struct task_struct', 'pid_t'), and ADDR is where; or one
    of the structures of --list: nt_port and shared_page are in the link's shared page and take
    no ADDR, boot_params and e820 are found by their magic unless ADDR says where they are.
    """
    if lists:
        _list(app)
        return
    target, what, address = _operands(app, words)
    if what in STRUCTS:
        if depth or follow:
            raise UsageError(
                f"{what} is flat: it takes neither --depth nor --follow",
                hint=f"'struct {what}' names the kernel's type of that name",
            )
        _declared(app, target, find_struct(what), address, everything, page)
        return
    from ntbdbg.cli.typed import Reach, show_typed

    show_typed(app, target, what, address, Reach(depth, follow, elements, everything))


def _operands(app: AppContext, words: tuple[str, ...]) -> tuple[str, str, str | None]:
    if words:
        target, (what, address) = target_and_words(app, words, "[WHAT]", "[ADDR]")
        if what is not None:
            return target, what, address
    raise UsageError(
        "decode what?", hint="a variable, a type and an address, or one of 'decode --list'"
    )


def _list(app: AppContext) -> None:
    from ntbdbg.render.decode import StructList, struct_list_facts

    known = list(STRUCTS.values())
    if app.json:
        app.emit("structs", struct_list_facts(known))
    else:
        app.console().print(StructList(known))


def _declared(
    app: AppContext,
    target: str,
    definition: StructDef,
    address: str | None,
    everything: bool,
    page: str | None,
) -> None:
    """A structure whose layout is declared by hand."""
    from ntbdbg.render.decode import RangeTable, StructView, struct_facts

    with app.stillness():
        if definition.place == "page":
            parts = _of_page(app, target, definition, address, page)
        else:
            parts = [_of_memory(app, target, definition, address)]
    if app.json:
        facts = [struct_facts(title, where, found) for title, where, found in parts]
        app.emit("decode", {"target": target, "struct": definition.name, "parts": facts})
        return
    for title, where, found in parts:
        if definition.name == "e820":
            app.console().print(RangeTable(title, found))
            continue
        shown = [m for m in found if everything or not (m.is_padding or m.is_zero)]
        app.console().print(StructView(title, where, shown, omitted=len(found) - len(shown)))


Part = tuple[str, int, "list[Member]"]


def _of_page(
    app: AppContext, target: str, definition: StructDef, address: str | None, path: str | None
) -> list[Part]:
    if address is not None:
        raise UsageError(
            f"{definition.name} is in the shared page, it takes no ADDR", hint="leave it out"
        )
    from ntbdbg.inspect.structs import members
    from ntbdbg.ntb.page import layout

    source, names = open_page(app, path, target)
    data, link = source.read(), source.link()
    layouts = layout(link.header.endian, link.header.major)
    partition = partition_of(target, link, names)
    wanted = [partition] if definition.name == "nt_port" else range(link.header.nports)
    parts: list[Part] = []
    if definition.name == "shared_page":
        head = list(members(layouts.header, data, definition.explain))
        parts.append((f"{source.name}: header", 0, head))
    for part in wanted:
        start = link.header.port_off + part * link.header.port_stride
        block = data[start : start + layouts.port.sizeof()]
        owner = names.get(part, "no guest")
        title = f"port {link.ports[part].number}, partition {part} ({owner})"
        parts.append((title, start, list(members(layouts.port, block, definition.explain))))
    return parts


def _of_memory(app: AppContext, target: str, definition: StructDef, address: str | None) -> Part:
    from ntbdbg.arch.x86 import e820
    from ntbdbg.inspect import zeropage
    from ntbdbg.inspect.structs import members

    guest = app.guest(target)
    if address is None:
        memory, start = guest.memory, _find(app, target, guest)
    else:
        place = guest.resolve(address, zeropage.SIZE)
        memory, start = place.memory, place.address
    data = memory.read(start, zeropage.SIZE)
    if address is not None and not e820.looks_filled(data):
        app.note(f"what is at {start:#x} does not look like boot parameters")
    found = list(members(definition.layout(), data, definition.explain))
    if definition.name == "e820":
        used = data[0x1E8]
        found = [m for m in found if _is_entry(m.path, used)]
    return f"{target}: {definition.name}, boot parameters at {start:#x}", start, found


def _is_entry(path: str, used: int) -> bool:
    if not path.startswith("e820_table["):
        return path == "e820_entries"
    return int(path.partition("[")[2].partition("]")[0]) < used


def _find(app: AppContext, target: str, guest: Any) -> int:
    from ntbdbg.inspect.zeropage import find_boot_params
    from ntbdbg.render.progress import Progress

    with Progress("boot parameters", app.is_terminal) as progress:
        found = find_boot_params(guest.memory, progress)
    if not found:
        raise TargetError(
            f"{target}: no boot parameters found in RAM",
            hint="an x86 Linux guest has them once it runs; else say where: ADDR",
        )
    # Below 1 MiB lies what the boot loader made; the kernel's own copy is further up.
    chosen = next((start for start in found if start >= 1 << 20), found[0])
    others = ", ".join(f"{start:#x}" for start in found if start != chosen)
    kind = "the kernel's copy" if chosen >= 1 << 20 else "the boot loader's"
    app.note(f"taken: {chosen:#x}, {kind}" + (f"; also at {others}" if others else ""))
    return chosen
