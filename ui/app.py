"""The app: models below, one shell above, and what moves between them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from kivy.core.text import LabelBase
from kivy.core.window import Window
from kivy.metrics import Metrics

from ui import theme
from ui.screens.page import Page
from ui.shell import Shell
from ui.widgets.statusbar import StatusBar

FONTS = Path(__file__).parent / "fonts"

PAGES: dict[str, str] = {
    "unlock": "ui.screens.unlock.UnlockPage",
    "home": "ui.screens.home.HomePage",
    "new_job": "ui.screens.new_job.NewJobPage",
    "vehicle": "ui.screens.vehicle.VehiclePage",
    "work": "ui.screens.work.WorkPage",
    "plan": "ui.screens.plan.PlanPage",
    "gates": "ui.screens.gates.GatesPage",
    "acknowledge": "ui.screens.acknowledge.AcknowledgePage",
    "write": "ui.screens.write.WritePage",
    "result": "ui.screens.result.ResultPage",
    "recovery": "ui.screens.recovery.RecoveryPage",
    "gone": "ui.screens.gone.GonePage",
}
"""The class of each screen, loaded when it is first shown."""


def page_class(screen: str) -> type[Page]:
    """The class of a screen."""
    module, name = PAGES[screen].rsplit(".", 1)
    found: type[Page] = getattr(import_module(module), name)
    return found


def set_up(width: int, height: int) -> None:
    """Register the font and scale everything to the window."""
    LabelBase.register(
        "Roboto",  # The name that every label asks for by default.
        str(FONTS / "DejaVuSans.ttf"),
        fn_bold=str(FONTS / "DejaVuSans-Bold.ttf"),
    )
    Metrics.density = theme.scale_of(width, height)
    Window.clearcolor = theme.NOW.paper


def make_shell(status: Any) -> Shell:
    """A shell with its status bar bound to a model."""
    bar = StatusBar(state=status.state)
    shell = Shell(bar)
    shell.ended.append(status.subscribe(lambda state: setattr(bar, "state", state)))
    return shell
