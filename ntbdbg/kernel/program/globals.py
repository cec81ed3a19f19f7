# SPDX-License-Identifier: MIT
"""C types of well-known global variables.

BTF tells types of per-CPU variables only, unless pahole's ``global_var`` was on (Debian's kernels
up to 7.3.4 are without). Debug information and BTF are asked first; this table is for the rest, and
names what drgn's helpers and ntbdbg itself look at. A variable is left out by itself where its
symbol or its type does not exist, so entries for different kernels stand side by side; one whose
type changed while its name stayed (file_systems) has no place here.

Compared with DWARF of Debian's 6.1.192 and 7.3.4 (packages linux-image-…-amd64-dbg): what is in
them agrees, but for qualifiers and the lengths of arrays. In neither are those that assembly or the
linker makes (init_top_pgt, swapper_pg_dir, phys_base, jiffies).
"""

from __future__ import annotations

GLOBAL_TYPES: dict[str, str] = {
    # tasks and processors
    "init_files": "struct files_struct",
    "cap_last_cap": "int",
    "idt_table": "gate_desc []",
    "sys_call_table": "const sys_call_ptr_t []",
    "init_task": "struct task_struct",
    "init_pid_ns": "struct pid_namespace",
    "init_mm": "struct mm_struct",
    "init_cred": "struct cred",
    "init_css_set": "struct css_set",
    "cgrp_dfl_root": "struct cgroup_root",
    "pid_max": "int",
    "nr_threads": "int",
    "nr_cpu_ids": "unsigned int",
    "total_forks": "unsigned long",
    "boot_cpu_data": "struct cpuinfo_x86",
    "__cpu_possible_mask": "struct cpumask",
    "__cpu_online_mask": "struct cpumask",
    "__cpu_present_mask": "struct cpumask",
    "__cpu_active_mask": "struct cpumask",
    "__per_cpu_offset": "unsigned long []",
    # names and state of the system
    "init_uts_ns": "struct uts_namespace",
    "init_user_ns": "struct user_namespace",
    "init_ipc_ns": "struct ipc_namespace",
    "init_nsproxy": "struct nsproxy",
    "linux_banner": "const char []",
    "saved_command_line": "char *",
    "system_state": "enum system_states",
    "tainted_mask": "unsigned long",
    "panic_cpu": "atomic_t",
    "panic_timeout": "int",
    "panic_on_oops": "int",
    "oops_in_progress": "int",
    "crash_kexec_post_notifiers": "bool",
    "boot_params": "struct boot_params",
    # time
    "jiffies_64": "u64",
    "jiffies": "volatile unsigned long",
    "shadow_timekeeper": "struct timekeeper",
    "tk_core": "struct tk_data",
    "timekeeper_data": "struct tk_data []",
    # messages
    "prb": "struct printk_ringbuffer *",
    "printk_rb_static": "struct printk_ringbuffer",
    "clear_seq": "struct latched_seq",
    "console_drivers": "struct console *",
    "console_list": "struct hlist_head",
    # memory
    "page_offset_base": "unsigned long",
    "vmalloc_base": "unsigned long",
    "vmemmap_base": "unsigned long",
    "phys_base": "unsigned long",
    "physical_mask": "phys_addr_t",
    "high_memory": "void *",
    "max_pfn": "unsigned long",
    "max_low_pfn": "unsigned long",
    "_totalram_pages": "atomic_long_t",
    "vm_node_stat": "atomic_long_t []",
    "vm_zone_stat": "atomic_long_t []",
    "node_data": "struct pglist_data *[]",
    "mem_section": "struct mem_section **",
    "vmap_area_list": "struct list_head",
    "vmap_area_root": "struct rb_root",
    "slab_caches": "struct list_head",
    "swapper_pg_dir": "pgd_t [512]",
    "init_top_pgt": "pgd_t [512]",
    "iomem_resource": "struct resource",
    "ioport_resource": "struct resource",
    "e820_table": "struct e820_table *",
    "e820_table_firmware": "struct e820_table *",
    "e820_table_kexec": "struct e820_table *",
    "pgdir_shift": "unsigned int",
    "ptrs_per_p4d": "unsigned int",
    # modules
    "modules": "struct list_head",
    "btf_modules": "struct list_head",
    "mod_tree": "struct mod_tree_root",
    "module_kset": "struct kset *",
    "taint_flags": "const struct taint_flag []",
    "modules_disabled": "int",
    # devices
    "tty_drivers": "struct list_head",
    "keyboard_notifier_list": "struct atomic_notifier_head",
    "pci_root_buses": "struct list_head",
    "pci_bus_type": "const struct bus_type",
    "platform_bus_type": "const struct bus_type",
    "platform_bus": "struct device",
    "virtio_bus": "const struct bus_type",
    "bus_kset": "struct kset *",
    "class_kset": "struct kset *",
    "devices_kset": "struct kset *",
    "irq_desc_tree": "struct xarray",
    "sparse_irqs": "struct maple_tree",
    "block_class": "const struct class",
    "block_depr": "struct kobject *",
    # files and network
    "super_blocks": "struct list_head",
    "init_net": "struct net",
    "socket_file_ops": "const struct file_operations",
    "sockfs_dentry_operations": "const struct dentry_operations",
    "net_namespace_list": "struct list_head",
    # work and events
    "workqueues": "struct list_head",
    "rcu_state": "struct rcu_state",
    "prog_idr": "struct idr",
    "map_idr": "struct idr",
    "btf_idr": "struct idr",
    "link_idr": "struct idr",
    "ftrace_trace_arrays": "struct list_head",
    "ftrace_mod_maps": "struct list_head",
    "bpf_kallsyms": "struct list_head",
}

MODULE_GLOBAL_TYPES: dict[tuple[str, str], str] = {
    ("ntb", "ntb_bus"): "struct bus_type",
    ("ntb_hw_idt", "idt_pci_driver"): "struct pci_driver",
    ("ntb_hw_idt", "partdata_tbl"): "struct idt_ntb_part [8]",
    ("ntb_hw_idt", "portdata_tbl"): "struct idt_ntb_regs [24]",
    ("ntb_hw_idt", "ntdata_tbl"): "struct idt_ntb_regs",
    ("ntb_hw_idt", "dbgfs_topdir"): "struct dentry *",
    ("ntb_pingpong", "pp_client"): "struct ntb_client",
    ("ntb_tool", "tool_client"): "struct ntb_client",
    ("ntb_perf", "perf_client"): "struct ntb_client",
}
"""(module, variable) to C type."""
