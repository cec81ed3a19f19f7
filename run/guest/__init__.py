# SPDX-License-Identifier: MIT
"""The guest: Debian's kernel, the NTB drivers built for it, and an initramfs with ssh."""
