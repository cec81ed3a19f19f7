# SPDX-License-Identifier: MIT
"""This machine: what it has, what it lacks, and how to mend that."""
