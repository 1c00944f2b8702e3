"""`fieldkit-ui`: the program of the touchscreen.

Kivy reads its environment and configuration when it is imported. Everything that it is to know is
therefore set here first, and it finds nothing of the person's own: no arguments, no folder in the
home directory, no input device beyond the one that is meant.

Exit codes: 0 closed, 64 usage, 69 no screen to draw on.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ui import i18n, theme

EX_USAGE = 64
EX_UNAVAILABLE = 69
SMALLEST = (theme.WIDTH, theme.HEIGHT)
FRAMES_PER_S = 30


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # it never returns either
        self.exit(EX_USAGE, f"{message[:1].upper()}{message[1:]}.\nSee 'fieldkit-ui --help'.\n")


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    it = _Parser(
        prog="fieldkit-ui", description="The kit's touchscreen: shows and asks, never decides."
    )
    it.add_argument(
        "--socket", type=Path, metavar="PATH", help="the appliance's socket; else FIELDKIT_RUN's"
    )
    it.add_argument(
        "--size",
        type=size,
        default=SMALLEST,
        metavar="WxH",
        help="window in pixels, 800x480, 480x800 or larger (default 800x480); the kiosk takes the "
        "panel's",
    )
    it.add_argument(
        "--kiosk", action="store_true", help="the whole panel, without a desktop and a pointer"
    )
    it.add_argument("--theme", choices=sorted(theme.THEMES), help="instead of the one that is set")
    it.add_argument(
        "--language", choices=sorted(i18n.LANGUAGES), help="instead of the one that is set"
    )
    it.add_argument(
        "--rotation",
        type=int,
        choices=(0, 90, 180, 270),
        help="degrees: 0 or 180; for a panel that is taller than wide 90 or 270",
    )
    return it


def size(text: str) -> tuple[int, int]:
    """`WxH` as two numbers.

    Raises:
        argparse.ArgumentTypeError: it is no size, or one that the screens do not fit.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write it as 800x480")
    width, height = int(found[1]), int(found[2])
    if min(width, height) < min(SMALLEST) or max(width, height) < max(SMALLEST):
        raise argparse.ArgumentTypeError(f"{text} is too small; the screens need 800x480")
    return width, height


def state_folder() -> Path:
    """The screen's own folder: systemd's, else the usual one of the person.

    `FIELDKIT_UI_STATE` names another.
    """
    own = os.environ.get("FIELDKIT_UI_STATE") or os.environ.get("STATE_DIRECTORY")
    if own:
        return Path(own.partition(":")[0])
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "fieldkit-ui"


def prepare_environment(folder: Path, *, kiosk: bool) -> None:
    """Say to Kivy and SDL what they read from the environment. Before Kivy is imported."""
    home = folder / "kivy"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        KIVY_NO_ARGS="1",
        KIVY_HOME=str(home),
        KIVY_NO_FILELOG="1",
        KIVY_NO_CONFIG="1",
        # Kivy leaves the root logger alone; what matters goes to standard error, once.
        KIVY_LOG_MODE="PYTHON",
        KIVY_NO_CONSOLELOG="1",
        KIVY_METRICS_FONTSCALE="1",
    )
    if kiosk:
        os.environ.setdefault("SDL_VIDEODRIVER", "kmsdrm")


def log_to_standard_error() -> None:
    """Warnings and errors, in one line each, for the journal or the terminal."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Kivy sets its own logger to tell everything; the handler has the last word.
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.WARNING)
    # Kivy tries every input provider there is and reports those it cannot load; none is used.
    logging.getLogger("kivy").addFilter(lambda record: "MTDev" not in record.getMessage())


def configure(width: int, height: int, *, kiosk: bool, rotation: int) -> None:
    """Kivy's own settings. Before the window is imported."""
    from kivy.config import Config  # noqa: PLC0415 - reads the environment when imported

    for key, value in {
        "width": width,
        "height": height,
        "minimum_width": min(width, SMALLEST[0]),
        "minimum_height": min(height, SMALLEST[0] if height > width else SMALLEST[1]),
        "fullscreen": "auto" if kiosk else "0",
        "borderless": "0",
        "resizable": "0",
        "rotation": rotation,
        "maxfps": FRAMES_PER_S,
        "show_cursor": int(not kiosk),
        "multisamples": 0,
        "allow_screensaver": int(not kiosk),
    }.items():
        Config.set("graphics", key, str(value))
    Config.set("kivy", "exit_on_escape", "0")
    Config.set("kivy", "log_level", "warning")
    Config.set("kivy", "keyboard_mode", "system")
    Config.set("kivy", "desktop", str(int(not kiosk)))
    # No touchring, no inspector, no screenshot key.
    Config.remove_section("modules")
    Config.add_section("modules")
    # Exactly one provider. SDL brings the panel's fingers by itself; a desktop has its mouse.
    Config.remove_section("input")
    Config.add_section("input")
    if not kiosk:
        Config.set("input", "mouse", "mouse,disable_multitouch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the screen until it is closed; returns the exit code."""
    options = parser().parse_args(arguments)
    log_to_standard_error()
    folder = state_folder()
    try:
        prepare_environment(folder, kiosk=options.kiosk)
    except OSError as error:
        print(
            f"The screen's own folder {folder} cannot be made: {error.strerror}.\n"
            "Set FIELDKIT_UI_STATE to a folder that can be written.",
            file=sys.stderr,
        )
        return EX_UNAVAILABLE
    return show(options, folder)


def show(options: argparse.Namespace, folder: Path) -> int:
    """Open the window and run the app in it."""
    # Where rich is installed, as for the command line, httpx would bring a command line of its own
    # along: a fifth of a second and 10 MB for nothing.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # so an import is refused
    from ui.settings import load  # noqa: PLC0415 - as below

    settings = load(folder).changed_by(options)
    configure(*options.size, kiosk=options.kiosk, rotation=settings.rotation)
    from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported

    if Window is None:
        print(
            "There is no screen that this program could draw on.\n"
            "Start it from a desktop, or with --kiosk on the kit itself.",
            file=sys.stderr,
        )
        return EX_UNAVAILABLE
    from ui.app import FieldKitApp  # noqa: PLC0415 - imports the window

    FieldKitApp(folder, settings, options.socket).run()
    return 0
