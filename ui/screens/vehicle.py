"""Vehicle: choose a link and an ECU, see what it says of itself, back it up."""

from __future__ import annotations

from ui.i18n import _
from ui.models.vehicle import ValueRow, VehicleState
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, marks, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file


class VehiclePage(Page):
    """Bound to `VehicleModel`. Three steps: the link, the ECU, what was read."""

    def title(self, state: VehicleState) -> str:
        """What is asked for, or which ECU was read."""
        if state.can_go_on:
            return state.title or state.ecu
        return _("Which ECU?") if state.link else _("How is the car connected?")

    def links(self, state: VehicleState) -> Rows:
        """Links of the kit, and ECUs that announced themselves on one."""
        found: Rows = [
            {
                "key": one.link,
                "title": _("ECU at {address}").format(address=one.address),
                "detail": one.vin,
                "mark": marks.NOTE,
            }
            for one in state.found
        ]
        return found + [
            {
                "key": one.uri,
                "title": one.name,
                "detail": _("Look for ECUs on it") if one.discovery else one.uri.split("?")[0],
                "mark": marks.LINKED,
            }
            for one in state.links
        ]

    def ecus(self, state: VehicleState) -> Rows:
        """Kinds of ECU that the kit knows."""
        return [
            {
                "key": one.profile,
                "title": one.title,
                "detail": one.problem or self._can(one.can_flash, one.can_code),
                "mark": marks.WARNING if one.problem else marks.WAITING,
                "tone": "warn" if one.problem else "plain",
            }
            for one in state.ecus
        ]

    def rows(self, state: VehicleState) -> Rows:
        """What can be chosen in this step."""
        return self.ecus(state) if state.link else self.links(state)

    def pairs(self, values: tuple[ValueRow, ...]) -> list[tuple[str, str]]:
        """What the ECU says of itself; a value that it refused says why."""
        return [
            (one.label or one.did, f"{marks.FAILED} {one.refused}" if one.refused else one.text)
            for one in values
        ]

    def hint(self, state: VehicleState) -> str:
        """What stands there for an empty list, and for a car that is not the job's."""
        if state.vin_differs:
            return _("The ECU belongs to another VIN: {vin}.").format(vin=state.vin_differs)
        if state.busy:
            return ""
        if state.searched and not state.found and not state.link:
            return _("No ECU announced itself. Switch the ignition on and look again.")
        return ""

    def choose(self, key: str) -> None:
        """Take a link or an ECU."""
        state: VehicleState = self.state
        if state.busy:
            return
        if state.link:
            self.model.choose(state.link, key)
            self.model.identify()
        elif any(one.uri == key and one.discovery for one in state.links):
            self.model.discover(key)
        else:
            self.model.choose(key, "")

    def _can(self, can_flash: bool, can_code: bool) -> str:
        words = [_("Programming")] * can_flash + [_("Coding")] * can_code
        return ", ".join(words) or _("Reading only")


kv.load(listing.__file__)
kv.load(values.__file__)
kv.load(__file__)
