# SPDX-License-Identifier: MIT
"""A port that comes and goes while its machine runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.device import port as nt
from tests.device.deadline import eventually
from tests.device.firmware import READ, looping_rom
from tests.device.port import Port
from tests.device.qtest import Qemu, base_argv
from tests.device.soak import REPETITIONS

if TYPE_CHECKING:
    from tests.device.conftest import Bench


def descriptors(qemu: Qemu) -> int:
    return len(list(Path(f"/proc/{qemu.process.pid}/fd").iterdir()))


def maps(qemu: Qemu, path: Path) -> bool:
    let_go_of_memory_maps(qemu)
    return str(path) in Path(f"/proc/{qemu.process.pid}/maps").read_text()


def let_go_of_memory_maps(qemu: Qemu) -> None:
    """A processor that runs a tight loop holds on to those of old."""
    qemu.qmp("stop")
    qemu.qmp("cont")


def plug(bench: Bench, qemu: Qemu, **properties: object) -> None:
    address = {"type": "unix", "data": {"path": str(bench.switch.socket)}}
    qemu.qmp(
        "chardev-add",
        id="hot",
        backend={"type": "socket", "data": {"addr": address, "server": False}},
    )
    qemu.qmp(
        "device_add",
        driver="idt-ntb-ivshmem",
        id="port",
        bus="root",
        chardev="hot",
        number=1,
        **{"mem-path": str(bench.mem_path)},
        **{name.replace("_", "-"): value for name, value in properties.items()},
    )


def unplug(qemu: Qemu) -> None:
    qemu.qmp("device_del", id="port")
    unplugged(qemu)


def unplugged(qemu: Qemu) -> None:
    """Wait until the device is gone and its chardev with it."""
    devices = "/machine/peripheral"

    def gone() -> bool:
        children = qemu.qmp("qom-list", path=devices)
        assert isinstance(children, list)
        return all(child["name"] != "port" for child in children)

    eventually(gone, "the device to be gone")

    def released() -> bool:
        """The chardev is busy until the last reference to the device is dropped."""
        let_go_of_memory_maps(qemu)
        try:
            qemu.qmp("chardev-remove", id="hot")
        except AssertionError:
            return False
        return True

    eventually(released, "the device to be freed")


def test_plug_and_unplug(bench: Bench) -> None:
    a = bench.start(0)
    a.link_enable()
    argv = base_argv(bench.build, bench.ram(1), 64 << 20)
    # native hot-plug: an empty slot without power needs no answer from a guest
    argv += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    argv += ["-device", "pcie-root-port,id=root,addr=3"]
    qemu = Qemu(argv, bench.folder, "hot")
    bench.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
    files = 0
    for turn in range(REPETITIONS + 2):
        plug(bench, qemu)
        eventually(lambda: a.gasa_read(nt.SWPORTSTS + 0x40) & 0x10, "the port to appear")
        assert bench.page.get(1, "state") == 2
        a.write(nt.OUTDBELLSET, 1 << turn % 32)
        eventually(lambda t=turn: a.page.get(1, "indbellsts") == 1 << t % 32, "the doorbell")  # type: ignore[misc]
        unplug(qemu)
        eventually(lambda: not a.gasa_read(nt.SWPORTSTS + 0x40) & 0x10, "the port to vanish")
        assert bench.page.get(1, "state") == 0
        if turn:
            assert descriptors(qemu) == files
        files = descriptors(qemu)
    qemu.stop()
    assert a.qemu.alive()


def test_plug_without_a_server_is_refused(bench: Bench) -> None:
    """Waiting for one, as at the start of QEMU, would stop a guest that runs."""
    argv = base_argv(bench.build, bench.ram(1), 64 << 20)
    argv += ["-device", "pcie-root-port,id=root,addr=3"]
    qemu = Qemu(argv, bench.folder, "hot")
    bench.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
    address = {"type": "unix", "data": {"path": str(bench.folder / "nobody")}}
    socket = {"addr": address, "server": False, "reconnect-ms": 60_000}
    qemu.qmp("chardev-add", id="hot", backend={"type": "socket", "data": socket})
    with pytest.raises(AssertionError, match="not connected yet"):
        qemu.qmp("device_add", driver="idt-ntb-ivshmem", id="port", bus="root", chardev="hot")
    qemu.stop()


ROOT_BUS, CHILD_BUS = 0, 1
SLTCTL = 0x18
POWER_ON, POWER_CUT, POWER_OFF = 0x0100, 0x0500, 0x0700  # the indicator lit, lit, out
POLLED_BAR0 = 0xFE000000
POLLED_BAR2 = POLLED_BAR0 + 0x10000
TARGET = 0x1000000


def set_up_root_port(qemu: Qemu) -> int:
    """Open the bus behind it; return the address of its slot control register."""
    qemu.outl(0xCF8, 0x80000060)
    qemu.outl(0xCFC, nt.ECAM | 1)
    root = nt.ECAM + (3 << 15)
    qemu.write(root + 0x18, CHILD_BUS << 16 | CHILD_BUS << 8 | ROOT_BUS)
    qemu.write(root + 0x20, POLLED_BAR0 | POLLED_BAR0 >> 16)
    qemu.write(root + 4, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2)
    return pcie_capability(qemu, root) + SLTCTL


def plug_with_power(bench: Bench, qemu: Qemu, slot_control: int, **properties: object) -> None:
    qemu.write(slot_control, POWER_ON, 2)
    plug(bench, qemu, **properties)
    eventually(lambda: bench.page.get(1, "state") == 2, "the port to attach")
    device = nt.ECAM + (CHILD_BUS << 20)
    qemu.write(device + 0x10, POLLED_BAR0)
    qemu.write(device + 4, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2)
    assert qemu.read(POLLED_BAR0) == 0x8091111D


def pcie_capability(qemu: Qemu, config: int) -> int:
    at = qemu.read(config + 0x34, 1)
    while qemu.read(config + at, 1) != 0x10:
        at = qemu.read(config + at + 1, 1)
    return config + at


def polling_qemu(bench: Bench, address: int) -> Qemu:
    """A machine whose processor reads `address` for ever; its hot-plug slot is empty."""
    firmware = bench.folder / "firmware"
    firmware.write_bytes(looping_rom(address, READ))
    argv = base_argv(bench.build, bench.ram(1), 64 << 20)
    argv = [word.replace("accel=qtest", "accel=tcg") for word in argv]
    argv += ["-bios", str(firmware)]
    argv += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    argv += ["-device", "pcie-root-port,id=root,addr=3"]
    qemu = Qemu(argv, bench.folder, "polling")
    bench.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
    return qemu


def test_unplug_while_a_processor_reads_registers(bench: Bench) -> None:
    """An access that was on its way when the guest took the slot's power away."""
    qemu = polling_qemu(bench, POLLED_BAR0 + nt.NTINTSTS)
    slot_control = set_up_root_port(qemu)
    for _ in range(10):
        plug_with_power(bench, qemu, slot_control)
        qemu.qmp("device_del", id="port")
        qemu.write(slot_control, POWER_OFF, 2)
        unplugged(qemu)
        assert qemu.alive(), qemu.log_text()
    qemu.stop()


@pytest.mark.parametrize(("skew", "opened"), [(0, 1), (4, 1), (1 << 40, 0)])
def test_unplug_while_a_processor_reads_a_window(bench: Bench, skew: int, opened: int) -> None:
    """Mapped, copied, or closed: the peer's RAM file goes away with the port."""
    shape = {"bar2_size": 64 << 10, "bar4_mode": "off"}
    a = bench.start(0, **shape)
    a.link_enable()
    qemu = polling_qemu(bench, POLLED_BAR2)
    slot_control = set_up_root_port(qemu)
    for _ in range(5):
        plug_with_power(bench, qemu, slot_control, **shape)
        b = Port(qemu, bench.page, 1, slot=32)
        b.bar0 = POLLED_BAR0
        b.move_window(POLLED_BAR2)
        b.link_enable()
        eventually(lambda b=b: a.link_up(b) and b.link_up(a), "the link")  # type: ignore[misc]
        b.set_window(TARGET + skew, 64 << 10)
        a.qemu.write(TARGET + skew % (1 << 40), 0x600D, 8)
        assert (b.stat("mw_open"), b.stat("mw_trapped")) == (opened, opened and bool(skew))
        assert qemu.read(POLLED_BAR2, 8) == (0x600D if opened else 2**64 - 1)
        qemu.qmp("device_del", id="port")
        qemu.write(slot_control, POWER_OFF, 2)
        unplugged(qemu)
        eventually(lambda: not maps(qemu, bench.ram(0)), "the peer's RAM to be unmapped")
        assert qemu.alive(), qemu.log_text()
    qemu.stop()


@pytest.mark.parametrize("register", [nt.NTGSIGNAL, nt.NTCTL])
@pytest.mark.parametrize("decoding", [True, False])
def test_interrupt_that_unplugs_its_own_port(bench: Bench, register: int, decoding: bool) -> None:
    """The guest aims its MSI at the slot's power switch."""
    a = bench.start(0)
    argv = base_argv(bench.build, bench.ram(1), 64 << 20)
    argv += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    argv += ["-device", "pcie-root-port,id=root,addr=3"]
    qemu = Qemu(argv, bench.folder, "suicide")
    bench.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
    slot_control = set_up_root_port(qemu)
    plug_with_power(bench, qemu, slot_control)
    b = Port(qemu, bench.page, 1, slot=32)
    b.bar0 = POLLED_BAR0
    for port in (a, b):
        port.init_link_events()
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    b.msi_address = slot_control
    b.gasa_write(nt.SEGSIGSTS, nt.ALL_ONES)
    b.write(nt.NTINTSTS, nt.ALL_ONES)
    b.cfg_write(nt.MSI_CAP + 4, slot_control)
    b.cfg_write(nt.MSI_CAP + 12, POWER_OFF, 2)
    b.cfg_write(nt.MSI_CAP + 2, 1, 2)
    if not decoding:
        b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MASTER, 2)
        a.write(nt.OUTDBELLSET, 1)
    else:
        b.write(register, register == nt.NTGSIGNAL)
        a.write(nt.OUTDBELLSET, 1)
    unplugged(qemu)
    qemu.stop()


def test_slot_that_loses_its_power(bench: Bench) -> None:
    """PCI resets the function after the device's own reset, and tells nobody."""
    argv = base_argv(bench.build, bench.ram(1), 64 << 20)
    argv += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    argv += ["-device", "pcie-root-port,id=root,addr=3"]
    qemu = Qemu(argv, bench.folder, "power")
    bench.stack.callback(lambda: qemu.kill() if qemu.alive() else None)
    slot_control = set_up_root_port(qemu)
    plug_with_power(bench, qemu, slot_control)
    assert bench.page.get(1, "pcicmd") == nt.COMMAND_MEMORY | nt.COMMAND_MASTER
    assert bench.page.get_all(1, "bar_addr")[0] == POLLED_BAR0
    qemu.write(slot_control, POWER_CUT, 2)
    assert bench.page.get(1, "pcicmd") == 0
    assert bench.page.get_all(1, "bar_addr")[0] == nt.ALL_ONES << 32 | nt.ALL_ONES
    qemu.write(slot_control, POWER_ON, 2)
    assert bench.page.get(1, "pcicmd") == 0
    qemu.stop()
