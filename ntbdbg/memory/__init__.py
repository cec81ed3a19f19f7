# SPDX-License-Identifier: MIT
"""Guest-physical bytes, whatever they lie in."""

from ntbdbg.memory.base import AddressRange, PhysicalMemory, Segment, SegmentMap
from ntbdbg.memory.buffer import BufferMemory
from ntbdbg.memory.ramfile import RamFile

__all__ = [
    "AddressRange",
    "BufferMemory",
    "PhysicalMemory",
    "RamFile",
    "Segment",
    "SegmentMap",
]
