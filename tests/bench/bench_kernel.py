# SPDX-License-Identifier: MIT
"""The kernel in a guest's RAM: symbols and types ready, and one structure decoded.

Boots a lab, copies the RAM of its first guest and stops it; NTBDBG_BENCH_RAM names a copy to be
used instead. Everything is measured as whole processes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import lab as guests
from tests.bench.memory import in_use
from tests.bench.ratio import CHECKOUT, Contest, ntbdbg, process, run
from tests.bench.result import PROCESSOR

RAM = "NTBDBG_BENCH_RAM"
DRGN_DOES = "drgn on the same RAM, symbols only"

OURS = """
import sys
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.memory import RamFile
from ntbdbg.memory.layout import qemu_segments
from pathlib import Path
path = sys.argv[1]
memory = RamFile(path, qemu_segments("q35", Path(path).stat().st_size), is_live=False)
kernel = Kernel.open(memory, cache=sys.argv[2] == "cache")
assert kernel.prog.symbol("init_uts_ns").address == kernel.symbol("init_uts_ns").address
assert kernel.type("struct task_struct").size
"""

# Without types: drgn has none without debug information.
DRGN = """
import drgn, mmap, sys
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms
with open(sys.argv[1], "rb") as file:
    ram = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
at = ram.find(b"OSRELEASE=")
while ram[at - 1 : at + 4096].find(b"SYMBOL(kallsyms_names)=") < 0 or at % 4096 not in (0, 24):
    at = ram.find(b"OSRELEASE=", at + 1)
text = ram[at : at + 4096].partition(b"\\0")[0]
view = memoryview(ram)
prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64), vmcoreinfo=text)
prog.add_memory_segment(0, len(ram), lambda a, n, o, p: view[a : a + n], physical=True)
prog.set_linux_kernel_custom(text, False)
prog.register_symbol_finder("kallsyms", load_vmlinux_kallsyms(prog), enable_index=0)
assert prog.symbol("init_uts_ns").address
"""


@contextmanager
def copy_of_ram(folder: Path) -> Iterator[Path]:
    if given := os.environ.get(RAM):
        yield Path(given)
        return
    with guests.lab(folder) as lab:
        lab.ntbdbg("freeze")
        copy = folder / "copy.ram"
        shutil.copy(lab.manifest.guests[0].ram.path, copy)
    yield copy


def contests(ram: Path, cache: Path) -> list[Contest]:
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.fspath(CHECKOUT)}
    env.pop("NTBDBG_FROM", None)

    def python(code: str, *words: str | Path):
        return process(sys.executable, "-c", code, *words, env=env)

    size = in_use(ram)
    theirs = python(DRGN, ram)
    decode = process(*ntbdbg(), "decode", ram, "struct uts_namespace", "init_uts_ns", env=env)
    return [
        Contest(
            f"symbols and types of a kernel in {size}, nothing kept : {DRGN_DOES}",
            python(OURS, ram, "no"),
            theirs,
            1,
            PROCESSOR,
        ),
        Contest(
            f"the same, index kept : {DRGN_DOES}",
            python(OURS, ram, "cache"),
            theirs,
            0.5,
            PROCESSOR,
        ),
        Contest(
            f"decode of one structure in {size} : import drgn",
            decode,
            python("import drgn"),
            2.5,
            PROCESSOR,
        ),
    ]


if __name__ == "__main__":
    with guests.scratch() as folder, copy_of_ram(folder) as ram:
        sys.exit(run(contests(ram, folder / "cache"), 5))
