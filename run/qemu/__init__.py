# SPDX-License-Identifier: MIT
"""QEMU from source with our device: source, overlay, firmware, build."""
