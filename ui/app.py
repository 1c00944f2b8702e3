"""The app: models below, one shell above, and what moves between them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from kivy.app import App
from kivy.clock import Clock
from kivy.core.text import LabelBase
from kivy.core.window import Window
from kivy.metrics import Metrics
from kivy.uix.boxlayout import BoxLayout

from appliance.client import Client
from ui import i18n, theme
from ui.backlight import Backlight
from ui.dark import Dark
from ui.manual import HelpModel
from ui.models.kit import Kit, Preferences
from ui.models.links import DefaultLink
from ui.screens.page import Page
from ui.settings import Settings, SettingsModel
from ui.shell import Shell
from ui.way import OWN, Way, WayState
from ui.widgets.statusbar import StatusBar

FONTS = Path(__file__).parent / "fonts"

PAGES: dict[str, str] = {
    "unlock": "ui.screens.unlock.UnlockPage",
    "home": "ui.screens.home.HomePage",
    "new_job": "ui.screens.new_job.NewJobPage",
    "vehicle": "ui.screens.vehicle.VehiclePage",
    "work": "ui.screens.work.WorkPage",
    "plan": "ui.screens.plan.PlanPage",
    "agree": "ui.screens.agree.AgreePage",
    "gates": "ui.screens.gates.GatesPage",
    "acknowledge": "ui.screens.acknowledge.AcknowledgePage",
    "write": "ui.screens.write.WritePage",
    "result": "ui.screens.result.ResultPage",
    "recovery": "ui.screens.recovery.RecoveryPage",
    "gone": "ui.screens.gone.GonePage",
    "backups": "ui.screens.backups.BackupsPage",
    "records": "ui.screens.records.RecordsPage",
    "orders": "ui.screens.orders.OrdersPage",
    "menu": "ui.screens.menu.MenuPage",
    "settings": "ui.screens.settings.SettingsPage",
    "technicians": "ui.screens.technicians.TechniciansPage",
    "media": "ui.screens.media.MediaPage",
    "sensor": "ui.screens.sensor.SensorPage",
    "links": "ui.screens.links.LinksPage",
    "network": "ui.screens.network.NetworkPage",
    "workshop": "ui.screens.workshop.WorkshopPage",
    "help": "ui.screens.help.HelpPage",
    "about": "ui.screens.about.AboutPage",
}
"""The class of each screen, loaded when it is first shown."""
FETCHED = OWN - {"menu", "settings"}
"""Of the screen's own ones those whose model fetches what it shows; the kit opens its own."""


def page_class(screen: str) -> type[Page]:
    """The class of a screen."""
    module, name = PAGES[screen].rsplit(".", 1)
    found: type[Page] = getattr(import_module(module), name)
    return found


class FieldKitApp(App):  # type: ignore[misc]  # Kivy brings no types
    """Shows the kit.

    Args:
        folder: the screen's own, for settings and place.
        settings: those to begin with.
        socket: the appliance's; the kit's own where it is None.
    """

    title = "fieldkit"

    def __init__(self, folder: Path, settings: Settings, socket: Path | None) -> None:
        super().__init__()
        self._backlight = Backlight()
        self.settings = SettingsModel(
            folder, settings, self._backlight, self._set_anew, Window.system_size
        )
        preferences = Preferences(
            DefaultLink(settings.link, lambda uri: self.settings.set("link", uri)),
            lambda: self.settings.state.settings.dark_after_min * 60.0,
        )
        self.kit = Kit(
            lambda: Client(socket),
            post,
            folder / "place.json",
            preferences=preferences,
        )
        self.way = Way(self.kit.navigation, self.kit.unlock.lock)
        self.help = HelpModel()
        self.shell: Shell | None = None
        self._models: dict[str, Any] = {
            **{name: getattr(self.kit, name) for name in PAGES if hasattr(self.kit, name)},
            "gone": self.kit.status,
            "menu": self.kit.status,
            "settings": self.settings,
            "help": self.help,
        }

    def load_kv(self, filename: str | None = None) -> bool:
        """No KV file of the app's own: each module loads its one."""
        del filename
        return False

    def build(self) -> BoxLayout:
        """Make the window's content."""
        self._take(self.settings.state.settings)
        set_up(*Window.size)  # of the window as it is turned now
        frame = BoxLayout()
        self._build_shell(frame)
        self._dark = Dark(Window, self.kit.rest, self._backlight, self.kit.unlock.touched)
        return frame

    def on_start(self) -> None:
        """The window is there: begin to ask the appliance."""
        self.kit.start()

    def on_stop(self) -> None:
        """The window is closed. A write that runs goes on without it."""
        self._dark.close()
        self.kit.close()
        if self.shell is not None:
            self.shell.close()

    def _build_shell(self, frame: BoxLayout) -> None:
        if self.shell is not None:
            self.shell.close()
        frame.clear_widgets()
        shell = make_shell(self.kit.status)
        self.shell, self._screen = shell, ""
        frame.add_widget(shell)
        shell.ended += [
            self.way.subscribe(self._moved),
            self.kit.messages.subscribe(
                lambda state: shell.say(state, self.kit.messages.confirm, self.kit.messages.dismiss)
            ),
            self.kit.unlock.subscribe(lambda state: shell.remind(state.locks_in_s)),
        ]

    def _moved(self, way: WayState) -> None:
        if way.screen == self._screen or self.shell is None:
            return
        self._screen = way.screen
        model = self._models[way.screen]
        if way.screen in FETCHED:
            model.open()
        self.shell.show(lambda edit: page_class(way.screen)(model, self.way, edit))

    def _take(self, settings: Settings) -> bool:
        """Use settings; says whether what is shown must be made anew."""
        shown = (theme.NOW.name, i18n.language(), Window.rotation)
        theme.NOW.use(settings.theme)
        i18n.use(settings.language)
        Window.clearcolor = theme.NOW.paper
        if Window.rotation != settings.rotation:
            Window.rotation = settings.rotation
        return shown != (theme.NOW.name, i18n.language(), Window.rotation)

    def _set_anew(self, settings: Settings) -> None:
        """Colours and words are read when widgets are made, so all of them are made anew."""
        if not self._take(settings):
            return
        # Not under the finger that is still on the row: its touch ends in the old tree.
        post(lambda: self._build_shell(self.root))


def post(action: Callable[[], None]) -> None:
    """Run something on the screen's thread, soon and in order. May be called from any thread."""
    Clock.schedule_once(lambda _dt: action(), 0)


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
