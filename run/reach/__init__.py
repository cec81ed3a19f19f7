# SPDX-License-Identifier: MIT
"""Into a guest: its ssh and its serial console."""
