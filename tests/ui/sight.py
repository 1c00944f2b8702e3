"""What a person finds on the screen: the words, what can be touched, and what can be scrolled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.ui.looks import tree, view_of


def words(root: Any) -> list[str]:
    """Every text on the screen."""
    return [one.text for one in tree(root) if getattr(one, "text", "")]


def names(target: Any) -> list[str]:
    """What a target can be called by: a key's name, a button's words, a row's title."""
    found = (getattr(target, name, None) for name in ("key", "words", "title"))
    return [one for one in found if isinstance(one, str) and one]


def targets(root: Any) -> Iterator[Any]:
    """Everything that can be touched now: its middle has not scrolled away."""
    from kivy.uix.behaviors import ButtonBehavior  # noqa: PLC0415 - opens the window

    return (one for one in tree(root) if isinstance(one, ButtonBehavior) and _is_in_sight(one))


def lists(root: Any) -> list[Any]:
    """Everything that scrolls."""
    return [one for one in tree(root) if hasattr(one, "scroll_y")]


def _is_in_sight(one: Any) -> bool:
    view = view_of(one)
    if view is None:
        return True
    low = view.to_window(*view.pos)[1]
    middle = one.to_window(*one.center)[1]
    return bool(low <= middle <= low + view.height)
