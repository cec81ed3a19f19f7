# SPDX-License-Identifier: MIT
"""Building in steps: what is done and logged, what is kept in the cache, what is left behind."""
