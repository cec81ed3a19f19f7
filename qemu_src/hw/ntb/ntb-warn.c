/*
 * NTB port: trouble of the host, told in bounded numbers
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "ntb-warn.h"

void ntb_warn(NTBPort *s, const char *fmt, ...)
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
    warn_report("%s port %u: %s%s", s->ops->name, ntb_number(s, s->part), text,
                s->warnings_left ? "" : " (further warnings are dropped)");
}
