"""Widgets that outlive the screen they were made for: how many of each type, and what holds one."""

from __future__ import annotations

import gc
from types import FrameType, ModuleType
from typing import Any

LOOKED_AT = 400
"""Holders that are gone through to find the one in a module: each takes a look at every object."""

NAMED = 5


def told() -> list[str]:
    """A sentence for each type of widget that Python still holds after a collection."""
    from kivy.uix.widget import Widget  # noqa: PLC0415 - opens the window when imported

    gc.collect()
    kinds: dict[type, list[Any]] = {}
    for one in gc.get_objects():
        if issubclass(type(one), Widget):
            kinds.setdefault(type(one), []).append(one)
    return [
        f"{kind.__name__}: {len(kinds[kind])} left over; held by {held_by(kinds[kind].pop())}"
        for kind in kinds
    ]


def held_by(one: object) -> str:
    """The shortest way from an object to a module that holds it; without one, its nearest holders.

    Frames do not count: they are those of this search.
    """
    objects, below, known = [one], [0], {id(one)}
    for at in range(LOOKED_AT):
        if at == len(objects):
            break
        for holder in gc.get_referrers(objects[at]):
            if id(holder) in known or holder is objects or isinstance(holder, FrameType):
                continue
            known.add(id(holder))
            objects.append(holder)
            below.append(at)
            if isinstance(holder, ModuleType):
                return " < ".join(_called(objects[step]) for step in _way(len(objects) - 1, below))
    nearest = [_called(objects[at]) for at in range(1, len(objects)) if below[at] == 0]
    return ", ".join(nearest[:NAMED]) or "nothing"


def _way(at: int, below: list[int]) -> list[int]:
    way = [at]
    while way[-1]:
        way.append(below[way[-1]])
    return way[::-1]


def _called(one: object) -> str:
    if isinstance(one, ModuleType):
        return one.__name__
    name = getattr(one, "__qualname__", "")
    return f"{type(one).__name__} {name}".strip()
