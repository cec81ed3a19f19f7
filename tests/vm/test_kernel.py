# SPDX-License-Identifier: MIT
"""What is understood from RAM alone against what the guests say of themselves.

The first guest has page tables of five levels, the second of four; both have KASLR.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.modules.taints import FIXED
from ntbdbg.kernel.tasks.pages import PageMap
from ntbdbg.lab.lab import Lab as TargetLab
from tests.vm import facts

pytestmark = pytest.mark.vm

LEVELS = {1: 5, 2: 4}


@pytest.fixture(scope="module")
def kernels(lab):
    with TargetLab.open(lab.folder) as opened:
        yield {number: Kernel.open(opened.guest(f"qemu{number}").memory) for number in LEVELS}


@pytest.fixture(params=LEVELS, scope="module")
def number(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def guest(number) -> str:
    return f"qemu{number}"


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
    assert len(kernel.tables.geometry.levels) == LEVELS[number]
    assert kernel.others == []


def test_every_symbol_of_vmlinux(kernel, kallsyms):
    truth = sorted((address, letter + name) for address, name, letter in kallsyms[None])
    assert len(truth) > 80_000
    found = zip(kernel.table.addresses(), kernel.table.names, strict=True)
    assert sorted(found) == truth


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


def test_build_ids_of_modules_as_sysfs_has_them(lab, kernel, number):
    notes = lab.sh(
        number,
        "cd /sys/module; for m in $(cut -d' ' -f1 /proc/modules); do"
        " echo $m $(od -An -v -tx1 $m/notes/.note.gnu.build-id | tr -d ' \\n'); done",
    )
    theirs = {line.split()[0]: line.split()[1][-40:] for line in notes.splitlines()}
    assert {module.name: kernel.module_build_id(module) for module in kernel.modules()} == theirs


def test_types_byte_for_byte(lab, kernel, number):
    names = lab.sh(number, "ls /sys/kernel/btf").split()
    assert {"vmlinux", "ntb"} <= set(names)
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
        where = kernel.percpu(_cpu_number(kernel), cpu)
        assert int.from_bytes(kernel.virtual.read(where, 4), "little") == cpu


def _cpu_number(kernel) -> int:
    """Where each processor keeps its number: a variable, from 6.2 to 6.14 a member of one
    (arch/x86/include/asm/current.h)."""
    try:
        return kernel.symbol("cpu_number").address
    except KernelError:
        member = kernel.layouts["pcpu_hot"].find("cpu_number")
        return kernel.symbol("pcpu_hot").address + member.offset


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


def test_log_is_that_of_dmesg(lab, number, guest):
    theirs = [line.rstrip() for line in lab.sh(number, "dmesg").splitlines()]
    ours = [line.rstrip() for line in lab.ntbdbg("dmesg", guest).splitlines()]
    assert len(theirs) > 200
    assert ours[: len(theirs)] == theirs


def test_tasks_are_those_of_proc(lab, number, guest):
    """What lives before and after is there, and nothing is that lived neither before nor after."""
    before = facts.processes(lab, number)
    found = lab.json("ps", guest, "--freeze")
    after = facts.processes(lab, number)
    assert found["partial"] is None
    ours = {
        task["pid"]: facts.Process(
            facts.lasting(task["name"]), task["ppid"], task["is_kernel"], task["threads"]
        )
        for task in found["tasks"]
    }
    lasting = {pid: one for pid, one in before.items() if after.get(pid) == one}
    assert len(lasting) > 40
    assert {pid: ours.get(pid) for pid in lasting} == lasting
    assert {1, 2} < set(before) & set(after) <= set(ours)
    assert [cpu["cpu"] for cpu in found["cpus"]] == facts.processors(lab, number)


def test_taints_of_modules(lab, number, guest):
    shown = {m["name"]: m["taints"] for m in lab.json("modules", guest)["modules"]}
    for line in lab.sh(number, "cat /proc/modules").splitlines():
        name, *_, last = line.split()
        assert shown[name] == (last.strip("()") if last.startswith("(") else "")


def test_devices_are_those_of_sysfs(lab, number, guest):
    theirs = facts.pci_devices(lab, number)
    found = lab.json("devices", guest)
    assert found["partial"] is None
    ours = []
    for device in found["devices"]:
        # sysfs shows BARs and the ROM, not the ranges of a chipset's quirks behind them.
        shown = [r for r in device["resources"] if r["index"] <= 12]
        resources = [[r["start"], r["size"], r["flags"]] for r in shown]
        kept = {key: device[key] for key in theirs[0]}
        ours.append({**kept, "resources": resources})
    assert ours == theirs
    assert "ntb_hw_idt" in {device["driver"] for device in ours}


def test_info_is_what_the_guest_says(lab, number, guest):
    before = float(lab.sh(number, "cat /proc/uptime").split()[0])
    found = lab.json("info", guest)
    after = float(lab.sh(number, "cat /proc/uptime").split()[0])
    assert found["notes"] == []
    said = [lab.sh(number, f"uname -{letter}") for letter in "rvn"]
    assert [found["release"], found["version"], found["nodename"]] == said
    assert found["banner"] == lab.sh(number, "cat /proc/version")
    assert found["command_line"] == lab.sh(number, "cat /proc/cmdline")
    memory = lab.sh(number, "cat /proc/meminfo").split()
    assert found["memory_total"] == int(memory[memory.index("MemTotal:") + 1]) * 1024
    assert 0 < found["memory_free"] < found["memory_total"]
    # An idle guest lets seconds pass between two ticks.
    assert before - 10 <= found["uptime_ns"] / 1e9 <= after
    tainted = int(lab.sh(number, "cat /proc/sys/kernel/tainted"))
    assert found["taints"] == "".join(c for bit, c in enumerate(FIXED) if tainted >> bit & 1)
    assert (found["panic_cpu"], found["oops_in_progress"]) == (None, False)
    assert found["cpus_online"] == facts.processors(lab, number)


def test_symbols_lead_to_what_the_guest_says_of_itself(lab, number, guest):
    said = [lab.sh(number, f"uname -{letter}") for letter in "snrvm"]
    name = guest
    shown = lab.ntbdbg_bytes("dump", name, "init_uts_ns", "390", "--format", "raw")
    fields = [shown[at : at + 65].partition(b"\0")[0].decode() for at in range(0, 325, 65)]
    assert fields == said
    (symbol,) = lab.json("sym", name, "init_uts_ns")["symbols"]
    where = lab.json("translate", name, hex(symbol["address"]))
    assert where["symbol"] == "init_uts_ns"
    physical = lab.json("dump", name, hex(where["gpa"]), "390", "--annotate")
    assert physical["data"] == shown.hex()
    assert (physical["labels"][0]["symbol"], physical["labels"][0]["offset"]) == ("init_uts_ns", 0)


def test_a_patch_by_virtual_address_is_seen_by_the_guest_and_undone(lab, number, guest):
    name = guest
    (symbol,) = lab.json("sym", name, "init_uts_ns.name.nodename")["symbols"]
    lab.ntbdbg("patch", name, hex(symbol["address"]), "u8:0x5a", "--expect", "str:qemu")
    assert lab.sh(number, "hostname") == f"Zemu{number}"
    lab.ntbdbg("undo")
    assert lab.sh(number, "hostname") == name


def test_an_address_in_a_bar_is_that_of_a_window(lab, number, guest):
    """Windows lie where the guest's own sysfs has the BARs of the NTB."""
    (device,) = [d for d in facts.pci_devices(lab, number) if d["driver"] == "ntb_hw_idt"]
    starts = [start for start, size, _ in device["resources"] if size >= 2 << 20]
    found = [lab.json("translate", guest, hex(start + 0x40)) for start in starts]
    assert [where["outbound"]["window"] for where in found] == [
        f"qemu{number}:mw0",
        f"qemu{number}:mw1",
    ]
    for where in found:
        assert (where["ram_file"], where["outbound"]["offset"]) == (None, 0x40)
        assert where["outbound"]["closed"], "nothing has programmed the windows"


def test_owners_of_pages_are_those_of_kpageflags(lab, kernel, number):
    """Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst)."""
    bits = {7: "slab", 10: "free", 26: "page table", 12: "anonymous", 32: "reserved"}
    read = "gzip -c /proc/kpageflags | base64"
    before = facts.words64(lab.sh(number, read))
    pages = PageMap(kernel)
    ours = {page: pages.owner(page * 4096) for page in range(0, len(before), 31)}
    after = facts.words64(lab.sh(number, read))
    caches = {line.split()[0] for line in lab.sh(number, "cat /proc/slabinfo").splitlines()}
    seen: Counter[str | None] = Counter()
    wrong = []
    for page, owner in ours.items():
        theirs = next((kind for bit, kind in bits.items() if before[page] >> bit & 1), None)
        kind = owner.kind if owner and owner.kind in bits.values() else None
        seen[theirs] += 1
        if before[page] == after[page] and theirs != kind:
            wrong.append((page, hex(before[page]), owner))
        assert not owner or owner.kind != "slab" or owner.detail in caches
    assert all(seen[kind] for kind in ("slab", "free", "reserved", None)), seen
    # The process that reads the flags has pages of its own, which come and go.
    assert len(wrong) <= len(ours) // 50, wrong


def test_variables_by_type_are_what_proc_says(lab, number, guest):
    guest = guest

    def value(path: str) -> object:
        return lab.json("decode", guest, path)["fields"][0]["value"]

    assert value("init_uts_ns.name.release") == lab.sh(number, "uname -r")
    assert value("init_uts_ns.name.version") == lab.sh(number, "uname -v")
    assert value("pid_max") == int(lab.sh(number, "cat /proc/sys/kernel/pid_max"))
    assert value("panic_timeout") == int(lab.sh(number, "cat /proc/sys/kernel/panic"))
    banner = lab.json("decode", guest, "linux_banner")["fields"][0]["value"]
    assert banner == lab.sh(number, "cat /proc/version") + "\n"
    state = lab.json("decode", guest, "system_state")["fields"][0]
    assert state["meaning"] == "SYSTEM_RUNNING"
    driver = lab.json("decode", guest, "ntb_hw_idt:idt_pci_driver", "--follow", "1")["fields"]
    names = {field["path"]: field for field in driver}
    assert names["name->"]["value"] == "ntb_hw_idt"
    assert names["probe"]["meaning"] == "idt_pci_probe [ntb_hw_idt]"


def test_a_member_that_is_patched_is_what_the_guest_sees(lab, number, guest):
    guest, before = guest, lab.sh(number, "hostname")
    lab.ntbdbg("patch", guest, "init_uts_ns.name.nodename", "changed")
    assert lab.sh(number, "hostname") == "changed"
    lab.ntbdbg("undo")
    assert lab.sh(number, "hostname") == before
    lab.ntbdbg("patch", guest, "panic_timeout", "17", "--expect", "0")
    assert lab.sh(number, "cat /proc/sys/kernel/panic") == "17"
    lab.ntbdbg("undo")
    assert lab.sh(number, "cat /proc/sys/kernel/panic") == "0"


def _btf(kernel: Kernel, name: str):
    return kernel.btf if name == "vmlinux" else kernel.module_btf(name)
