# SPDX-License-Identifier: MIT
"""Developing QEMU: a git tree with our device in it, whose commits become patches and qemu_src."""
