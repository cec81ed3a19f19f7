# SPDX-License-Identifier: MIT
"""Loaded modules in a fake guest.

modules = FakeModules(guest)                       # mem=True: as since Linux 6.4
ntb = modules.add("ntb", size=0x4000)
modules.add("ntb_hw_idt", size=0xA000, uses=[ntb], taints=1 << 12 | 1 << 13)
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakespace import PAGE

BEFORE_6_4 = """
struct module_layout { void *base; unsigned int size; unsigned int text_size; };
"""
SINCE_6_4 = """
enum mod_mem_type { MOD_TEXT, MOD_DATA, MOD_RODATA, MOD_RO_AFTER_INIT, MOD_INIT_TEXT,
    MOD_INIT_DATA, MOD_INIT_RODATA };
struct module_memory { void *base; unsigned int size; };
"""
MEMORY = {
    False: "struct module_layout core_layout; struct module_layout init_layout;",
    True: "struct module_memory mem[7];",
}
TYPES = """
enum module_state { MODULE_STATE_LIVE, MODULE_STATE_COMING, MODULE_STATE_GOING,
    MODULE_STATE_UNFORMED };
struct module_use { struct list_head source_list, target_list; struct module *source, *target; };
struct mod_kallsyms { void *symtab; unsigned int num_symtab; char *strtab; char *typetab; };
struct module {
    enum module_state state; struct list_head list; char name[56]; int (*init)(void); %(memory)s
    unsigned long taints; struct mod_kallsyms *kallsyms; unsigned int btf_data_size;
    void *btf_data; struct list_head source_list, target_list; void (*exit)(void); atomic_t refcnt;
    struct module_notes_attrs *notes_attrs;
};
struct taint_flag { char c_true; char c_false; bool module; };
"""
TAINTS = "PFSRMBUDAWCIOELKXTN"


class FakeModules:
    """The modules of `guest`, the one loaded last first.

    :param mem: whether `struct module` has `mem[]`, as since Linux 6.4, or two `module_layout`s
    """

    def __init__(self, guest: FakeGuest, *, mem: bool = False) -> None:
        self.guest, self.mem = guest, mem
        guest.types.declare((SINCE_6_4 if mem else BEFORE_6_4) + TYPES % {"memory": MEMORY[mem]})
        self.head = guest.variable("modules", "struct list_head")
        self.head.empty_list("")
        guest.data("taint_flags", b"".join(bytes([ord(c), 32, 1]) for c in TAINTS))
        guest.number("tainted_mask", 0)

    def add(
        self,
        name: str,
        *,
        size: int = 2 * PAGE,
        uses: Sequence[FakeStruct] = (),
        taints: int = 0,
        state: int = 0,
        references: int = 0,
        permanent: bool = False,
    ) -> FakeStruct:
        """A module of `size` bytes that uses other ones; `references` are from elsewhere."""
        base = self.guest.vmalloc(size, modules=True)
        module = self.guest.new("struct module", name=name.encode(), state=state, taints=taints)
        module.set(init=base, exit=0 if permanent else base, refcnt=0)
        module["refcnt.counter"] = 1 + references
        for member in ("source_list", "target_list"):
            module.empty_list(member)
        self._place(module, base, size)
        for other in uses:
            self._use(module, other)
        self._link(module)
        return module

    def _place(self, module: FakeStruct, base: int, size: int) -> None:
        if self.mem:
            text = size // 2 // PAGE * PAGE or size
            parts = [(base, text), (base + text, size - text)]
            for index, (start, length) in enumerate(parts):
                module[f"mem[{index}].base"], module[f"mem[{index}].size"] = start, length
        else:
            module["core_layout.base"], module["core_layout.size"] = base, size

    def _use(self, user: FakeStruct, used: FakeStruct) -> None:
        use = self.guest.new("struct module_use", source=user, target=used)
        used.append("source_list", use, "source_list")
        user.append("target_list", use, "target_list")
        used["refcnt.counter"] = used["refcnt.counter"] + 1

    def _link(self, module: FakeStruct) -> None:
        """``list_add``: the newest is the first."""
        first = self.head["next"]
        module["list.next"], module["list.prev"] = first, self.head.address
        self.guest.space.write(first + 8, module.at("list").to_bytes(8, "little"))
        self.head["next"] = module.at("list")
