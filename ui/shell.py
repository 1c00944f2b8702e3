"""`Shell`: the status bar, one page below it, and what may lie over the page.

A page is made when its screen is shown and let go when it is left. Over it lies at most one thing:
a message that must be answered, or the keyboard while a line is typed.
"""

from __future__ import annotations

from collections.abc import Callable

from kivy.properties import ObjectProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout

from ui.i18n import _
from ui.screens.page import Edit, Page
from ui.widgets.keyboard import Editor
from ui.widgets.notice import Dialog

KINDS = {"confirmation": "confirm", "warning": "warning", "error": "error"}
"""The models' kinds of message, as `Notice` draws them."""


class Covered(FloatLayout):  # type: ignore[misc]  # Kivy brings no types
    """The page and what lies over it; only the topmost takes touches and is drawn."""

    def put(self, widget: object) -> None:
        """Show this and nothing else."""
        if self.children != [widget]:
            self.clear_widgets()
            self.add_widget(widget)


class Shell(BoxLayout):  # type: ignore[misc]  # as above
    """See the module.

    Args:
        status: the status bar, already bound to its model.
    """

    page = ObjectProperty(None, allownone=True)

    def __init__(self, status: object) -> None:
        super().__init__(orientation="vertical")
        self._area = Covered()
        self._dialog: Dialog | None = None
        self._editor: Editor | None = None
        self._reminder: Dialog | None = None
        self.ended: list[Callable[[], None]] = []
        """Called when the shell is closed: ends of subscriptions."""
        self.add_widget(status)
        self.add_widget(self._area)

    def show(self, make: Callable[[Edit], Page]) -> None:
        """Show another page; half-typed text of the one before is not kept."""
        old = self.page
        self._editor = None
        self.page = make(self.edit)
        if old is not None:
            old.close()
        self._arrange()

    def say(
        self, message: object, confirm: Callable[[], None], dismiss: Callable[[], None]
    ) -> None:
        """Show a message of `MessagesModel`, or take it away where its kind is empty."""
        kind = KINDS.get(getattr(message, "kind", ""))
        self._dialog = None
        if kind is not None:
            self._dialog = Dialog(
                kind=kind,
                word=self._word(kind),
                what=getattr(message, "what", ""),
                next_step=getattr(message, "next_step", ""),
                yes_words=getattr(message, "yes", ""),
                no_words=getattr(message, "no", ""),
            )
            self._dialog.bind(on_yes=lambda _it: confirm(), on_no=lambda _it: dismiss())
        self._arrange()

    def remind(self, locks_in_s: int | None) -> None:
        """Say that the kit locks itself soon; any touch takes it back, which the model sees."""
        if locks_in_s is None:
            self._reminder = None
        else:
            self._reminder = self._reminder or Dialog(kind="warning", word=_("Still there?"))
            self._reminder.what = _("The kit locks itself in {seconds} s.").format(
                seconds=locks_in_s
            )
            self._reminder.next_step = _("Touch the screen to go on.")
        self._arrange()

    def edit(
        self,
        label: str,
        value: str,
        done: Callable[[str], object],
        page: str = "letters",
        *,
        secret: bool = False,
        longest: int = 200,
    ) -> None:
        """Open the keyboard for one line; `done` gets it when OK is pressed."""

        def typed(text: str) -> None:
            self._editor = None
            self._arrange()
            done(text)

        self._editor = Editor(
            label=label, value=value, page=page, is_secret=secret, longest=longest, done=typed
        )
        self._arrange()

    def close(self) -> None:
        """Let the page and every subscription go."""
        while self.ended:
            self.ended.pop()()
        if self.page is not None:
            self.page.close()
            self.page = None
        self._dialog = self._editor = self._reminder = None
        self._area.clear_widgets()

    def _word(self, kind: str) -> str:
        # A question is no "Done": the sentence itself is the heading's business.
        return _("Please confirm") if kind == "confirm" else ""

    def _arrange(self) -> None:
        top = self._reminder or self._dialog or self._editor or self.page
        if top is not None:
            self._area.put(top)
