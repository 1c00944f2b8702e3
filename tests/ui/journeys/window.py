"""`fieldkit-ui` as it is, and beside it an answer to what its window shows.

`python -m tests.ui.journeys.window SOCKET ARGUMENTS...` runs the program's own `main` with
ARGUMENTS. A thread answers each connection to SOCKET with one line of JSON, a `View`. It only
looks: nothing can be pressed that way.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

FRAME_LIMIT_S = 5.0


class Target(Struct):
    """Something to touch: what it can be called by, and its middle in pixels from the top left."""

    names: list[str]
    x: int
    y: int


class View(Struct):
    """What the window shows in one frame.

    Attributes:
        page: class of the page, empty while there is no window yet.
        words: every text.
        targets: what can be touched now.
        lists: what scrolls, as left, top, width and height in pixels.
    """

    page: str = ""
    words: list[str] = []
    targets: list[Target] = []
    lists: list[tuple[int, int, int, int]] = []

    def says(self, text: str) -> bool:
        """Is this a part of a text that is shown?"""
        return any(text in one for one in self.words)

    @property
    def names(self) -> set[str]:
        """Names of all that can be touched."""
        return {name for one in self.targets for name in one.names}

    def offers(self, name: str) -> bool:
        """Can this be touched?"""
        return name in self.names


def main() -> int:
    """Run the program; returns its exit code."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    threading.Thread(target=_answer, args=(listener,), daemon=True).start()
    from ui import program  # noqa: PLC0415 - the socket is there from the first moment on

    return program.main(sys.argv[2:])


def _answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("wb") as lines:
            lines.write(msgspec.json.encode(_look()) + b"\n")


def _look() -> View:
    """Look at the tree on the thread that owns it, between two frames."""
    # Kivy must not be imported before the program has said what it is to read.
    made = vars(sys.modules["ui.app"]) if "ui.app" in sys.modules else {}
    app = made["App"].get_running_app() if "post" in made else None
    if app is None or app.root is None or app.shell is None:
        return View()
    seen: queue.SimpleQueue[View] = queue.SimpleQueue()
    made["post"](lambda: seen.put(_view(app)))
    try:
        return seen.get(timeout=FRAME_LIMIT_S)
    except queue.Empty:
        return View()


def _view(app: Any) -> View:
    from kivy.core.window import Window  # noqa: PLC0415 - it is open by now

    from tests.ui import sight  # noqa: PLC0415 - as above

    def middle(one: Any) -> Target:
        x, y = one.to_window(*one.center)
        return Target(sight.names(one), round(x), round(Window.height - y))

    def box(one: Any) -> tuple[int, int, int, int]:
        left, top = one.to_window(one.x, one.top)
        return round(left), round(Window.height - top), round(one.width), round(one.height)

    page = app.shell.page
    return View(
        page=type(page).__name__ if page is not None else "",
        words=sight.words(app.root),
        targets=[middle(one) for one in sight.targets(app.root)],
        lists=[box(one) for one in sight.lists(app.root)],
    )


if __name__ == "__main__":
    # A killed one before it left its own behind.
    Path(sys.argv[1]).unlink(missing_ok=True)
    sys.exit(main())
