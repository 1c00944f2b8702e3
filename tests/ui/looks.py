"""What can be measured of a screen: targets, overlaps, cut text, contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ui import theme

SLACK = 1.5
"""Pixels that rounding may take."""


def tree(root: Any) -> Iterator[Any]:
    """Every widget that is on the screen."""
    yield root
    for child in root.children:
        yield from tree(child)


def problems(root: Any) -> list[str]:
    """Everything that is wrong with what is shown."""
    from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported
    from kivy.metrics import dp  # noqa: PLC0415 - as above
    from kivy.uix.behaviors import ButtonBehavior  # noqa: PLC0415 - as above
    from kivy.uix.label import Label  # noqa: PLC0415 - as above

    shown = list(tree(root))
    targets = [one for one in shown if isinstance(one, ButtonBehavior)]
    labels = [one for one in shown if isinstance(one, Label) and one.text.strip()]
    found = []
    for one in targets:
        box = on_window(one)
        if min(box[2] - box[0], box[3] - box[1]) < dp(theme.TOUCH) - SLACK:
            found.append(f"{called(one)} is too small to touch: {one.size}")
        if not scrolls(one) and not within(box, (0, 0, *Window.size)):
            found.append(f"{called(one)} is off the screen: {box}")
    found += overlapping(targets)
    for one in labels:
        found += cut(one)
        if one.font_size < dp(theme.TEXT) - SLACK:
            found.append(f"{called(one)} is too small to read: {one.font_size}")
    return found + faint(labels)


def on_window(one: Any) -> tuple[float, float, float, float]:
    """Left, lower, right and upper edge in the window's pixels."""
    left, lower = one.to_window(one.x, one.y)
    return left, lower, left + one.width, lower + one.height


def within(box: tuple[float, ...], outer: tuple[float, ...]) -> bool:
    return (
        box[0] >= outer[0] - SLACK
        and box[1] >= outer[1] - SLACK
        and box[2] <= outer[2] + SLACK
        and box[3] <= outer[3] + SLACK
    )


def scrolls(one: Any) -> bool:
    """Whether it lies in something that scrolls, so that it may be partly out of sight."""
    return view_of(one) is not None


def view_of(one: Any) -> Any:
    from kivy.uix.scrollview import ScrollView  # noqa: PLC0415 - as above

    above = one.parent
    while above is not None and above is not above.parent:
        if isinstance(above, ScrollView):
            return above
        above = above.parent
    return None


def overlapping(targets: list[Any]) -> list[str]:
    boxes = []
    for one in targets:
        box = on_window(one)
        view = view_of(one)
        if view is not None:
            # Only what can be seen of it can be touched.
            outer = on_window(view)
            box = (
                max(box[0], outer[0]), max(box[1], outer[1]),
                min(box[2], outer[2]), min(box[3], outer[3]),
            )  # fmt: skip
        if box[2] > box[0] and box[3] > box[1]:
            boxes.append((one, box))
    return [
        f"{called(one)} and {called(other)} overlap"
        for at, (one, a) in enumerate(boxes)
        for other, b in boxes[at + 1 :]
        if min(a[2], b[2]) - max(a[0], b[0]) > SLACK and min(a[3], b[3]) - max(a[1], b[1]) > SLACK
    ]


def cut(label: Any) -> list[str]:
    """A text that needs more room than it has, or runs out of its parent."""
    if label.width < 1 or label.height < 1:
        return []
    needs, has = label.texture_size, label.size
    if needs[0] > has[0] + SLACK or needs[1] > has[1] + SLACK:
        return [f"{called(label)} is cut: it needs {needs}, has {has}"]
    if label.shorten:
        return []
    if label.text_size[0] is not None and broken_word(label):
        return [f"{called(label)} breaks within a word"]
    box = on_window(label)
    above = label.parent
    while above is not None and above is not above.parent and view_of(label) is None:
        if not within(box, on_window(above)):
            return [f"{called(label)} runs out of {type(above).__name__}: {box} {on_window(above)}"]
        above = above.parent
    return []


def broken_word(label: Any) -> bool:
    """Whether its longest word is wider than a line, so that it was broken somewhere."""
    # A hash has no place where it could be broken.
    words = [word for word in label.text.split() if len(word) < 40]
    room = label.text_size[0] - label.padding[0] - label.padding[2]
    return any(label._label.get_extents(word)[0] > room + SLACK for word in words)


def faint(labels: list[Any]) -> list[str]:
    """Texts whose colour is none of the theme's readable ones on what is behind them."""
    found = []
    for label in labels:
        behind = backdrop(label)
        ratio = theme.contrast(tuple(label.color), behind)
        if ratio < 7:
            found.append(f"{called(label)} has contrast {ratio:.1f}")
    return found


def backdrop(one: Any) -> tuple[float, float, float, float]:
    """The colour that is laid under a widget: its own or that of what it lies on."""
    from kivy.graphics import Color, Ellipse, Rectangle, RoundedRectangle  # noqa: PLC0415 - as above

    while one is not None and one is not one.parent:
        # A label's own text is a rectangle in its canvas, so that only discs count there.
        for canvas, shapes in (
            (one.canvas.before, (RoundedRectangle, Rectangle)),
            (one.canvas, (Ellipse,)),
        ):
            colour: Any = None
            topmost: Any = None
            for instruction in canvas.children:
                if isinstance(instruction, Color):
                    colour = tuple(instruction.rgba)
                elif (
                    isinstance(instruction, shapes)
                    and colour
                    and instruction.size[1] > one.height / 2
                ):
                    topmost = (colour[0], colour[1], colour[2], 1.0)
            if topmost is not None:
                return topmost  # type: ignore[no-any-return]  # Kivy brings no types
        one = one.parent
    return 0.0, 0.0, 0.0, 1.0


def called(one: Any) -> str:
    text = getattr(one, "text", "") or getattr(one, "title", "") or getattr(one, "words", "")
    return f"{type(one).__name__} '{text[:40]}'"
