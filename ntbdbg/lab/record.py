# SPDX-License-Identifier: MIT
"""Frozen records without generated code.

``@dataclass(frozen=True)`` compiles six functions per class when it is imported; for the
manifest that is a fifth of the time that ``ntbdbg dump`` takes as a whole. A `Record` is
declared and used like a frozen dataclass, and `dataclasses.replace`, `asdict` and `fields`
take it, but nothing is generated until one of those is used.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, dataclass_transform


class _LazyFields:
    """``__dataclass_fields__``, made by `dataclasses` itself when it is first looked at."""

    def __get__(self, _: object, owner: type[Record]) -> dict[str, Any]:
        import dataclasses

        body: dict[str, Any] = {"__annotations__": owner.__annotations__, **owner.defaults}
        made: Any = dataclasses.dataclass(type(owner.__name__, (), body))
        fields: dict[str, Any] = made.__dataclass_fields__
        type.__setattr__(owner, "__dataclass_fields__", fields)
        return fields


@dataclass_transform(frozen_default=True)
class Record:
    """Base of records: fields are the class's annotations, in order; values are frozen.

    :cvar names: the fields
    :cvar defaults: values of those that may be left out
    """

    names: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, Any]] = {}
    __dataclass_fields__: ClassVar[Any] = _LazyFields()

    def __init_subclass__(cls) -> None:
        cls.names = tuple(cls.__annotations__)
        cls.defaults = {name: cls.__dict__[name] for name in cls.names if name in cls.__dict__}
        cls.__dataclass_fields__ = _LazyFields()

    def __init__(self, *values: Any, **named: Any) -> None:
        if len(values) > len(self.names):
            raise TypeError(f"{type(self).__name__} takes {len(self.names)} values")
        given = dict(zip(self.names, values, strict=False))
        if twice := given.keys() & named.keys():
            raise TypeError(f"{type(self).__name__}: {', '.join(twice)} given twice")
        state = self.defaults | given | named
        if wrong := state.keys() ^ set(self.names):
            raise TypeError(f"{type(self).__name__}: {', '.join(sorted(wrong))} missing or unknown")
        self.__dict__.update(state)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__[name] for name in self.names))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.names)
        return f"{type(self).__name__}({fields})"
