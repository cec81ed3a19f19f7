# SPDX-License-Identifier: MIT
"""Brings what a command needs into the build folder."""
