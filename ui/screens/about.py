"""About: version, licence, and what on this kit is simulated."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from ui.i18n import _
from ui.models.status import StatusState
from ui.screens.page import Page
from ui.widgets import kv, marks, values


def kit_version() -> str:
    """The version of this program; a dash where it was not installed."""
    try:
        return version("fieldkit")
    except PackageNotFoundError:
        return marks.NONE


class AboutPage(Page):
    """Bound to the status."""

    def pairs(self, state: StatusState) -> list[tuple[str, str]]:
        """What there is to know."""
        return [
            (_("Version"), kit_version()),
            (_("Licence"), "GPL-3.0-or-later"),
            (_("Fonts"), "DejaVu Sans 2.37"),
            (
                _("Technician"),
                " · ".join(filter(None, (state.technician, state.role))) or marks.NONE,
            ),
            (_("Simulated"), ", ".join(state.simulated) or _("nothing")),
        ]


kv.load(values.__file__)
kv.load(__file__)
