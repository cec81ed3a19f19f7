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
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/pci/pcie_regs.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "idt-ntb-int.h"
#include "trace.h"

#define MIN_NPORTS          2
#define MAX_WARNINGS        16

void idt_ntb_warn(IDTNTBState *s, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (!s->warnings_left) {
        return;
    }
    s->warnings_left--;
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    warn_report("idt-ntb port %u: %s%s", idt_ntb_port_of(s->part), text,
                s->warnings_left ? "" : " (further warnings are dropped)");
}

uint32_t idt_ntb_pcicmd(const IDTNTBState *s)
{
    return pci_get_word(s->parent_obj.config + PCI_COMMAND);
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
    *data = idt_ntb_reg_read(opaque, addr, attrs.requester_id);
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
    idt_ntb_reg_write(opaque, addr, data);
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
    val = idt_ntb_reg_read(s, off, 0);
    if (addr + len > off + 4 && off + 4 < IDT_NTB_CFG_SIZE) {
        val |= (uint64_t)idt_ntb_reg_read(s, off + 4, 0) << 32;
    }
    return extract64(val, (addr - off) * 8, len * 8);
}

static void config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    IDTNTBState *s = IDT_NTB(pdev);
    uint32_t cmd = idt_ntb_pcicmd(s);

    if (addr >= IDT_NTB_REGS_START) {
        if (len == 4 && !(addr & 3)) {
            idt_ntb_reg_write(s, addr, val);
        } else {
            qemu_log_mask(LOG_GUEST_ERROR, "idt-ntb: configuration write of %d "
                          "bytes to register 0x%x ignored\n", len, addr);
        }
        return;
    }
    pci_default_write_config(pdev, addr, val, len);
    if (cmd != idt_ntb_pcicmd(s)) {
        idt_ntb_link_changed(s);
    }
    idt_ntb_mw_update(s);           /* a limit is absolute, a BAR may move */
    idt_ntb_irq_update(s);          /* MSI may have been switched */
    idt_ntb_regs_publish(s);
}

static bool check_properties(IDTNTBState *s, Error **errp)
{
    if (s->nports < MIN_NPORTS || s->nports > IDT_NTB_PORTS) {
        error_setg(errp, "nports=%u is out of range: a switch has %d to %d "
                   "ports", s->nports, MIN_NPORTS, IDT_NTB_PORTS);
        return false;
    }
    if (s->mirror_mw && s->nports != MIN_NPORTS) {
        error_setg(errp, "x-mirror-mw needs a switch of two ports, not %u",
                   s->nports);
        return false;
    }
    if (s->part >= s->nports) {
        error_setg(errp, "number=%u is out of range: with nports=%u it is 0 "
                   "to %u", s->part, s->nports, s->nports - 1);
        return false;
    }
    if (!s->vectors) {
        error_setg(errp, "vectors must be at least 1");
        return false;
    }
    return idt_ntb_ram_check_paths(s, errp) && idt_ntb_mw_setup(s, errp);
}

static void fill_config(IDTNTBState *s)
{
    s->cfg.nports = s->nports;
    s->cfg.cfg_flags = (s->db_loopback ? NTB_SHM_CFG_LOOPBACK : 0) |
                       (s->mirror_mw ? NTB_SHM_CFG_MIRROR_MW : 0);
    s->cfg.port_bitmap = 0;
    for (unsigned part = 0; part < s->nports; part++) {
        s->cfg.port_bitmap |= 1u << idt_ntb_port_of(part);
    }
}

static bool add_power_management(PCIDevice *pdev, Error **errp)
{
    if (pci_pm_init(pdev, IDT_NTB_PM_CAP, errp) < 0) {
        return false;
    }
    pci_set_word(pdev->config + IDT_NTB_PM_CAP + PCI_PM_PMC, 3);
    pci_set_word(pdev->config + IDT_NTB_PM_CAP + PCI_PM_CTRL,
                 PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + IDT_NTB_PM_CAP + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK);
    return true;
}

static bool add_capabilities(IDTNTBState *s, Error **errp)
{
    ERRP_GUARD();
    PCIDevice *pdev = PCI_DEVICE(s);
    PCIBus *bus = pci_get_bus(pdev);
    uint8_t type = pci_bus_is_root(bus) ? PCI_EXP_TYPE_RC_END
                                        : PCI_EXP_TYPE_ENDPOINT;
    int ret;

    if (pcie_cap_init(pdev, IDT_NTB_PCIE_CAP, type,
                      idt_ntb_port_of(s->part), errp) < 0) {
        return false;
    }
    pcie_cap_fill_link_ep_usp(pdev, QEMU_PCI_EXP_LNK_X4, QEMU_PCI_EXP_LNK_5GT);
    if (!add_power_management(pdev, errp)) {
        return false;
    }
    ret = msi_init(pdev, IDT_NTB_MSI_CAP, 1, true, false, errp);
    if (ret == -ENOTSUP) {
        error_free(*errp);          /* the board has no MSI: INTx it is */
        *errp = NULL;
    } else if (ret < 0) {
        return false;
    }
    return pcie_aer_init(pdev, PCI_ERR_VER, IDT_NTB_AER_CAP, PCI_ERR_SIZEOF,
                         errp) >= 0;
}

/* Everything may be half done: a failed realize comes here as well */
static void release(IDTNTBState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (s->machine_done.notify) {
        qemu_remove_machine_init_done_notifier(&s->machine_done);
        s->machine_done.notify = NULL;
    }
    idt_ntb_link_exit(s);
    idt_ntb_mw_close_all(s);
    idt_ntb_server_stop(s);
    s->own = NULL;
    idt_ntb_shm_release(&s->shm);
    if (pdev->exp.aer_cap) {
        pcie_aer_exit(pdev);
    }
    msi_uninit(pdev);
    if (pdev->exp.exp_cap) {
        pcie_cap_exit(pdev);
    }
}

static bool join_switch(IDTNTBState *s, Error **errp)
{
    int shm_fd;

    if (!idt_ntb_server_connect(s, &shm_fd, errp) ||
        !idt_ntb_shm_map(&s->shm, shm_fd, errp) ||
        !idt_ntb_shm_claim(&s->shm, s->part, idt_ntb_port_of(s->part),
                           &s->cfg, errp)) {
        return false;
    }
    s->own = idt_ntb_shm_port(&s->shm, s->part);
    idt_ntb_link_publish_client(s);
    return true;
}

static void machine_done(Notifier *notifier, void *data)
{
    IDTNTBState *s = container_of(notifier, IDTNTBState, machine_done);

    idt_ntb_ram_publish(s);
    idt_ntb_link_try_attach(s);
}

static void realize(PCIDevice *pdev, Error **errp)
{
    IDTNTBState *s = IDT_NTB(pdev);

    s->in_reset = true;             /* until the machine resets us for use */
    s->warnings_left = MAX_WARNINGS;
    idt_ntb_shm_init(&s->shm);
    if (!check_properties(s, errp)) {
        return;
    }
    fill_config(s);
    idt_ntb_regs_reset(s);
    pci_config_set_interrupt_pin(pdev->config, 1);

    memory_region_init_io(&s->bar0, OBJECT(s), &bar0_ops, s, "idt-ntb-regs",
                          IDT_NTB_CFG_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->bar0);
    idt_ntb_mw_register(s);
    if (!add_capabilities(s, errp) || !join_switch(s, errp)) {
        release(s);
        return;
    }
    idt_ntb_link_init(s);
    idt_ntb_link_reset_hold(s);
    idt_ntb_regs_publish(s);
    idt_ntb_server_start(s);
    s->machine_done.notify = machine_done;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

static void drop_reference(void *opaque)
{
    object_unref(OBJECT(opaque));
}

/*
 * A guest can aim its MSI at the power switch of the slot, so we may be in the
 * middle of this device's own work here: it stays in memory until that is over.
 */
static void unrealize(PCIDevice *pdev)
{
    release(IDT_NTB(pdev));
    object_ref(OBJECT(pdev));
    aio_bh_schedule_oneshot(qemu_get_aio_context(), drop_reference, pdev);
}

static void reset_enter(Object *obj, ResetType type)
{
    idt_ntb_link_reset_enter(IDT_NTB(obj));
}

static void reset_hold(Object *obj, ResetType type)
{
    IDTNTBState *s = IDT_NTB(obj);
    PCIDevice *pdev = PCI_DEVICE(s);

    /* PCI clears it unheard, with a slot's power only after our exit phase */
    pci_word_test_and_clear_mask(pdev->config + PCI_COMMAND,
                                 pci_get_word(pdev->wmask + PCI_COMMAND));
    idt_ntb_regs_reset(s);
    idt_ntb_link_reset_hold(s);
    idt_ntb_irq_reset(s);
    idt_ntb_regs_publish(s);
}

/* The PCI bus has cleared command and BARs by now, without telling us */
static void reset_exit(Object *obj, ResetType type)
{
    IDTNTBState *s = IDT_NTB(obj);

    idt_ntb_ram_update_iommu(s);
    idt_ntb_link_reset_exit(s);
    idt_ntb_regs_publish(s);
}

static const Property properties[] = {
    DEFINE_PROP_CHR("chardev", IDTNTBState, server.chr),
    DEFINE_PROP_UINT32("number", IDTNTBState, part, 0),
    DEFINE_PROP_UINT32("nports", IDTNTBState, nports, 2),
    DEFINE_PROP_UINT32("vectors", IDTNTBState, vectors, 1),
    DEFINE_PROP_STRING("mem-path", IDTNTBState, mem_path),
    DEFINE_PROP_STRING("mem-path-0", IDTNTBState, mem_path_of[0]),
    DEFINE_PROP_STRING("mem-path-1", IDTNTBState, mem_path_of[1]),
    DEFINE_PROP_STRING("mem-path-2", IDTNTBState, mem_path_of[2]),
    DEFINE_PROP_STRING("mem-path-3", IDTNTBState, mem_path_of[3]),
    DEFINE_PROP_STRING("mem-path-4", IDTNTBState, mem_path_of[4]),
    DEFINE_PROP_STRING("mem-path-5", IDTNTBState, mem_path_of[5]),
    DEFINE_PROP_STRING("bar2-mode", IDTNTBState, bar_mode[0]),
    DEFINE_PROP_STRING("bar4-mode", IDTNTBState, bar_mode[1]),
    DEFINE_PROP_SIZE("bar2-size", IDTNTBState, bar_size[0], 2 * MiB),
    DEFINE_PROP_SIZE("bar4-size", IDTNTBState, bar_size[1], 32 * MiB),
    DEFINE_PROP_BOOL("db-loopback", IDTNTBState, db_loopback, false),
    DEFINE_PROP_BOOL("x-mirror-mw", IDTNTBState, mirror_mw, false),
    DEFINE_PROP_UINT32("quiesce-timeout-ms", IDTNTBState, quiesce_timeout_ms,
                       50),
};

/* String properties have no defaults of their own */
static void instance_init(Object *obj)
{
    IDTNTBState *s = IDT_NTB(obj);

    s->mem_path = g_strdup("/dev/shm/qemu%d");
    s->bar_mode[0] = g_strdup("direct");
    s->bar_mode[1] = g_strdup("lut12");
    idt_ntb_temp_init(s);
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

/* The other ports cannot follow a guest to another host */
static const VMStateDescription vmstate = {
    .name = TYPE_IDT_NTB,
    .unmigratable = 1,
};

static void class_init(ObjectClass *klass, IDT_NTB_CONST void *data)
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
    idt_ntb_temp_class_init(klass);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void register_types(void)
{
    static IDT_NTB_CONST InterfaceInfo interfaces[] = {
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
