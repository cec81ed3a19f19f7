# SPDX-License-Identifier: MIT
"""The launcher: builds QEMU and a guest, starts one VM or two linked ones, cleans up after them."""
