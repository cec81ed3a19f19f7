# SPDX-License-Identifier: MIT
"""Every command of ntbdbg, as asked of a lab whose first guest is damaged."""

from __future__ import annotations

LAB = """
info
windows
regs qemu1 --all
ntb
ntb --json
postmortem
report -o report.html
diff qemu1 qemu2 --limit 40
diff qemu1 qemu2 init_uts_ns
diff qemu1 qemu2 --annotate --limit 40
diff --window qemu1:mw0
watch --link --timeout 0.05
watch qemu1 jiffies_64 8 --timeout 0.05
events
guests
attach nobody
detach
gdb qemu1 -- -batch
freeze
resume
capture out.cap
verify out.cap
--from out.cap ps qemu1
--from out.cap postmortem
shell -c print(qemu1.kernel.info.release,len(qemu1.kernel.modules()))
patch qemu1 0x500 u32:5
patch qemu1 jiffies_64 u64:5 --dry-run
patch qemu1 init_uts_ns.name.nodename changed --dry-run
undo
"""

GUEST = """
info GUEST
info GUEST --json
map GUEST
dump GUEST 0x1000 64
dump GUEST init_uts_ns 390
dump GUEST 1M 256K --annotate
dump GUEST init_task --annotate
sym GUEST jiffies_64
sym GUEST *
sym GUEST init_task.comm
sym GUEST ntb_hw_idt:* --json
sym GUEST 0x200000
sym GUEST:0xffffffff81000000
translate GUEST init_task
translate GUEST 0x1000
translate GUEST:0xffff888000100000
decode GUEST init_task
decode GUEST init_task --all --json
decode GUEST init_task --follow 3
decode GUEST init_uts_ns.name.nodename
decode GUEST struct\\ task_struct init_task --depth 1
decode GUEST struct\\ module modules
decode GUEST struct\\ pci_dev pci_root_buses --follow 2
decode GUEST runqueues@0
decode GUEST boot_params 0x13d00
search GUEST str:Linux --limit 5
search GUEST str:Linux --range _stext.._end
search GUEST u64:0 --range 0xffff888000000000+1M -c
search GUEST re:NTB[0-9]+ --range 1M+4M
search GUEST u8:0 -c
dmesg GUEST
dmesg GUEST --level err+ --json
ps GUEST
ps GUEST --threads --json
ps GUEST --tree
modules GUEST
modules GUEST --json
devices GUEST
devices GUEST --json
bt GUEST
bt GUEST --all
export GUEST --format elf -o out.core
export GUEST --format kdump -o out.kdump
export GUEST --format raw -o out.raw
export GUEST --format lime -o out.lime
export GUEST --format isf -o out.json
export GUEST --format vmlinux -o out.vmlinux
cpu GUEST
disas GUEST startup_64
disas GUEST oops
info ./out.core
ps ./out.kdump
"""


def lines(text: str, guest: str) -> list[list[str]]:
    """The words of each line, for that guest."""
    import shlex

    return [shlex.split(line.replace("GUEST", guest)) for line in text.strip().splitlines()]


def of_lab() -> list[list[str]]:
    """All commands on a lab of qemu1 and qemu2."""
    return lines(GUEST, "qemu1") + lines(LAB, "qemu1")


def of_file(path: str) -> list[list[str]]:
    """Those that make sense for a bare RAM file."""
    return lines(GUEST, path)
