"""An agreement in a window: read to its end, and signed with fingers.

Run as a process of its own: `python -m tests.ui.signing` prints what the model was asked, and what
lay on the pad, as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tests.ui.states import AGREE, SIGNING, FakeModel
from tests.ui.tour import tour_of
from ui.models.agree import AgreeState
from ui.models.navigation import NavigationState
from ui.models.status import StatusState

SIZE = (800, 480)
REST_S = 1.0


def main() -> None:
    """Read and sign."""
    with tour_of(SIZE):
        found = {
            "long": Shown(AGREE).reads(),
            "short": Shown(replace(AGREE, paragraphs=("Only this.",))).reads(),
            "next": Shown(AGREE).reads_the_next_one(),
            "signed": Shown(SIGNING).signs(),
        }
    print(json.dumps(found))


class Shown:
    """The page in a window of its own, on a model that notes what it is asked."""

    def __init__(self, state: AgreeState) -> None:
        from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported

        from ui import app  # noqa: PLC0415 - imports the window

        self.model = FakeModel(state)
        navigation = FakeModel(NavigationState(can_go_back=True))
        for other in tuple(Window.children):
            Window.remove_widget(other)
        self.shell = app.make_shell(FakeModel(StatusState()))
        self.shell.show(lambda edit: app.page_class("agree")(self.model, navigation, edit))
        Window.add_widget(self.shell)
        self.page: Any = self.shell.page
        self.rest()

    def rest(self) -> None:
        """Let everything be laid out, and some time pass."""
        from kivy.base import EventLoop  # noqa: PLC0415 - as above

        until = time.monotonic() + REST_S
        while time.monotonic() < until:
            EventLoop.idle()

    def asked(self) -> list[str]:
        return [name for name, _arguments in self.model.asked]

    def reads(self) -> list[list[str]]:
        """What was asked before and after it was scrolled to its end."""
        before = self.asked()
        self.page.ids.reading.scroll_y = 0
        self.rest()
        return [before, self.asked()]

    def reads_the_next_one(self) -> list[object]:
        """Another text begins at its beginning, and is not read because the one before was."""
        self.page.ids.reading.scroll_y = 0
        self.rest()
        self.model.change(replace(AGREE, read=True))
        self.model.asked.clear()
        self.model.change(replace(AGREE, sha256="cd" * 32, read=False))
        self.rest()
        return [self.page.ids.reading.scroll_y, self.asked()]

    def signs(self) -> dict[str, object]:
        """Two fingers on the pad, one beside it, one that leaves it; wiped, and once more."""
        from kivy.tests.common import UnitTestTouch  # noqa: PLC0415 - as above

        pad = self.page.ids.pad
        seconds = iter(range(100))
        pad._now = lambda: float(next(seconds))

        def at(part_x: float, part_y: float) -> tuple[float, ...]:
            return tuple(pad.to_window(pad.x + part_x * pad.width, pad.top - part_y * pad.width))

        def finger(*places: tuple[float, float]) -> Callable[[], None]:
            touch = UnitTestTouch(*at(*places[0]))
            touch.touch_down()
            for place in places[1:]:
                touch.touch_move(*at(*place))
            end: Callable[[], None] = touch.touch_up
            return end

        up = finger((0.1, 0.1), (0.2, 0.1), (0.2001, 0.1))
        finger((0.5, 0.1), (0.6, 0.1))()  # The heel of the hand.
        up()
        finger((0.3, 0.2), (1.5, 0.2))()
        first, heights = pad.strokes, [pad.width, pad.height]
        pad.clear()
        wiped = [pad.strokes, pad.drawn]
        finger((0.1, -0.2), (0.1, 0.1))()  # Above the field.
        beside = pad.strokes
        finger((0.4, 0.1))()
        self.page.sign()
        self.rest()
        drawn = pad.drawn
        pad.height -= 20
        return {
            "strokes": first,
            "size": heights,
            "wiped": wiped,
            "beside": beside,
            "drawn": drawn,
            "signed": [arguments for name, arguments in self.model.asked if name == "sign"],
            "after another size": pad.strokes,
        }


if __name__ == "__main__":
    main()
