# SPDX-License-Identifier: MIT
"""The Yocto image and its QEMU: kas, bitbake, and what they leave behind."""
