# SPDX-License-Identifier: MIT
"""What everything stands on: errors, places, time, locks, processes. Imports nothing of `run`."""
