# SPDX-License-Identifier: MIT
"""Furnishes a fake guest with a bit of everything: log, tasks, modules, PCI, clocks, memory.

with LinuxLab(tmp_path / "run", furnish=furnish) as lab: …
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.fakeirqs import FakeIrqs
from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakelog import FakeLog
from tests.support.fakemodules import FakeModules
from tests.support.fakepci import MEM, MEM_64_PREFETCH, FakePci
from tests.support.faketasks import SLEEPING, FakeTasks

CLOCKS = """
typedef s64 ktime_t;
struct timespec64 { s64 tv_sec; long tv_nsec; };
struct tk_read_base { void *clock; u64 mask; u64 cycle_last; u32 mult, shift; u64 xtime_nsec;
    ktime_t base; u64 base_real; };
struct timekeeper { struct tk_read_base tkr_mono, tkr_raw; u64 xtime_sec; unsigned long ktime_sec;
    struct timespec64 wall_to_monotonic; ktime_t offs_real, offs_boot, offs_tai; };
struct fake_tk_core { unsigned int seq; struct timekeeper timekeeper; };
"""
UPTIME_NS = 8000_250_000_000
REAL_SEC = 1_795_000_000
RUNNING, RESTART = 3, 6  # of enum system_states
OE = 1 << 12 | 1 << 13


@dataclass
class Furniture:
    """What was put into a guest."""

    log: FakeLog
    tasks: FakeTasks
    modules: FakeModules
    pci: FakePci


def furnish(name: str, guest: FakeGuest, *, driver: bool = True) -> Furniture:
    """Put a bit of everything into `guest`; without `driver` its NTB is left to `FakeIdt`."""
    made = Furniture(FakeLog(guest), FakeTasks(guest), FakeModules(guest), FakePci(guest))
    made.log.add(f"Linux version {guest.release}", level=5)
    made.log.add("WARNING: CPU: 0 PID: 1 at drivers/ntb/x.c:1", at=3.5, level=4)
    init = made.tasks.add(1, "init")
    made.tasks.kernel_thread(2, "kthreadd", state=SLEEPING)
    made.tasks.run(1, made.tasks.add(150, "ba\x1bsh", parent=init, state=0, cpu=1))
    ntb = made.modules.add("ntb", size=0x4000, taints=OE)
    made.modules.add("ntb_hw_idt", size=0xA000, uses=[ntb], taints=OE, permanent=True)
    made.pci.add("0000:00:00.0", 0x8086, 0x29C0, 0x060000)
    bars = {0: (0xFEBF_D000, 0x1000, MEM), 2: (0xFE00_0000, 2 << 20, MEM_64_PREFETCH)}
    FakeIrqs(guest).add(24, counts=(3, 4), message=(0xFEE0_0000, 0x4021))
    if driver:
        made.pci.add("0000:00:02.0", 0x111D, 0x8091, 0x068000, driver="ntb_hw_idt", bars=bars)
    _system(name, guest)
    return made


def fill_clocks(keeper: FakeStruct) -> None:
    """Have a ``struct timekeeper`` tell `UPTIME_NS` and `REAL_SEC`."""
    keeper.set(xtime_sec=REAL_SEC, ktime_sec=UPTIME_NS // 10**9)
    keeper["tkr_mono.shift"] = 8
    keeper["tkr_mono.xtime_nsec"] = (UPTIME_NS % 10**9) << 8
    keeper["tkr_mono.base"] = UPTIME_NS // 10**9 * 10**9


def _system(name: str, guest: FakeGuest) -> None:
    guest.types.declare(CLOCKS)
    fill_clocks(guest.variable("tk_core", "struct fake_tk_core").sub("timekeeper"))
    guest.number("saved_command_line", guest.text(f"console=ttyS0 ntbdbg.hostname={name}"))
    guest.number("_totalram_pages", 4000)
    guest.number("vm_zone_stat", 1000)
    guest.number("system_state", RUNNING, "unsigned int")
    guest.number("panic_cpu", -1, "int")
    guest.number("oops_in_progress", 0, "int")
    guest.space.write(guest.symbols["tainted_mask"], OE.to_bytes(8, "little"))
