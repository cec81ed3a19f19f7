# SPDX-License-Identifier: MIT
"""Hostile guests: `python3 run fuzz` runs this package; pytest collects nothing here."""
