# SPDX-License-Identifier: MIT
"""Classes of drgn, by which rooms without it name what they are given."""

from __future__ import annotations

from drgn import Object as Object
from drgn import Program as Program
from drgn import Type as Type
