/*
 * IDT NTB port: one NT function of an IDT 89HPES24NT6AG2 PCIe switch
 *
 * Two to six guests, each with one of these, see each other as the ports of one
 * non-transparent bridge. Linux drives it with drivers/ntb/hw/idt. Ports meet
 * in a page that ivshmem-server hands out; windows go straight to the RAM file
 * of the other guest.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msi.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "idt-ntb-gasa.h"
#include "idt-ntb-irq.h"
#include "idt-ntb-lut.h"
#include "idt-ntb-mw.h"
#include "idt-ntb-nt.h"
#include "idt-ntb-port.h"
#include "idt-ntb-temp.h"
#include "ntb-fault.h"
#include "ntb-life.h"
#include "ntb-link.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "ntb-window.h"
#include "pci-ntb.h"
#include "trace.h"

#define MIRROR_NPORTS       2

/*
 * BAR0 and configuration space
 */

static uint32_t reg_read(IDTNTBState *s, uint32_t off, uint16_t requester_id)
{
    uint32_t val;

    if (!s->port.own) {
        return ~0u;             /* unplugged while the access was on its way */
    }
    switch (off) {
    case A_GASAADDR:
        trace_idt_ntb_reg_read(s->port.part, off, "GASAADDR", s->gasaaddr);
        return s->gasaaddr;
    case A_GASADATA:
        val = idt_ntb_gasa_read(s);
        trace_idt_ntb_reg_read(s->port.part, off, "GASADATA", val);
        return val;
    }
    s->reqidcap = requester_id;
    val = idt_ntb_nt_read(s, off);
    s->reqidcap = 0;
    return val;
}

static void reg_write(IDTNTBState *s, uint32_t off, uint32_t val)
{
    if (!s->port.own) {
        return;                 /* as above */
    }
    switch (off) {
    case A_GASAADDR:
        trace_idt_ntb_reg_write(s->port.part, off, "GASAADDR", val);
        s->gasaaddr = val & GASAADDR_MASK;
        break;
    case A_GASADATA:
        trace_idt_ntb_reg_write(s->port.part, off, "GASADATA", val);
        idt_ntb_gasa_write(s, val);
        break;
    default:
        idt_ntb_nt_write(s, off, val);
        break;
    }
}

static MemTxResult bar0_read(void *opaque, hwaddr addr, uint64_t *data,
                             unsigned size, MemTxAttrs attrs)
{
    if (addr & 3) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: unaligned register read at "
                      "0x%" HWADDR_PRIx "\n", addr);
        *data = 0;
        return MEMTX_OK;
    }
    *data = reg_read(opaque, addr, attrs.requester_id);
    return MEMTX_OK;
}

static MemTxResult bar0_write(void *opaque, hwaddr addr, uint64_t data,
                              unsigned size, MemTxAttrs attrs)
{
    if (addr & 3) {
        qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: unaligned register write at "
                      "0x%" HWADDR_PRIx "\n", addr);
        return MEMTX_OK;
    }
    reg_write(opaque, addr, data);
    return MEMTX_OK;
}

static const MemoryRegionOps bar0_ops = {
    .read_with_attrs = bar0_read,
    .write_with_attrs = bar0_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    /* 89HPES24NT6AG2: registers are accessed as whole double words */
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* The proprietary registers answer any size; GASADATA must be read once only */
static uint32_t config_read(PCIDevice *pdev, uint32_t addr, int len)
{
    IDTNTBState *s = IDT_NTB(pdev);
    uint32_t off = addr & ~3u;
    uint64_t val;

    if (addr < IDT_NTB_REGS_START) {
        return pci_default_read_config(pdev, addr, len);
    }
    val = reg_read(s, off, 0);
    if (addr + len > off + 4 && off + 4 < IDT_NTB_CFG_SIZE) {
        val |= (uint64_t)reg_read(s, off + 4, 0) << 32;
    }
    return extract64(val, (addr - off) * 8, len * 8);
}

static void config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    IDTNTBState *s = IDT_NTB(pdev);
    uint32_t cmd = idt_ntb_pcicmd(s);

    if (addr >= IDT_NTB_REGS_START) {
        if (len == 4 && !(addr & 3)) {
            reg_write(s, addr, val);
        } else {
            qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: configuration write of %d "
                          "bytes to register 0x%x ignored\n", len, addr);
        }
        return;
    }
    pci_default_write_config(pdev, addr, val, len);
    if (cmd != idt_ntb_pcicmd(s)) {
        ntb_record(&s->port, NTB_SHM_EV_COMMAND, NTB_SHM_NOBODY, 0,
                   idt_ntb_pcicmd(s), cmd);
        ntb_link_changed(&s->port);
    }
    ntb_window_update(&s->port);    /* a limit is absolute, a BAR may move */
    idt_ntb_irq_record_msi(s);
    idt_ntb_irq_update(s);          /* MSI may have been switched */
    ntb_publish(&s->port);
}

/*
 * Life cycle
 */

static bool check_properties(IDTNTBState *s, Error **errp)
{
    if (!ntb_life_check(&s->port, NTB_PORTS, errp)) {
        return false;
    }
    if (s->mirror_mw && s->port.nports != MIRROR_NPORTS) {
        error_setg(errp, "x-mirror-mw needs a switch of two ports, not %u",
                   s->port.nports);
        return false;
    }
    if (!s->vectors) {
        error_setg(errp, "vectors must be at least 1");
        return false;
    }
    return idt_ntb_mw_setup(s, errp);
}

/* The 89HPES24NT6AG2 has these six NT ports */
static void fill_config(IDTNTBState *s)
{
    static const uint8_t numbers[NTB_PORTS] = { 0, 2, 4, 6, 8, 12 };
    NTBSwitchConfig *cfg = &s->port.cfg;

    cfg->model = IDT_NTB_SHM_MODEL;
    cfg->nports = s->port.nports;
    memcpy(cfg->number, numbers, sizeof(numbers));
    cfg->cfg_flags = (s->db_loopback ? NTB_SHM_CFG_LOOPBACK : 0) |
                     (s->mirror_mw ? NTB_SHM_CFG_MIRROR_MW : 0);
    cfg->flags_from = "db-loopback or x-mirror-mw";
    cfg->bars_from = "barN-mode and barN-size";
}

static bool add_capabilities(IDTNTBState *s, Error **errp)
{
    ERRP_GUARD();
    PCIDevice *pdev = PCI_DEVICE(s);
    int ret;

    if (!pci_ntb_add_capabilities(pdev, ntb_number(&s->port, s->port.part),
                                  errp)) {
        return false;
    }
    ret = msi_init(pdev, IDT_NTB_MSI_CAP, 1, true, false, errp);
    if (ret == -ENOTSUP) {
        error_free(*errp);          /* the board has no MSI: INTx it is */
        *errp = NULL;
    } else if (ret < 0) {
        return false;
    }
    return true;
}

/* Everything may be half done: a failed realize comes here as well */
static void release(IDTNTBState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    ntb_life_exit(&s->port);
    msi_uninit(pdev);
    pci_ntb_remove_capabilities(pdev);
}

static void reset_registers(IDTNTBState *s)
{
    idt_ntb_nt_reset(s);
    idt_ntb_gasa_reset(s);
    idt_ntb_lut_reset(s);
    idt_ntb_temp_reset(s);
}

static void realize(PCIDevice *pdev, Error **errp)
{
    IDTNTBState *s = IDT_NTB(pdev);

    ntb_life_init(&s->port, OBJECT(s), &idt_ntb_port_ops);
    if (!check_properties(s, errp)) {
        return;
    }
    fill_config(s);
    reset_registers(s);
    pci_config_set_interrupt_pin(pdev->config, 1);

    memory_region_init_io(&s->bar0, OBJECT(s), &bar0_ops, s, "idt-ntb-regs",
                          IDT_NTB_CFG_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->bar0);
    idt_ntb_mw_register(s);
    if (!add_capabilities(s, errp) || !ntb_life_join(&s->port, errp)) {
        release(s);
        return;
    }
    ntb_life_start(&s->port);
}

static void unrealize(PCIDevice *pdev)
{
    release(IDT_NTB(pdev));
    pci_ntb_stay_a_while(pdev);
}

static void reset_enter(Object *obj, ResetType type)
{
    ntb_link_reset_enter(&IDT_NTB(obj)->port);
}

static void reset_hold(Object *obj, ResetType type)
{
    IDTNTBState *s = IDT_NTB(obj);

    pci_ntb_reset_command(PCI_DEVICE(s));
    reset_registers(s);
    ntb_link_reset_hold(&s->port);
    idt_ntb_irq_reset(s);
    ntb_publish(&s->port);
}

/* The PCI bus has cleared command and BARs by now, without telling us */
static void reset_exit(Object *obj, ResetType type)
{
    IDTNTBState *s = IDT_NTB(obj);

    idt_ntb_irq_record_msi(s);
    ntb_ram_update_iommu(&s->port);
    ntb_link_reset_exit(&s->port);
    ntb_publish(&s->port);
}

static const Property properties[] = {
    DEFINE_PROP_CHR("chardev", IDTNTBState, port.server.chr),
    DEFINE_PROP_UINT32("number", IDTNTBState, port.part, 0),
    DEFINE_PROP_UINT32("nports", IDTNTBState, port.nports, 2),
    DEFINE_PROP_UINT32("vectors", IDTNTBState, vectors, 1),
    DEFINE_PROP_STRING("mem-path", IDTNTBState, port.mem_path),
    DEFINE_PROP_STRING("mem-path-0", IDTNTBState, port.mem_path_of[0]),
    DEFINE_PROP_STRING("mem-path-1", IDTNTBState, port.mem_path_of[1]),
    DEFINE_PROP_STRING("mem-path-2", IDTNTBState, port.mem_path_of[2]),
    DEFINE_PROP_STRING("mem-path-3", IDTNTBState, port.mem_path_of[3]),
    DEFINE_PROP_STRING("mem-path-4", IDTNTBState, port.mem_path_of[4]),
    DEFINE_PROP_STRING("mem-path-5", IDTNTBState, port.mem_path_of[5]),
    DEFINE_PROP_STRING("bar2-mode", IDTNTBState, bar_mode[0]),
    DEFINE_PROP_STRING("bar4-mode", IDTNTBState, bar_mode[1]),
    DEFINE_PROP_SIZE("bar2-size", IDTNTBState, bar_size[0], 2 * MiB),
    DEFINE_PROP_SIZE("bar4-size", IDTNTBState, bar_size[1], 32 * MiB),
    DEFINE_PROP_BOOL("db-loopback", IDTNTBState, db_loopback, false),
    DEFINE_PROP_BOOL("x-mirror-mw", IDTNTBState, mirror_mw, false),
    DEFINE_PROP_BOOL("x-record", IDTNTBState, port.recorder.on, true),
    DEFINE_PROP_UINT32("quiesce-timeout-ms", IDTNTBState,
                       port.quiesce_timeout_ms, 50),
};

/* String properties have no defaults of their own */
static void instance_init(Object *obj)
{
    IDTNTBState *s = IDT_NTB(obj);

    s->port.mem_path = g_strdup("/dev/shm/qemu%d");
    s->bar_mode[0] = g_strdup("direct");
    s->bar_mode[1] = g_strdup("lut12");
    idt_ntb_temp_init(s);
    ntb_fault_add_properties(&s->port, obj);
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static bool get_link(Object *obj, Error **errp)
{
    return !IDT_NTB(obj)->port.unplugged;
}

static void set_link(Object *obj, bool plugged, Error **errp)
{
    ntb_link_plug(&IDT_NTB(obj)->port, plugged);
}

/* The other ports cannot follow a guest to another host */
static const VMStateDescription vmstate = {
    .name = TYPE_IDT_NTB,
    .unmigratable = 1,
};

static void class_init(ObjectClass *klass, NTB_CONST void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    k->realize = realize;
    k->exit = unrealize;
    k->config_read = config_read;
    k->config_write = config_write;
    k->vendor_id = IDT_NTB_VENDOR_ID;
    k->device_id = IDT_NTB_DEVICE_ID;
    k->revision = 0x02;
    k->class_id = PCI_CLASS_BRIDGE_OTHER;
    rc->phases.enter = reset_enter;
    rc->phases.hold = reset_hold;
    rc->phases.exit = reset_exit;
    dc->desc = "IDT 89HPES24NT6AG2 non-transparent bridge port";
    dc->vmsd = &vmstate;
    device_class_set_props(dc, properties);
    object_class_property_add_bool(klass, "link", get_link, set_link);
    object_class_property_set_description(klass, "link",
                                          "whether the cable is in");
    idt_ntb_temp_class_init(klass);
    idt_ntb_nt_init();
    idt_ntb_gasa_init();
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void register_types(void)
{
    static NTB_CONST InterfaceInfo interfaces[] = {
        { INTERFACE_PCIE_DEVICE },
        { },
    };
    static const TypeInfo info = {
        .name = TYPE_IDT_NTB,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(IDTNTBState),
        .instance_init = instance_init,
        .class_init = class_init,
        .interfaces = interfaces,
    };

    type_register_static(&info);
}

type_init(register_types)
