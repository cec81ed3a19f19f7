/*
 * EPF NTB port: one of the two functions of an NTB made of PCI endpoints
 *
 * Two guests, each with one of these, see each other through a non-transparent
 * bridge as Linux' pci-epf-ntb makes it of a machine with two endpoint
 * controllers. Linux drives it with drivers/ntb/hw/epf: scratchpads, and
 * windows whose receiver chooses the buffer, which is what ntb_transport wants.
 * Ports meet in a page that ivshmem-server hands out; windows go straight to
 * the RAM file of the other guest.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "epf-ntb-cmd.h"
#include "epf-ntb-db.h"
#include "epf-ntb-irq.h"
#include "epf-ntb-mw.h"
#include "epf-ntb-port.h"
#include "epf-ntb-regs.h"
#include "epf-ntb-spad.h"
#include "ntb-fault.h"
#include "ntb-life.h"
#include "ntb-link.h"
#include "ntb-ram.h"
#include "ntb-record.h"
#include "pci-ntb.h"

static void config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    EPFNTBState *s = EPF_NTB(pdev);
    uint32_t cmd = epf_ntb_pcicmd(s);

    pci_default_write_config(pdev, addr, val, len);
    if (!s->port.own) {
        return;                 /* MSI-X that was waiting has unplugged it */
    }
    if (cmd != epf_ntb_pcicmd(s)) {
        ntb_record(&s->port, NTB_SHM_EV_COMMAND, NTB_SHM_NOBODY, 0,
                   epf_ntb_pcicmd(s), cmd);
        ntb_link_changed(&s->port);
        epf_ntb_irq_own_link(s);
    }
    ntb_publish(&s->port);
}

/*
 * Life cycle
 */

static bool in_range(uint32_t val, uint32_t lowest, uint32_t highest,
                     const char *property, Error **errp)
{
    if (val < lowest || val > highest) {
        error_setg(errp, "%s=%u is out of range: it is %u to %u", property, val,
                   lowest, highest);
        return false;
    }
    return true;
}

static bool check_properties(EPFNTBState *s, Error **errp)
{
    if (s->port.nports != EPF_NTB_PORTS) {
        error_setg(errp, "nports=%u is out of range: an NTB of endpoint "
                   "functions has two ports", s->port.nports);
        return false;
    }
    if (strcmp(s->map, "mx8")) {
        error_setg(errp, "map=%s is not known: it is mx8", s->map);
        return false;
    }
    return ntb_life_check(&s->port, EPF_NTB_PORTS, errp) &&
           in_range(s->msix_vectors, EPF_NTB_MIN_VECTORS, EPF_NTB_MAX_VECTORS,
                    "msix-vectors", errp) &&
           in_range(s->spads, EPF_NTB_MIN_SPADS, EPF_NTB_MAX_SPADS, "spads",
                    errp) &&
           epf_ntb_mw_setup(s, errp);
}

/* What both ports must have alike; of the control BAR, how many scratchpads */
static void fill_config(EPFNTBState *s)
{
    NTBSwitchConfig *cfg = &s->port.cfg;

    cfg->model = EPF_NTB_SHM_MODEL;
    cfg->nports = EPF_NTB_PORTS;
    cfg->number[0] = 0;
    cfg->number[1] = 1;
    cfg->barsetup[EPF_NTB_CONTROL_BAR] = s->spads << 8 |
                                         ctz32(EPF_NTB_CONTROL_SIZE);
    cfg->barsetup[EPF_NTB_DB_BAR] = ctz32(EPF_NTB_PAGE_SIZE);
    cfg->flags_from = "no property";
    cfg->bars_from = "mwN-size and spads";
}

static bool add_bars(EPFNTBState *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (!epf_ntb_regs_init(s, errp)) {
        return false;
    }
    epf_ntb_spad_init(s);
    epf_ntb_db_init(s);
    memory_region_init(&s->bar0, OBJECT(s), "ntb-epf-control",
                       EPF_NTB_CONTROL_SIZE);
    memory_region_add_subregion(&s->bar0, 0, &s->page);
    memory_region_add_subregion(&s->bar0, EPF_NTB_SPAD_OFF, &s->spad);
    pci_register_bar(pdev, EPF_NTB_CONTROL_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->bar0);
    pci_register_bar(pdev, EPF_NTB_DB_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->doorbells);
    epf_ntb_mw_register(s);
    return true;
}

static bool add_msix(EPFNTBState *s, Error **errp)
{
    ERRP_GUARD();
    PCIDevice *pdev = PCI_DEVICE(s);
    int ret = msix_init(pdev, s->msix_vectors, &s->bar0, EPF_NTB_CONTROL_BAR,
                        EPF_NTB_MSIX_TABLE_OFF, &s->bar0, EPF_NTB_CONTROL_BAR,
                        EPF_NTB_MSIX_PBA_OFF, EPF_NTB_MSIX_CAP, errp);

    if (ret == -ENOTSUP) {
        error_free(*errp);
        *errp = NULL;
        error_setg(errp, "this machine has no MSI, without which no driver "
                   "takes the device");
    }
    if (ret < 0) {
        return false;
    }
    for (unsigned n = 0; n < s->msix_vectors; n++) {
        msix_vector_use(pdev, n);
    }
    return true;
}

/* Everything may be half done: a failed realize comes here as well */
static void release(EPFNTBState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    ntb_life_exit(&s->port);
    epf_ntb_cmd_exit(s);
    pci_ntb_remove_capabilities(pdev);
    msix_unuse_all_vectors(pdev);
    msix_uninit(pdev, &s->bar0, &s->bar0);
}

static void reset_state(EPFNTBState *s)
{
    epf_ntb_cmd_forget(s);
    epf_ntb_regs_reset(s);
    epf_ntb_irq_reset(s);
    memset(s->mw, 0, sizeof(s->mw));
    s->link_enabled = false;
}

static void realize(PCIDevice *pdev, Error **errp)
{
    EPFNTBState *s = EPF_NTB(pdev);

    ntb_life_init(&s->port, OBJECT(s), &epf_ntb_port_ops);
    if (!check_properties(s, errp)) {
        return;
    }
    fill_config(s);
    pci_config_set_interrupt_pin(pdev->config, 1);
    epf_ntb_cmd_init(s);
    if (!add_bars(s, errp) ||
        !pci_ntb_add_capabilities(pdev, ntb_number(&s->port, s->port.part),
                                  errp) ||
        !add_msix(s, errp)) {
        release(s);
        return;
    }
    reset_state(s);
    if (!ntb_life_join(&s->port, errp)) {
        release(s);
        return;
    }
    ntb_life_start(&s->port);
}

static void unrealize(PCIDevice *pdev)
{
    release(EPF_NTB(pdev));
    pci_ntb_stay_a_while(pdev);
}

static void reset_enter(Object *obj, ResetType type)
{
    ntb_link_reset_enter(&EPF_NTB(obj)->port);
}

static void reset_hold(Object *obj, ResetType type)
{
    EPFNTBState *s = EPF_NTB(obj);

    pci_ntb_reset_command(PCI_DEVICE(s));
    reset_state(s);
    epf_ntb_mw_show(s);
    epf_ntb_spad_reset(s);
    ntb_link_reset_hold(&s->port);
    ntb_publish(&s->port);
}

/* The PCI bus has cleared command and BARs by now, without telling us */
static void reset_exit(Object *obj, ResetType type)
{
    EPFNTBState *s = EPF_NTB(obj);

    ntb_ram_update_iommu(&s->port);
    ntb_link_reset_exit(&s->port);
    ntb_publish(&s->port);
}

static const Property properties[] = {
    DEFINE_PROP_CHR("chardev", EPFNTBState, port.server.chr),
    DEFINE_PROP_UINT32("number", EPFNTBState, port.part, 0),
    DEFINE_PROP_UINT32("nports", EPFNTBState, port.nports, EPF_NTB_PORTS),
    DEFINE_PROP_STRING("mem-path", EPFNTBState, port.mem_path),
    DEFINE_PROP_STRING("mem-path-0", EPFNTBState, port.mem_path_of[0]),
    DEFINE_PROP_STRING("mem-path-1", EPFNTBState, port.mem_path_of[1]),
    DEFINE_PROP_STRING("map", EPFNTBState, map),
    DEFINE_PROP_SIZE("mw0-size", EPFNTBState, mw_size[0], 2 * MiB),
    DEFINE_PROP_SIZE("mw1-size", EPFNTBState, mw_size[1], 2 * MiB),
    DEFINE_PROP_UINT32("msix-vectors", EPFNTBState, msix_vectors, 8),
    DEFINE_PROP_UINT32("spads", EPFNTBState, spads, 32),
    DEFINE_PROP_BOOL("x-record", EPFNTBState, port.recorder.on, true),
    DEFINE_PROP_UINT32("quiesce-timeout-ms", EPFNTBState,
                       port.quiesce_timeout_ms, 50),
};

/* String properties have no defaults of their own */
static void instance_init(Object *obj)
{
    EPFNTBState *s = EPF_NTB(obj);

    s->port.mem_path = g_strdup("/dev/shm/qemu%d");
    s->map = g_strdup("mx8");
    ntb_fault_add_properties(&s->port, obj);
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static bool get_link(Object *obj, Error **errp)
{
    return !EPF_NTB(obj)->port.unplugged;
}

static void set_link(Object *obj, bool plugged, Error **errp)
{
    ntb_link_plug(&EPF_NTB(obj)->port, plugged);
}

/* The other port cannot follow a guest to another host */
static const VMStateDescription vmstate = {
    .name = TYPE_EPF_NTB,
    .unmigratable = 1,
};

static void class_init(ObjectClass *klass, NTB_CONST void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    k->realize = realize;
    k->exit = unrealize;
    k->config_write = config_write;
    k->vendor_id = EPF_NTB_VENDOR_ID;
    k->device_id = EPF_NTB_DEVICE_ID;
    k->class_id = PCI_CLASS_MEMORY_RAM;
    rc->phases.enter = reset_enter;
    rc->phases.hold = reset_hold;
    rc->phases.exit = reset_exit;
    dc->desc = "non-transparent bridge port of a PCI endpoint function";
    dc->vmsd = &vmstate;
    device_class_set_props(dc, properties);
    object_class_property_add_bool(klass, "link", get_link, set_link);
    object_class_property_set_description(klass, "link",
                                          "whether the cable is in");
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void register_types(void)
{
    static NTB_CONST InterfaceInfo interfaces[] = {
        { INTERFACE_PCIE_DEVICE },
        { },
    };
    static const TypeInfo info = {
        .name = TYPE_EPF_NTB,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(EPFNTBState),
        .instance_init = instance_init,
        .class_init = class_init,
        .interfaces = interfaces,
    };

    type_register_static(&info);
}

type_init(register_types)
