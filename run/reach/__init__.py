# SPDX-License-Identifier: MIT
"""Into a guest: its ssh, files, and its serial console."""
