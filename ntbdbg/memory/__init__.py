# SPDX-License-Identifier: MIT
"""Guest-physical bytes, whatever they lie in."""

from ntbdbg.memory.base import AddressRange, PhysicalMemory, Segment, SegmentMap

__all__ = ["AddressRange", "PhysicalMemory", "Segment", "SegmentMap"]
