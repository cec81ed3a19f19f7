# SPDX-License-Identifier: MIT
"""With initcall_blacklist=pp_init ntb_tool binds: doorbells, masks, messages and windows.

What ntbdbg shows is compared with what the guests' own debugfs says.
"""

from __future__ import annotations

import re

import pytest

from ntbdbg.kernel.btf.layout import Layouts
from ntbdbg.lab.lab import Lab as TargetLab
from run.demo import tool
from tests.vm.interrupts import (
    MSI_ADDRESS,
    MSI_CONTROL,
    MSI_DATA,
    config,
    counted,
    obstacle,
    set_config,
)

pytestmark = pytest.mark.vm

BOTH_WAYS = [(1, 2), (2, 1)]
PORT = {1: 0, 2: 2}
PARTITION = {1: 0, 2: 1}
SIZE = 0x10000


@pytest.fixture(scope="module")
def lab(tool_lab):
    return tool_lab


def read(lab, number: int, name: str) -> str:
    return lab.sh(number, f"cat {tool.DIRECTORY}/{name}")


def write(lab, number: int, name: str, value: str) -> None:
    lab.sh(number, f"cd {tool.DIRECTORY} && echo '{value}' > {name}")


def registers(lab, number: int) -> dict[str, int]:
    """NT registers of a guest as ntbdbg decodes them, by name."""
    report = lab.json("regs", f"qemu{number}", "--all")
    return {register["name"]: register["value"] for register in report["registers"]}


@pytest.fixture(autouse=True)
def quiet_doorbells(lab):
    yield
    clear = "echo 'c 0xffffffff' | tee db db_mask; echo 'c 0xf000f' > msg_sts"
    for number in (1, 2):
        lab.sh(number, f"cd {tool.DIRECTORY} && {clear}")


def test_tool_is_the_client(lab):
    for number in (1, 2):
        assert read(lab, number, "port") == str(PORT[number])
        assert read(lab, number, "peer0/port") == str(PORT[3 - number])
        assert read(lab, number, "db_valid_mask") == "0xffffffff"


@pytest.mark.parametrize(("sender", "receiver"), BOTH_WAYS)
def test_doorbell(lab, sender, receiver):
    write(lab, receiver, "db_mask", "s 0xffffffff")
    write(lab, sender, "peer_db", "s 0xdeadbeef")
    assert read(lab, receiver, "db") == "0xdeadbeef"
    assert registers(lab, receiver)["INDBELLSTS"] == 0xDEADBEEF
    assert read(lab, sender, "db") == "0x0", "doorbells do not come back to their sender"
    write(lab, sender, "peer_db", "s 0x10")
    assert read(lab, receiver, "db") == "0xdeadbeff", "bits accumulate"
    write(lab, receiver, "db", "c 0xdead0000")
    assert read(lab, receiver, "db") == "0xbeff"
    assert registers(lab, receiver)["INDBELLSTS"] == 0xBEFF


@pytest.mark.parametrize(("sender", "receiver"), BOTH_WAYS)
def test_mask(lab, sender, receiver):
    """A masked doorbell is pending without an interrupt; unmasking delivers it."""
    write(lab, receiver, "db_mask", "s 0xff")
    assert read(lab, receiver, "db_mask") == "0xff"
    assert registers(lab, receiver)["INDBELLMSK"] == 0xFF
    before = counted(lab, receiver).count
    write(lab, sender, "peer_db", "s 0x1")
    assert read(lab, receiver, "db") == "0x1"
    assert counted(lab, receiver).count == before
    write(lab, receiver, "db_mask", "c 0xff")
    assert read(lab, receiver, "db_mask") == "0x0"
    lab.until(lambda: counted(lab, receiver).count == before + 1, timeout=10)


def test_an_interrupt_that_cannot_arrive(lab):
    """MSI is switched off, then aimed elsewhere, behind the kernel's back."""
    assert obstacle(lab, 1) == ""
    control, data = config(lab, 1, MSI_CONTROL, 2), config(lab, 1, MSI_DATA, 2)
    kernels = f"the kernel set address {config(lab, 1, MSI_ADDRESS, 8):#x} data {data:#x}"
    number, count = counted(lab, 1)
    sent = raised(lab, 1)
    set_config(lab, 1, MSI_CONTROL, control & ~1)
    try:
        write(lab, 2, "peer_db", "s 0x40")
        assert read(lab, 1, "db") == "0x40"
        assert obstacle(lab, 1) == (
            f"interrupt {number} of its NTB cannot arrive: MSI is disabled (MSI control "
            f"{control & ~1:#06x}), {kernels}; "
            f"the device has sent {sent}, the guest counted {count}"
        )
        assert counted(lab, 1) == (number, count)
        write(lab, 1, "db", "c 0x40")
    finally:
        set_config(lab, 1, MSI_CONTROL, control)
    set_config(lab, 1, MSI_DATA, data ^ 1)
    try:
        assert f"sends it to address {config(lab, 1, MSI_ADDRESS, 8):#x} data {data ^ 1:#x}, " in (
            obstacle(lab, 1)
        )
        assert kernels in obstacle(lab, 1)
    finally:
        set_config(lab, 1, MSI_DATA, data)
    assert obstacle(lab, 1) == ""
    write(lab, 2, "peer_db", "s 0x40")
    lab.until(lambda: counted(lab, 1).count == count + 1, timeout=10)
    assert raised(lab, 1) == sent + 1


def raised(lab, number: int) -> int:
    return lab.json("regs", f"qemu{number}", "--all")["statistics"]["msi"]


def test_peer_mask_is_not_supported_by_this_driver(lab):
    """The mainline IDT driver has no peer_db_set_mask: EINVAL, whatever the device does."""
    for number in (1, 2):
        done = lab.ssh(number, f"cd {tool.DIRECTORY} && echo 's 1' > peer_db_mask")
        assert done.returncode != 0
        assert "Invalid argument" in done.stderr + done.stdout


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(("sender", "receiver"), BOTH_WAYS)
def test_message(lab, sender, receiver, index):
    value = 0xC0DE0000 + index * 0x111 + sender
    write(lab, sender, f"peer0/msg{index}", f"{value:#x}")
    assert read(lab, receiver, f"msg{index}") == f"{value:#010x}<-0"
    assert int(read(lab, receiver, "msg_sts"), 0) & (1 << (16 + index))
    shown = registers(lab, receiver)
    assert shown[f"INMSG{index}"] == value
    assert shown[f"INMSGSRC{index}"] & 7 == PARTITION[sender]
    assert shown["MSGSTS"] & (1 << (16 + index))
    write(lab, receiver, "msg_sts", "c 0xf0000")
    assert int(read(lab, receiver, "msg_sts"), 0) & 0xF0000 == 0
    assert registers(lab, receiver)["MSGSTS"] & 0xF0000 == 0


def test_a_full_message_register_refuses_the_next(lab):
    write(lab, 1, "peer0/msg2", "0x1111")
    lab.ssh(1, f"cd {tool.DIRECTORY} && echo 0x2222 > peer0/msg2")
    assert read(lab, 2, "msg2") == "0x00001111<-0"
    assert int(read(lab, 1, "msg_sts"), 0) & (1 << 2), "OUTMSGSTS says that sending failed"


@pytest.mark.parametrize(("writer", "reader"), BOTH_WAYS)
def test_window(lab, writer, reader):
    """Bytes written through the BAR are the reader's own, in ntb_tool's file and in its RAM."""
    address = tool.dma_address(lab.sh(reader, tool.make_buffer(SIZE)))
    lab.sh(writer, tool.point_window(address, SIZE))
    text = f"from guest {writer} to guest {reader}"
    lab.sh(writer, tool.write_window(text))

    assert lab.sh(reader, tool.read_buffer(len(text))) == text
    raw = lab.ntbdbg_bytes("dump", f"qemu{reader}", f"{address:#x}", "64", "--format", "raw")
    assert raw[: len(text)].decode() == text
    through = lab.ntbdbg_bytes("dump", f"qemu{writer}", "mw0", "64", "--format", "raw")
    assert through == raw


@pytest.mark.parametrize(("writer", "reader"), BOTH_WAYS)
def test_window_carries_every_byte(lab, writer, reader):
    """64 KiB of noise written in one guest, compared by checksum in the other and by ntbdbg."""
    address = tool.dma_address(lab.sh(reader, tool.make_buffer(SIZE)))
    lab.sh(writer, tool.point_window(address, SIZE))
    lab.sh(writer, f"dd if=/dev/urandom of=/tmp/noise bs={SIZE} count=1 2>/dev/null")
    lab.sh(writer, f"dd if=/tmp/noise of=$(echo {tool.PEER}/peer_mw0) bs={SIZE} 2>/dev/null")
    sent = lab.sh(writer, "sha256sum < /tmp/noise").split()[0]
    back = lab.sh(writer, f"head -c {SIZE} {tool.PEER}/peer_mw0 | sha256sum").split()[0]
    received = lab.sh(reader, f"head -c {SIZE} {tool.PEER}/mw0 | sha256sum").split()[0]
    assert sent == back == received
    assert lab.sha256("dump", f"qemu{reader}", f"{address:#x}", f"{SIZE:#x}") == sent


def test_windows_tells_what_the_driver_says(lab):
    for writer, reader in BOTH_WAYS:
        address = tool.dma_address(lab.sh(reader, tool.make_buffer(SIZE)))
        lab.sh(writer, tool.point_window(address, SIZE))
        driver = lab.sh(writer, f"cat {tool.PEER}/peer_mw_trans0")
        bar = int(re.search(r"Phys Address\s+(0x\w+)", driver).group(1), 16)
        aperture = int(re.search(r"Mapping Size\s+(0x\w+)", driver).group(1), 16)
        shown = window(lab, writer)
        assert shown["open"]
        assert shown["device_agrees"]
        assert shown["base"] == bar
        assert shown["aperture"] == aperture
        assert shown["translation"] == address
        assert (shown["size"], shown["limit"] - bar) == (SIZE, SIZE)
        assert shown["target"] == f"qemu{reader}"
        assert shown["pieces"] == [piece(SIZE, address)]


def piece(size: int, address: int) -> dict[str, object]:
    return {"offset": 0, "size": size, "gpa": address, "gap": None, "trapped": False}


@pytest.mark.parametrize("number", [1, 12])
def test_windows_of_the_lookup_table(lab, number):
    """The first and the last one, both ways; such a window is translated as a whole or not."""
    whole = 2 << 20
    for writer, reader in BOTH_WAYS:
        address = tool.dma_address(lab.sh(reader, tool.make_buffer(whole, number)))
        lab.sh(writer, tool.point_window(address, whole, number))
        text = f"by entry {number - 1} from qemu{writer}"
        lab.sh(writer, tool.write_window(text, number))
        assert lab.sh(reader, tool.read_buffer(len(text), number)) == text
        seen = lab.ntbdbg("dump", f"qemu{writer}", f"mw{number}", str(len(text)), "--format", "raw")
        assert seen == text
        driver = lab.sh(writer, f"cat {tool.PEER}/peer_mw_trans{number}")
        shown = window(lab, writer, number)
        assert (shown["type"], shown["entry"], shown["limit"]) == ("LUT12", number - 1, None)
        assert shown["base"] == int(re.search(r"Phys Address\s+(0x\w+)", driver).group(1), 16)
        assert (shown["open"], shown["device_agrees"]) == (True, True)
        assert shown["pieces"] == [piece(whole, address)]
        lab.sh(writer, f"cd {tool.PEER} && echo 0:0 > peer_mw_trans{number}")
        shown = window(lab, writer, number)
        assert [cause["reason"] for cause in shown["closed"]] == ["lut_invalid"]
        assert shown["device_agrees"]
        lab.sh(reader, f"cd {tool.PEER} && echo 0 > mw_trans{number}")


def test_a_cleared_translation_closes_the_window(lab):
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    assert window(lab, 1)["open"]
    lab.sh(1, f"cd {tool.PEER} && echo 0:0 > peer_mw_trans0")
    shown = window(lab, 1)
    assert not shown["open"]
    assert shown["device_agrees"]
    assert {cause["reason"] for cause in shown["closed"]} == {"limit_zero"}


def test_a_disabled_link_closes_both_windows(lab):
    for writer, reader in BOTH_WAYS:
        address = tool.dma_address(lab.sh(reader, tool.make_buffer(SIZE)))
        lab.sh(writer, tool.point_window(address, SIZE))
    write(lab, 2, "link", "N")
    try:
        lab.until(lambda: lab.sh(1, tool.LINK_STATE) == "N", timeout=10)
        for number in (1, 2):
            assert not window(lab, number)["open"], number
            assert window(lab, number)["device_agrees"], number
        read_back = lab.sh(1, f"head -c 4 {tool.PEER}/peer_mw0 | od -An -tx1")
        assert read_back.split() == ["ff"] * 4, "a closed window reads all-ones"
        lab.sh(1, tool.write_window("lost"))
    finally:
        write(lab, 2, "link", "Y")
    lab.until(lambda: lab.sh(1, tool.LINK_STATE) == "Y", timeout=10)
    assert lab.sh(2, tool.read_buffer(4)) != "lost", "a closed window drops writes"
    assert window(lab, 1)["open"]


def window(lab, number: int, index: int = 0) -> dict:
    windows = lab.json("windows", f"qemu{number}")["windows"]
    assert [shown["index"] for shown in windows] == list(range(13)), "one direct, twelve by LUT"
    return windows[index]


def given_back(view: dict) -> list[str]:
    """What is said of windows that reach memory which their owner has given back."""
    return [one["text"] for one in view["verdicts"] if "given back" in one["text"]]


def test_a_window_that_reaches_memory_given_back(lab):
    """VM 2 gives its buffer back while VM 1's window still leads there."""
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    assert given_back(lab.json("postmortem")) == []
    lab.sh(2, tool.FREE_BUFFER)
    try:
        told = given_back(lab.json("postmortem"))
        assert given_back(lab.json_lines("ntb", "qemu2")[0])
    finally:
        lab.sh(1, tool.CLEAR_WINDOW)
    assert told, "nothing is said of a window that reaches memory given back"
    # Whoever runs in the guest may have taken some of it by now.
    taken = "of a slab cache|a page table|of a process|of a file"
    for text in told:
        found = re.fullmatch(
            r"qemu1:mw0 still reaches (\d+) KiB that qemu2 has given back: "
            rf"0x(\w+) is (?:free|(?:{taken}).*)",
            text,
        )
        assert found, text
        assert int(found[1]) << 10 <= SIZE
        assert address <= int(found[2], 16) < address + SIZE
    assert given_back(lab.json("postmortem")) == []


def test_the_drivers_view_of_windows_and_what_is_wrong_with_it(lab):
    """Set up by ntb_tool: both sides agree. Then the driver's memory is changed behind it."""
    addresses = {n: tool.dma_address(lab.sh(n, tool.make_buffer(SIZE))) for n in (1, 2)}
    for writer, reader in BOTH_WAYS:
        lab.sh(writer, tool.point_window(addresses[reader], SIZE))
    for (writer, reader), found in zip(BOTH_WAYS, lab.json_lines("ntb"), strict=True):
        assert found["disagreements"] == []
        client = found["driver"]["client"]
        theirs = {"index": 0, "peer": 0, "address": addresses[reader], "size": SIZE}
        ours = {"index": 0, "peer": 0, "address": addresses[writer], "size": SIZE}
        assert theirs in client["outbound"]
        assert ours in client["inbound"]
    (view,) = lab.json_lines("ntb", "qemu1")
    with TargetLab.open(lab.folder) as opened:
        types = Layouts(opened.guest("qemu1").kernel.module_btf("ntb_hw_idt"))
        offset = types["idt_ntb_dev"].find("part").offset
    lab.ntbdbg("patch", "qemu1", f"{view['driver']['address'] + offset:#x}", "u8:5")
    try:
        (view,) = lab.json_lines("ntb", "qemu1", expect=1)
    finally:
        lab.ntbdbg("undo")
    (one,) = view["disagreements"]
    assert (one["kind"], one["driver"], one["device"]) == ("partition", "5", "0")
    assert lab.json_lines("ntb", "qemu1")[0]["disagreements"] == []


def test_registers_tell_what_debugfs_says(lab):
    """ntb_hw_idt's own info file against `regs`, on both sides."""
    write(lab, 1, "peer0/msg1", "0xfeedface")
    write(lab, 2, "db_mask", "s 0xffff0000")
    write(lab, 1, "peer_db", "s 0x40000000")
    for number in (1, 2):
        info = lab.sh(number, "cat /sys/kernel/debug/ntb_hw_idt/info*")
        shown = registers(lab, number)
        assert f"Local Port {PORT[number]}, Partition {PARTITION[number]}" in info
        assert f"Port {PORT[3 - number]}, Partition {PARTITION[3 - number]}" in info
        assert hexadecimal(info, "Local  Doorbell state") == shown["INDBELLSTS"]
        assert hexadecimal(info, "Local  Doorbell mask") == shown["INDBELLMSK"]
        assert hexadecimal(info, "Message event status") == shown["MSGSTS"]
        assert hexadecimal(info, "Message event mask") == shown["MSGSTSMSK"]
        assert hexadecimal(info, "NTB link status") != 0
        for index, data in re.findall(r"(\d)\. 0x(\w{8}) from peer", info):
            assert int(data, 16) == shown[f"INMSG{index}"]


def hexadecimal(text: str, label: str) -> int:
    match = re.search(rf"{label}\s*- (0x\w+)", text)
    assert match, (label, text)
    return int(match.group(1), 16)


def test_diff_window_shows_both_directions(lab):
    """What each side sends the other, against the bytes read inside the guests."""
    texts = {1: "one says A", 2: "two says B"}
    for writer, reader in BOTH_WAYS:
        address = tool.dma_address(lab.sh(reader, tool.make_buffer(SIZE)))
        lab.sh(reader, f"head -c {SIZE} /dev/zero > $(echo {tool.PEER}/mw0)")
        lab.sh(writer, tool.point_window(address, SIZE))
        lab.sh(writer, tool.write_window(texts[writer]))
    report = lab.json_lines("diff", "--window", "qemu1:mw0", expect=1)[-1]
    inside = {n: lab.sh(3 - n, f"head -c 10 {tool.PEER}/mw0") for n in (1, 2)}
    assert inside == texts
    differing = [i for i in range(10) if texts[1][i] != texts[2][i]]
    assert (report["compared"], report["different"]) == (SIZE, len(differing))

    lab.sh(2, tool.write_window(texts[1]))
    assert lab.json_lines("diff", "--window", "qemu1:mw0", "qemu2:mw0")[-1]["identical"]


def test_patch_is_seen_inside_and_undone(lab):
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(2, f"printf original > $(echo {tool.PEER}/mw0)")
    lab.ntbdbg("patch", "qemu2", f"{address:#x}", "str:CHANGED!", "--expect", "str:original")
    assert lab.sh(2, tool.read_buffer(8)) == "CHANGED!"
    lab.ntbdbg("undo")
    assert lab.sh(2, tool.read_buffer(8)) == "original"


def test_freeze_stops_both_and_resume_lets_them_go(lab):
    lab.ntbdbg("freeze")
    try:
        assert lab.qmp_status() == {"qemu1": "paused", "qemu2": "paused"}
    finally:
        lab.ntbdbg("resume")
    assert lab.qmp_status() == {"qemu1": "running", "qemu2": "running"}
    assert lab.sh(1, "echo alive") == "alive"


def test_the_drivers_view_of_ntb_perf(lab):
    """It takes the place of ntb_tool. Its own info file against `ntb`, on both sides."""
    for number in (1, 2):
        lab.sh(number, f"{tool.CLEAR_WINDOW}; {tool.FREE_BUFFER}")
    for number in (1, 2):
        lab.sh(number, "rmmod ntb_tool && modprobe ntb_perf")
    try:
        lab.until(lambda: all("[p]" in perf_info(lab, n) for n in (1, 2)), timeout=60)
        # ntb_perf points one window to its peer's buffer and writes through another one.
        views = lab.json_lines("ntb", expect=1)
        for number, view in zip((1, 2), views, strict=True):
            shows_what_ntb_perf_says(view["driver"], perf_info(lab, number))
            assert [one["kind"] for one in view["disagreements"]] == ["other_window"]
    finally:
        for number in (1, 2):
            lab.sh(number, "rmmod ntb_perf && modprobe ntb_tool")
    for number in (1, 2):
        lab.sh(number, tool.LINK_UP)
    lab.until(lambda: all(lab.sh(n, tool.LINK_STATE) == "Y" for n in (1, 2)), timeout=30)


def perf_info(lab, number: int) -> str:
    return lab.sh(number, "cat /sys/kernel/debug/ntb_perf/*/info")


def shows_what_ntb_perf_says(driver: dict, info: str) -> None:
    own, peer = map(int, re.findall(r"Global index (\d+)", info))
    told = dict(re.findall(r"(Out buff phys addr|\w+ buffer (?:size|xlat)) (0x\w+)", info))
    assert driver["client_name"] == "ntb_perf"
    client = driver["client"]
    assert (client["window"], client["busy"]) == (own, "idle" not in info)
    (shown,) = client["peers"]
    assert (shown["index"], shown["window"]) == (0, peer)
    assert shown["link_up"] is ("Link status: up" in info) is True
    assert {
        "Out buff phys addr": shown["out_mapped"],
        "Out buffer size": shown["out_size"],
        "Out buffer xlat": shown["out_address"],
        "In buffer size": shown["in_size"],
        "In buffer xlat": shown["in_address"],
    } == {name: int(value, 16) for name, value in told.items()}
