# SPDX-License-Identifier: MIT
"""What is understood from RAM alone against what the guests say of themselves.

The first guest has page tables of five levels, the second of four; both have KASLR.
"""

from __future__ import annotations

import hashlib

import pytest

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.target.lab import Lab as TargetLab

pytestmark = pytest.mark.vm

LEVELS = {1: 5, 2: 4}


@pytest.fixture(scope="module")
def lab(start_lab):
    return start_lab("--vm2-opts=-cpu max,la57=off")


@pytest.fixture(scope="module")
def kernels(lab):
    with TargetLab.open(lab.folder) as opened:
        yield {number: Kernel.open(opened.guest(f"qemu{number}").memory) for number in LEVELS}


@pytest.fixture(params=LEVELS, scope="module")
def number(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def kernel(kernels, number) -> Kernel:
    return kernels[number]


@pytest.fixture(scope="module")
def kallsyms(lab, number) -> dict[str | None, list[tuple[int, str, str]]]:
    """By module: address, name and letter of each symbol, in the kernel's order."""
    found: dict[str | None, list[tuple[int, str, str]]] = {}
    for line in lab.sh(number, "cat /proc/kallsyms").splitlines():
        address, letter, name, *module = line.split()
        owner = module[0].strip("[]") if module else None
        found.setdefault(owner, []).append((int(address, 16), name, letter))
    return found


def test_what_is_running(lab, kernel, number):
    assert kernel.info.release == lab.sh(number, "uname -r")
    assert kernel.tables.levels == LEVELS[number]
    assert kernel.others == []


def test_every_symbol_of_vmlinux(kernel, kallsyms):
    truth = sorted((address, letter + name) for address, name, letter in kallsyms[None])
    assert len(truth) > 90_000
    assert sorted(zip(kernel.table.addresses, kernel.table.names, strict=True)) == truth


def test_every_symbol_of_every_module(kernel, kallsyms):
    owners = {module.name: module for module in kernel.modules()}
    assert set(owners) == set(kallsyms) - {None}
    for name, module in owners.items():
        ours = sorted((s.address, s.name) for s in kernel.module_symbols(module))
        assert ours == sorted((address, symbol) for address, symbol, _ in kallsyms[name]), name


def test_labels_of_symbols_and_of_the_middle_of_functions(kernel, kallsyms):
    now = kernel.symbolizer()
    functions = [s for s in kallsyms[None] if s[2] in "tT" and s[0] >> 63][::50]
    for address, name, _ in [*functions, *kallsyms["ntb_hw_idt"]]:
        found = now.find(address)
        assert found is not None
        assert (found[0].address, found[1]) == (address, 0), name


def test_modules_as_proc_modules_has_them(lab, kernel, number):
    found = kernel.modules()
    assert found.partial is None
    ours = [
        [m.name, m.size, m.references, ",".join(m.users) or "-", m.state.title(), m.base]
        for m in found
    ]
    theirs = []
    for line in lab.sh(number, "cat /proc/modules").splitlines():
        name, size, references, users, state, base = line.split()[:6]
        users = users.removesuffix(",")
        theirs.append([name, int(size), int(references), users, state, int(base, 16)])
    assert ours == theirs


def test_types_byte_for_byte(lab, kernel, number):
    names = lab.sh(number, "ls /sys/kernel/btf").split()
    assert {"vmlinux", "ntb", "ntb_hw_idt"} <= set(names)
    sums = lab.sh(number, "cd /sys/kernel/btf && sha256sum *")
    ours = {name: _btf(kernel, name).data for name in names}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in ours.items()} == {
        line.split()[1]: line.split()[0] for line in sums.splitlines()
    }


def test_processors_and_their_copies(lab, kernel, number):
    possible = lab.sh(number, "cat /sys/devices/system/cpu/possible")
    first, _, last = possible.partition("-")
    assert kernel.cpus() == list(range(int(first), int(last or first) + 1))
    for cpu in kernel.cpus():
        where = kernel.percpu(kernel.symbol("cpu_number").address, cpu)
        assert int.from_bytes(kernel.virtual.read(where, 4), "little") == cpu


def test_physical_addresses(lab, kernel, number):
    """The kernel's image and all RAM by way of the page tables, as /proc/iomem has them."""
    lines = lab.sh(number, "cat /proc/iomem").splitlines()
    code = next(line for line in lines if line.strip().endswith("Kernel code"))
    start = int(code.split("-")[0], 16)
    assert kernel.translate(kernel.symbol("_text").address) == start
    base = kernel.object("page_offset_base").value_()
    for address in (0x1000, 0x100000, start, (255 << 20) - 1):
        assert kernel.translate(base + address) == address


def test_drgn_agrees(kernel):
    for name in ("init_task", "linux_banner", "init_uts_ns", "runqueues"):
        assert kernel.prog.symbol(name).address == kernel.symbol(name).address
    address = kernel.symbol("linux_banner").address
    ours = kernel.virtual.read(address, 64)
    assert kernel.prog.read(address, 64) == ours
    assert ours.startswith(b"Linux version ")


def _btf(kernel: Kernel, name: str):
    return kernel.btf if name == "vmlinux" else kernel.module_btf(name)
