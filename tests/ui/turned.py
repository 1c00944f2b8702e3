"""The real app on a panel of any size, turned: what it is laid out as, and where a touch goes.

Run as a process of its own: `python -m tests.ui.turned 480x800 0 FOLDER`, with the size of the
panel, the rotation that is set, and where the picture of the panel goes; with `dark` behind these
the screen goes dark before the touch. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ui import looks
from ui import program
from ui.settings import Settings

LIMIT_S = 10.0


def main() -> int:
    """Show the settings, touch 'Language' with the panel's own pixels, and say what came of it."""
    size, folder = program.size(sys.argv[1]), Path(sys.argv[3])
    program.log_to_standard_error()
    program.prepare_environment(folder, kiosk=False)
    program.configure(*size, kiosk=False, rotation=int(sys.argv[2]))
    from kivy.base import EventLoop, runTouchApp  # noqa: PLC0415 - reads the environment when imported
    from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported

    from ui.app import FieldKitApp, page_class  # noqa: PLC0415 - imports the window

    app = FieldKitApp(folder, Settings(rotation=int(sys.argv[2])), folder / "no.sock")
    app._run_prepare()
    runTouchApp(embedded=True)  # Brings the input in, as `App.run` does.
    shell: Any = app.shell
    shell.show(lambda edit: page_class("settings")(app.settings, app.way, edit))

    def frames(count: int) -> None:
        for _frame in range(count):
            EventLoop.idle()

    frames(6)
    row = next(one for one in looks.tree(shell) if getattr(one, "key", None) == "language")
    x, y = row.to_window(*row.center)
    at = on_panel(x, y, Window)
    picture(Window, folder / "panel.png")

    def touch() -> None:
        Window.dispatch("on_mouse_down", *at, "left", [])
        frames(3)
        Window.dispatch("on_mouse_up", *at, "left", [])

    def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
        ends_at = time.monotonic() + limit_s
        while not condition() and time.monotonic() < ends_at:
            frames(1)
        return condition()

    found: dict[str, object] = {"size": list(Window.size), "rotation": Window.rotation}
    if "dark" in sys.argv:
        app.kit.rest._after_s = lambda: 0.5
        found["dark"] = until(lambda: app.kit.rest.state.dark)
        frames(3)
        picture(Window, folder / "dark.png")
        app.kit.rest._after_s = lambda: 0.0
        touch()
        found["opened by the touch that wakes it"] = until(lambda: bool(shell.page.view), 2.0)
        found["dark after it"] = app.kit.rest.state.dark
    touch()
    until(lambda: bool(shell.page.view))
    found["opened"] = shell.page.view
    json.dump(found, sys.stdout)
    sys.stdout.flush()
    EventLoop.close()
    app.on_stop()
    return 0


def picture(window: Any, path: Path) -> None:
    """What is on the panel."""
    from kivy.graphics.opengl import (  # noqa: PLC0415 - as above
        GL_RGB,
        GL_UNSIGNED_BYTE,
        glReadPixels,
    )
    from PIL import Image  # noqa: PLC0415 - as above

    window.dispatch("on_draw")
    pixels = glReadPixels(0, 0, *window.system_size, GL_RGB, GL_UNSIGNED_BYTE)
    image = Image.frombytes("RGB", window.system_size, bytes(pixels))
    image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(path)


def on_panel(x: float, y: float, window: Any) -> tuple[float, float]:
    """A point of the turned window in the panel's own pixels, from its upper left corner."""
    width, height = window.system_size
    left, lower = {
        0: (x, y),
        90: (width - y, x),
        180: (width - x, height - y),
        270: (y, height - x),
    }[window.rotation]
    return left, height - lower


if __name__ == "__main__":
    sys.exit(main())
