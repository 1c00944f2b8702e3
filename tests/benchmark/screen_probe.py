"""The screen with a watch on its window: says when it drew what. A process of its own.

    python -m tests.benchmark.screen_probe app SOCKET     `fieldkit-ui` on a kit
    python -m tests.benchmark.screen_probe bare           a Kivy window with one label
    python -m tests.benchmark.screen_probe list COUNT     so many jobs, opened and scrolled

All but `list` say `{"first": SECONDS}` (monotonic clock) when the first frame is drawn that shows
what the appliance answered. To each line `touch WORDS` `app` answers with the milliseconds from a
finger on that button, as SDL tells of one, to the frame that shows it; with null where there is no
such button. A frame is drawn when the graphics library has finished it.
"""

from __future__ import annotations

import ctypes
import json
import queue
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ui import program

SIZE = (800, 480)
ELSEWHERE = (400, 20)
"""Where the finger is lifted: on the status bar, so that the button does nothing."""
SHOWN_WITHIN_S = 5.0
BETWEEN_S = 0.15


def main() -> None:
    """Run one of them until it is ended."""
    kind, *more = sys.argv[1:]
    if kind == "app":
        _with_watch()
        sys.exit(program.main(["--socket", *more]))
    if kind == "bare":
        _bare()
    elif kind == "list":
        from tests.benchmark.screen_list import measure  # noqa: PLC0415 - opens a window

        say(**measure(int(more[0])))


def say(**what: object) -> None:
    """One line for whoever measures."""
    print(json.dumps(what), flush=True)


def _with_watch() -> None:
    """Let the program open its window as ever, and watch that."""
    configure = program.configure
    kept = []  # Kivy does not hold whom it tells.

    def watched(*arguments: Any, **options: Any) -> None:
        configure(*arguments, **options)
        kept.append(Watch())

    program.configure = watched


def _bare() -> None:
    with tempfile.TemporaryDirectory() as home:
        program.log_to_standard_error()
        program.prepare_environment(Path(home), kiosk=False)
        program.configure(*SIZE, kiosk=False, rotation=0)
        from kivy.base import runTouchApp  # noqa: PLC0415 - reads the environment when imported
        from kivy.core.window import Window  # noqa: PLC0415 - as above
        from kivy.graphics.opengl import glFinish  # noqa: PLC0415 - as above
        from kivy.uix.label import Label  # noqa: PLC0415 - as above

        def flipped(_window: object) -> None:
            Window.unbind(on_flip=flipped)
            glFinish()
            say(first=time.monotonic())

        Window.bind(on_flip=flipped)
        runTouchApp(Label(text="fieldkit"))


class Watch:
    """Looks at each frame when it is drawn, and puts fingers on buttons."""

    def __init__(self) -> None:
        from kivy.app import App  # noqa: PLC0415 - as above
        from kivy.clock import Clock  # noqa: PLC0415 - as above
        from kivy.core.window import Window  # noqa: PLC0415 - as above
        from kivy.graphics.opengl import glFinish  # noqa: PLC0415 - as above

        self._app, self._clock, self._finish = App.get_running_app, Clock, glFinish
        self._answered = False
        self._button: Any = None
        self._touched_at = 0.0
        self._took: queue.SimpleQueue[float] = queue.SimpleQueue()
        Window.bind(on_flip=self._flipped)

    def _flipped(self, _window: object) -> None:
        self._finish()
        now = time.monotonic()
        if not self._answered and getattr(self._app(), "_screen", "") not in {"", "gone"}:
            self._answered = True
            say(first=now)
            threading.Thread(target=self._listen, daemon=True).start()
        if self._button is not None and self._button.state == "down":
            self._button = None
            self._took.put((now - self._touched_at) * 1e3)

    def _listen(self) -> None:
        fingers = Fingers()
        for line in sys.stdin:
            say(took=self._touch(fingers, line.strip().removeprefix("touch ")))

    def _touch(self, fingers: Fingers, words: str) -> float | None:
        found: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._clock.schedule_once(lambda _dt: found.put(self._find(words)), 0)
        button = found.get(timeout=SHOWN_WITHIN_S)
        if button is None:
            return None
        # At any moment between two frames.
        time.sleep(BETWEEN_S + random.random() / 10)
        x, y = button.center
        self._touched_at, self._button = time.monotonic(), button
        fingers.down(int(x), int(SIZE[1] - y))
        try:
            return self._took.get(timeout=SHOWN_WITHIN_S)
        except queue.Empty:
            return None
        finally:
            self._button = None
            fingers.up(*ELSEWHERE)

    def _find(self, words: str) -> Any:
        from tests.ui.looks import tree  # noqa: PLC0415 - not before the window is there

        shown = (one for one in tree(self._app().root) if getattr(one, "words", "") == words)
        return next(shown, None)


class _Mouse(ctypes.Structure):
    """SDL_MouseButtonEvent and, with `relative`, SDL_MouseMotionEvent (SDL 2, SDL_events.h)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("timestamp", ctypes.c_uint32),
        ("window", ctypes.c_uint32),
        ("which", ctypes.c_uint32),
        ("button", ctypes.c_uint8 * 4),
        ("x", ctypes.c_int32),
        ("y", ctypes.c_int32),
        ("relative", ctypes.c_int32 * 2),
        ("_rest", ctypes.c_uint8 * 24),
    )


class Fingers:
    """Events for SDL's own queue, which any thread may fill."""

    _MOTION, _DOWN, _UP, _LEFT = 0x400, 0x401, 0x402, 1

    def __init__(self) -> None:
        maps = Path("/proc/self/maps").read_text().splitlines()
        (path,) = {line.split(maxsplit=5)[5] for line in maps if "/libSDL2-2" in line}
        self._sdl = ctypes.CDLL(path)

    def down(self, x: int, y: int) -> None:
        """Put a finger there."""
        self._push(self._DOWN, x, y, (self._LEFT, 1, 1, 0))

    def up(self, x: int, y: int) -> None:
        """Move it there and lift it."""
        self._push(self._MOTION, x, y, (self._LEFT, 0, 0, 0))
        self._push(self._UP, x, y, (self._LEFT, 0, 1, 0))

    def _push(self, kind: int, x: int, y: int, button: tuple[int, ...]) -> None:
        event = _Mouse(type=kind, window=1, x=x, y=y)
        event.button[:] = button
        self._sdl.SDL_PushEvent(ctypes.byref(event))


if __name__ == "__main__":
    main()
