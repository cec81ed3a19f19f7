# SPDX-License-Identifier: MIT
"""A port that comes and goes while its machine runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.device import port as nt
from tests.device.deadline import eventually
from tests.device.qtest import Qemu, base_argv

if TYPE_CHECKING:
    from tests.device.conftest import Bench


def descriptors(qemu: Qemu) -> int:
    return len(list(Path(f"/proc/{qemu.process.pid}/fd").iterdir()))


def plug(bench: Bench, qemu: Qemu) -> None:
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
    )


def unplug(qemu: Qemu) -> None:
    qemu.qmp("device_del", id="port")
    devices = "/machine/peripheral"

    def gone() -> bool:
        children = qemu.qmp("qom-list", path=devices)
        assert isinstance(children, list)
        return all(child["name"] != "port" for child in children)

    eventually(gone, "the device to be gone")

    def released() -> bool:
        """The chardev is busy until the last reference to the device is dropped."""
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
    for turn in range(5):
        plug(bench, qemu)
        eventually(lambda: a.gasa_read(nt.SWPORTSTS + 0x40) & 0x10, "the port to appear")
        assert bench.page.get(1, "state") == 2
        a.write(nt.OUTDBELLSET, 1 << turn)
        eventually(lambda t=turn: a.page.get(1, "indbellsts") == 1 << t, "the doorbell")  # type: ignore[misc]
        unplug(qemu)
        eventually(lambda: not a.gasa_read(nt.SWPORTSTS + 0x40) & 0x10, "the port to vanish")
        assert bench.page.get(1, "state") == 0
        if turn:
            assert descriptors(qemu) == files
        files = descriptors(qemu)
    qemu.stop()
    assert a.qemu.alive()
