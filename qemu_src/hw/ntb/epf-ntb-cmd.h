/*
 * EPF NTB port: commands, and when they are done
 *
 * Copyright (c) 2026 the ntbdbg authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NTB_EPF_NTB_CMD_H
#define HW_NTB_EPF_NTB_CMD_H

#include "epf-ntb-state.h"

void epf_ntb_cmd_init(EPFNTBState *s);
void epf_ntb_cmd_exit(EPFNTBState *s);
/* The guest has written COMMAND */
void epf_ntb_cmd_run(EPFNTBState *s, uint32_t command);
/* The peer may have let go of what the command that waits takes away */
void epf_ntb_cmd_check(EPFNTBState *s);
/* No command waits any more, and none is answered */
void epf_ntb_cmd_forget(EPFNTBState *s);

#endif /* HW_NTB_EPF_NTB_CMD_H */
