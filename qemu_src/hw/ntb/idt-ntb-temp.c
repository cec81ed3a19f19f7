/*
 * IDT NTB port: the switch's temperature sensor
 *
 * 89HPES24NT6AG2 TMPCTL, TMPSTS, TMPALARM, TMPADJ, TSSLOPE. Temperatures are
 * unsigned half degrees Celsius. A sample is taken whenever something changes,
 * so nothing has to run while nobody looks.
 *
 * What the vendor's interrupt enables look like is not known from any driver.
 * Here TMPCTL 29:24 enable the alarms that TMPALARM 29:24 latch, two for each
 * threshold: even bits when a sample falls below it, odd ones when it reaches
 * it. A threshold of zero is never crossed.
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "idt-ntb-irq.h"
#include "idt-ntb-temp.h"
#include "trace.h"

#define HALF_DEGREE     500             /* in milli-degrees */
#define TEMP_MAX        0xff
#define TEMP_MAX_MDEG   (TEMP_MAX * HALF_DEGREE)
#define TEMP_DEFAULT    40000
#define THRESHOLDS      3

static bool powered(const IDTNTBTemp *t)
{
    return !(t->ctl & R_TMPCTL_PDOWN_MASK);
}

static uint8_t measure(const IDTNTBTemp *t)
{
    int raw = (t->mdeg + HALF_DEGREE / 2) / HALF_DEGREE;

    return MAX(0, MIN(TEMP_MAX, raw + (int8_t)t->adj));
}

/* Bit n: the temperature is at or above threshold n */
static uint32_t thresholds_reached(const IDTNTBTemp *t)
{
    uint32_t mask = 0;

    for (unsigned n = 0; n < THRESHOLDS; n++) {
        uint8_t threshold = t->ctl >> (8 * n);

        if (threshold && t->now >= threshold) {
            mask |= 1u << n;
        }
    }
    return mask;
}

/* Alarm bits of the thresholds that were crossed since @before */
static uint32_t crossings(uint32_t before, uint32_t after)
{
    uint32_t alarms = 0;

    for (unsigned n = 0; n < THRESHOLDS; n++) {
        uint32_t bit = 1u << n;

        if ((before ^ after) & bit) {
            alarms |= (after & bit ? 2u : 1u) << (TMPALARM_IRQ_SHIFT + 2 * n);
        }
    }
    return alarms;
}

static uint32_t tmpsts(const IDTNTBTemp *t)
{
    return powered(t) ? t->now | t->lowest << 8 | t->highest << 16 : 0;
}

static uint32_t tmpalarm(const IDTNTBTemp *t)
{
    return t->alarms | (tmpsts(t) & TMPALARM_HISTORY);
}

static void sample(IDTNTBState *s)
{
    IDTNTBTemp *t = &s->temp;

    if (powered(t)) {
        uint32_t before = thresholds_reached(t), alarms;

        t->now = measure(t);
        t->lowest = MIN(t->lowest, t->now);
        t->highest = MAX(t->highest, t->now);
        alarms = crossings(before, thresholds_reached(t));
        t->alarms |= alarms;
        if (alarms & t->ctl) {
            s->ntintsts |= R_NTINTSTS_TMP_MASK;
        }
        trace_idt_ntb_temperature(s->port.part, tmpsts(t), tmpalarm(t));
    }
}

static void tmpctl_write(IDTNTBState *s, uint32_t val)
{
    IDTNTBTemp *t = &s->temp;
    bool was_powered = powered(t);

    t->ctl = val;
    if (powered(t) && !was_powered) {
        t->now = t->lowest = t->highest = measure(t);
    }
}

static void tmpalarm_write(IDTNTBTemp *t, uint32_t val)
{
    t->alarms &= ~val;
    if (powered(t)) {
        t->lowest = val >> 8;
        t->highest = val >> 16;
    }
}

uint32_t idt_ntb_temp_read(IDTNTBState *s, uint32_t addr)
{
    switch (addr) {
    case A_TMPCTL:
        return s->temp.ctl;
    case A_TMPSTS:
        return tmpsts(&s->temp);
    case A_TMPALARM:
        return tmpalarm(&s->temp);
    case A_TMPADJ:
        return s->temp.adj;
    default:
        return s->temp.slope;
    }
}

void idt_ntb_temp_write(IDTNTBState *s, uint32_t addr, uint32_t val)
{
    switch (addr) {
    case A_TMPCTL:
        tmpctl_write(s, val);
        break;
    case A_TMPALARM:
        tmpalarm_write(&s->temp, val);
        break;
    case A_TMPADJ:
        s->temp.adj = val;
        break;
    case A_TSSLOPE:
        s->temp.slope = val;
        break;
    }
    sample(s);
    idt_ntb_irq_update(s);
}

void idt_ntb_temp_reset(IDTNTBState *s)
{
    s->temp = (IDTNTBTemp) { .mdeg = s->temp.mdeg, .ctl = R_TMPCTL_PDOWN_MASK };
}

void idt_ntb_temp_init(IDTNTBState *s)
{
    s->temp.mdeg = TEMP_DEFAULT;
    s->temp.ctl = R_TMPCTL_PDOWN_MASK;
}

static void get_temperature(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    int64_t mdeg = IDT_NTB(obj)->temp.mdeg;

    visit_type_int(v, name, &mdeg, errp);
}

static void set_temperature(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    IDTNTBState *s = IDT_NTB(obj);
    int64_t mdeg;

    if (!visit_type_int(v, name, &mdeg, errp)) {
        return;
    }
    if (mdeg < 0 || mdeg > TEMP_MAX_MDEG) {
        error_setg(errp, "%s=%" PRId64 " is out of the sensor's range, 0 to %d "
                   "milli-degrees", name, mdeg, TEMP_MAX_MDEG);
        return;
    }
    s->temp.mdeg = mdeg;
    sample(s);
    idt_ntb_irq_update(s);
    ntb_publish(&s->port);
}

void idt_ntb_temp_class_init(ObjectClass *klass)
{
    object_class_property_add(klass, "temperature", "int", get_temperature,
                              set_temperature, NULL, NULL);
    object_class_property_set_description(klass, "temperature",
                                          "of the switch, in milli-degrees");
}
