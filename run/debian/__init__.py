# SPDX-License-Identifier: MIT
"""Debian packages as raw material: fetched through an apt state of our own, never installed."""
