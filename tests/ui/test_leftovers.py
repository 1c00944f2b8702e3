"""The search for what holds a widget that was left over."""

from __future__ import annotations

from tests.ui import leftovers


class Thing:
    pass


KEPT: list[dict[str, Thing]] = []


def test_the_way_to_the_module_that_holds_something_is_told() -> None:
    thing = Thing()
    KEPT.append({"thing": thing})
    try:
        assert leftovers.held_by(thing) == f"Thing < dict < list < dict < {__name__}"
    finally:
        KEPT.clear()


def test_what_no_module_holds_is_told_by_its_nearest_holder() -> None:
    thing = Thing()
    thing.itself = [thing]  # type: ignore[attr-defined]  # a cycle
    assert leftovers.held_by(thing) == "list"
