# SPDX-License-Identifier: MIT
"""Kernel types from bytes and to bytes.

codec = Codec.of(prog.type("struct new_utsname"))
codec.parse(data)["nodename"]                            # 'qemu1'
codec.build({"sysname": "Linux", "nodename": "other"})   # what is not named is zero
codec.patch(data, "nodename", "changed")                 # only that member differs
list(codec.fields(data))                                 # for display
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ntbdbg.errors import KernelError, UsageError
from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot
from ntbdbg.kernel.values.slots import find_slot, named_slots

if TYPE_CHECKING:
    import drgn

    from ntbdbg.kernel.values.fields import Field, FieldOptions
    from ntbdbg.kernel.values.forms import Form

LARGEST = 64 << 20
"""Bytes of a type that is taken apart."""


class Codec:
    """One type.

    :ivar shape: what it looks like
    :ivar name: in C
    :ivar sizeof: bytes, without the elements of a flexible array
    """

    def __init__(self, shape: Shape) -> None:
        if shape.size > LARGEST:
            raise KernelError(f"{shape.name} has {shape.size} bytes, too many to be taken apart")
        self.shape = shape
        self.name, self.sizeof = shape.name, shape.size

    @classmethod
    def of(cls, kind: drgn.Type) -> Codec:
        """The codec of a drgn type; KernelError if that is beyond all measure."""
        from ntbdbg.kernel.program.shapes import shape_of

        return cls(shape_of(kind))

    @cached_property
    def construct(self) -> Form:
        """The type as a construct; see `ntbdbg.kernel.values.forms` for the values it deals in."""
        from ntbdbg.kernel.values.forms import form_of

        return form_of(self.shape)

    def parse(self, data: bytes) -> Any:
        """The value in `data`: structures as dicts, arrays as lists, char arrays as text.

        :param data: `sizeof` bytes; more of them are elements of a flexible array at its end
        :raises UsageError: too few bytes, or too many
        """
        if len(data) != self.sizeof:
            return self._stretched(len(data)).parse(data)
        return self.construct.decode(data)

    def build(self, value: Any) -> bytes:
        """The bytes of a value as `parse` gives it; members that are not named are zero.

        :raises UsageError: a value does not fit, or there is no such member
        """
        needed = self._needed(value) if isinstance(value, dict) else 0
        if needed:
            return self._stretched(needed).build(value)
        return self.construct.encode(value)

    def fields(self, data: bytes, options: FieldOptions | None = None) -> Iterator[Field]:
        """What `data` says, member by member; needs no construct."""
        from ntbdbg.kernel.values.fields import fields

        return fields(self.shape, data, options)

    # -- single members --------------------------------------------------------------------

    def find(self, path: str) -> Slot:
        """The member at ``name.nodename`` or ``[3].start``; UsageError if there is none."""
        return find_slot(self.shape, path)

    def patch(self, old: bytes, path: str, value: Any) -> bytes:
        """`old` with the member at `path` changed, and not a bit more.

        :raises UsageError: there is no such member in `old`, or `value` does not fit it
        """
        slot = self.find(path)
        end = slot.offset + slot.size
        if end > len(old):
            raise UsageError(f"{path} of {self.name} is beyond its {len(old)} bytes")
        return old[: slot.offset] + stored(slot, old[slot.offset : end], value) + old[end:]

    # -- flexible arrays -------------------------------------------------------------------

    @cached_property
    def _tail(self) -> Slot | None:
        """The flexible array at its end."""
        slots = list(named_slots(self.shape)) if isinstance(self.shape, Compound) else []
        flexible = [s for s in slots if isinstance(s.shape, Array) and s.shape.is_flexible]
        return flexible[-1] if flexible else None

    def _needed(self, value: dict[str, Any]) -> int:
        """Bytes of `value`, if it has elements of the flexible array; else 0."""
        from ntbdbg.kernel.values.forms import REST

        elements = value.get(self._tail.name) if self._tail else None
        if not elements or self._tail is None or not isinstance(self._tail.shape, Array):
            return 0
        count = len(elements.encode()) + 1 if isinstance(elements, str) else len(elements)
        end = self._tail.offset + count * self._tail.shape.element.size
        return max(end, self.sizeof, len(value.get(REST, b"")))

    def _stretched(self, size: int) -> Codec:
        """This type with so many elements in its flexible array that it has `size` bytes."""
        shape, tail = self.shape, self._tail
        if size < self.sizeof or tail is None or not isinstance(shape, Compound):
            raise UsageError(f"{self.name} has {self.sizeof} bytes, not {size}")
        assert isinstance(tail.shape, Array)
        element = tail.shape.element
        count = (size - tail.offset) // element.size if element.size else 0
        array = Array(tail.shape.name, count * element.size, element, count)
        slots = [s._replace(shape=array) if s == tail else s for s in named_slots(shape)]
        return Codec(Compound(shape.name, size, shape.kind, lambda: slots))


def stored(slot: Slot, old: bytes, value: Any) -> bytes:
    """The bytes of `slot`, now `old`, with `value` in it.

    :param value: as `Codec.build` takes it; of a bit field a number or an enumerator
    :raises UsageError: it does not fit
    """
    if slot.bit_size is None:
        return Codec(slot.shape).build(value)
    assert isinstance(slot.shape, Scalar)
    return slot.merged(old, slot.shape.raw(value, slot.bit_size))
