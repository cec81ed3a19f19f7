# SPDX-License-Identifier: MIT
"""One guest as QEMU has it: options, command line, memory, disks, and the process itself."""
