/*
 * NTB port: what differs between QEMU versions, from 10.0 on
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_NTB_COMPAT_H
#define HW_NTB_NTB_COMPAT_H

#if __has_include("system/memory.h")
#include "system/memory.h"              /* 10.1 and later */
#include "system/ramblock.h"
#else
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#else
#include "exec/address-spaces.h"
#endif

#include "exec/cpu-common.h"

#if __has_include("hw/core/qdev-properties.h")
#include "hw/core/qdev-properties.h"
#include "hw/core/qdev-properties-system.h"
#else
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#endif

#if __has_include("hw/core/boards.h")
#include "hw/core/boards.h"
#else
#include "hw/boards.h"
#endif

/* class_init and interface lists became const in 10.1 */
#if QEMU_VERSION_MAJOR > 10 || \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
#define NTB_CONST const
#else
#define NTB_CONST
#endif

/* The user's end of a character device was renamed in 10.2 */
#if QEMU_VERSION_MAJOR > 10 || \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 2)
typedef CharFrontend NTBChardev;
#else
typedef CharBackend NTBChardev;
#endif

#endif /* HW_NTB_NTB_COMPAT_H */
