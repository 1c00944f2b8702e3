"""About: what this kit is, and its diagnostics onto a stick."""

from __future__ import annotations

from appliance.client import messages
from ui.i18n import _
from ui.models import words
from ui.models.picking import StickRow, stick_row
from ui.models.shared import Asking, AskingState, Shared

LICENCE = "GPL-3.0-or-later"
FONTS = "DejaVu Sans 2.37"


class AboutState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    facts: label and value of what there is to know; empty until the appliance told it.
    sticks: where the diagnostics can be saved.
    saved: where they were saved, in the appliance's sentence; empty before that.
    """

    facts: tuple[tuple[str, str], ...] = ()
    sticks: tuple[StickRow, ...] = ()
    saved: str = ""


class AboutModel(Asking[AboutState]):
    """Tells what this kit is and saves its diagnostics."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(AboutState(), shared)

    def open(self) -> None:
        """The screen is shown."""
        empty = AboutState()
        self._change(**{name: getattr(empty, name) for name in AboutState.__struct_fields__})
        self._ask(lambda client: (client.about(), client.status()), lambda told: self._told(*told))

    def look_for_sticks(self) -> None:
        """See where the diagnostics can be saved."""
        self._change(saved="")
        self._ask(lambda client: client.sticks(), self._sticks)

    def save(self, stick: str) -> None:
        """Save them onto a stick (`StickRow.folder`)."""
        self._change(saved="")
        self._ask(lambda client: client.diagnostics_onto(stick), self._saved)

    def _told(self, about: messages.About, status: messages.KitStatus) -> None:
        storage = _("{free} of {size} free").format(
            free=words.size(about.free_bytes), size=words.size(about.size_bytes)
        )
        libraries = (f"{one.name} {one.version}" for one in about.libraries if one.version)
        facts = (
            (_("Kit"), about.kit),
            (_("Version"), about.version),
            (_("Storage"), storage),
            (_("Clock"), words.clock(status.clock.quality)),
            (_("Supply"), words.supply(status.supply)),
            (
                _("Technician"),
                " · ".join(filter(None, (status.technician, words.role(status.role)))),
            ),
            (_("Simulated"), ", ".join(map(words.simulated, status.simulated)) or _("nothing")),
            (_("System"), about.system),
            (_("Kernel"), about.kernel),
            ("Python", about.python),
            (_("Libraries"), ", ".join(libraries)),
            (_("Fonts"), FONTS),
            (_("Licence"), LICENCE),
        )
        self._change(facts=tuple((label, text) for label, text in facts if text))

    def _sticks(self, reply: messages.Sticks) -> None:
        self._change(sticks=tuple(stick_row(stick) for stick in reply.sticks))

    def _saved(self, reply: messages.SavedOnto) -> None:
        self._change(saved=reply.what)
