"""Notices: a confirmation, a warning, an error. Each kind has its own shape, word and colour."""

from __future__ import annotations

from kivy.properties import ColorProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from ui.i18n import _, n_
from ui.widgets import bar, kv, text

KINDS = ("confirm", "warning", "error")
WORDS = {"confirm": n_("Done"), "warning": n_("Attention"), "error": n_("Not possible")}


class Emblem(Widget):  # type: ignore[misc]  # Kivy brings no types
    """A disc with a tick, a triangle with an exclamation mark, an octagon with a cross."""

    kind = OptionProperty("confirm", options=KINDS)
    tint = ColorProperty("#000000")
    sides = NumericProperty(64)
    fill = ColorProperty(None, allownone=True)
    glyph = ColorProperty(None, allownone=True)
    """Instead of the kind's own colour on paper."""


class Notice(BoxLayout):  # type: ignore[misc]  # as above
    """The shape, the word, one sentence for what happened and one for what to do now."""

    kind = OptionProperty("confirm", options=KINDS)
    word = StringProperty()
    """Stands in for the kind's own word."""
    what = StringProperty()
    next_step = StringProperty()

    def heading(self, kind: str, word: str) -> str:
        """What stands beside the shape."""
        return word or _(WORDS[kind])


class Dialog(BoxLayout):  # type: ignore[misc]  # as above
    """A notice over the whole page with one or two buttons; fires `on_yes` and `on_no`."""

    kind = OptionProperty("confirm", options=KINDS)
    word = StringProperty()
    what = StringProperty()
    next_step = StringProperty()
    yes_words = StringProperty("OK")
    no_words = StringProperty()
    """Empty for a dialog that asks nothing. Not `yes` and `no`: Kivy would call the handlers of the
    events when the properties change.
    """

    __events__ = ("on_yes", "on_no")

    def on_yes(self) -> None:
        """For whoever asked."""

    def on_no(self) -> None:
        """For whoever asked."""


kv.load(text.__file__)
kv.load(bar.__file__)
kv.load(__file__)
