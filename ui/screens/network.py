"""Wi-Fi: networks around, and joining or forgetting one."""

from __future__ import annotations

from ui.i18n import _
from ui.models.network import NetworkRow, NetworkState
from ui.screens.page import Rows
from ui.screens.sheet import Sheet
from ui.widgets import marks


class NetworkPage(Sheet):
    """Bound to `NetworkModel`. `view` is the network that is looked at."""

    def title(self, state: NetworkState, view: str) -> str:
        """All, or the one that is looked at."""
        del state
        return view or _("Wi-Fi")

    def hint(self, state: NetworkState, view: str) -> str:
        """Why there is none, what was done, or that none is around."""
        if state.missing:
            return f"{marks.NOTE} {state.missing}"
        if state.done:
            return f"{marks.DONE} {state.done}"
        one = self._one(state, view)
        if one is not None and not one.usable:
            return (
                _("This network is out of reach.")
                if one.signal is None
                else _("This network asks for more than a passphrase; the kit cannot join it.")
            )
        if not view and not state.networks and not state.busy and not state.what:
            return _("No network is in reach.")
        return ""

    def rows(self, state: NetworkState, view: str) -> Rows:
        """All networks, or what can be done with one."""
        if view:
            one = self._one(state, view)
            forget: dict[str, object] = {
                "key": "forget",
                "title": _("Forget"),
                "detail": _("The kit does not join it by itself any more"),
            }
            return [forget] if one is not None and one.known else []
        return [
            {
                "key": one.ssid,
                "title": one.ssid,
                "detail": self._detail(one),
                "mark": marks.DONE if one.joined else marks.WAITING,
                "tone": "good" if one.joined else "plain",
            }
            for one in state.networks
        ]

    def action(self, state: NetworkState, view: str) -> str:
        """Join the one that is looked at, or look around again."""
        if state.busy:
            return ""
        if not view:
            return _("Look again")
        one = self._one(state, view)
        return _("Join") if one is not None and one.usable and not one.joined else ""

    def choose(self, key: str | int) -> None:
        """Look at a network, or forget it."""
        if self.view:
            self.model.forget(self.view)
        else:
            self.model.put_away()
            self.view = str(key)

    def act(self) -> None:
        """Join, with its passphrase where it asks for one; or look around again."""
        view = self.view
        one = self._one(self.state, view)
        if one is None:
            self.model.look_again()
        elif one.asks:
            self.edit(
                _("Passphrase of the network"),
                "",
                lambda text: self.model.join(view, text),
                secret=True,
                longest=63,
            )
        else:
            self.model.join(view)

    def _one(self, state: NetworkState, view: str) -> NetworkRow | None:
        return next((one for one in state.networks if one.ssid == view), None)

    def _detail(self, one: NetworkRow) -> str:
        words = [
            _("Out of reach") if one.signal is None else f"{one.signal} %",
            _("joined") if one.joined else _("known") if one.known else "",
            "" if one.secured else _("open"),
        ]
        return ", ".join(filter(None, words))
