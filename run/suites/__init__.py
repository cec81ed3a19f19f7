# SPDX-License-Identifier: MIT
"""What is run over it all: tests, endurance, measurements, Linux' own NTB test."""
