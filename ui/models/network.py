"""Wi-Fi: networks around, joining and forgetting one. The appliance does it, where it can."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import messages
from ui.i18n import _
from ui.models.shared import Asking, AskingState, Shared


class NetworkRow(Struct, frozen=True, kw_only=True):
    """A network; `signal` in percent, None while it is out of reach."""

    ssid: str
    signal: int | None
    secured: bool
    usable: bool
    known: bool
    joined: bool

    @property
    def asks(self) -> bool:
        """Its passphrase must be typed."""
        return self.secured and not self.known


class NetworkState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    missing: why this kit has no Wi-Fi, in the appliance's words; empty where it has.
    networks: the joined one first, then by signal.
    done: what was done last, in one sentence.
    """

    missing: str = ""
    networks: tuple[NetworkRow, ...] = ()
    done: str = ""


class NetworkModel(Asking[NetworkState]):
    """Looks around, joins and forgets. No passphrase is kept here."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(NetworkState(), shared)

    def open(self) -> None:
        """The screen is shown: what was seen last."""
        self._change(done="")
        self._look_around()

    def look_again(self) -> None:
        """Look around anew; it takes a while."""
        self._change(done="")
        self._look_around(scan=True)

    def put_away(self) -> None:
        """Another network is looked at: what was said of the last one is not of this one."""
        self._change(what="", next_step="", done="")

    def join(self, ssid: str, passphrase: str = "") -> None:
        """Join a network; one that asks for a passphrase is not joined without."""
        row = self._row(ssid)
        if row is None or not row.usable or self.state.busy or (row.asks and not passphrase):
            return
        self._change(done="")
        self._ask(
            lambda client: client.network_join(ssid, passphrase),
            lambda _okay: self._did(_("The kit is in the network {name}.").format(name=ssid)),
        )

    def forget(self, ssid: str) -> None:
        """Leave a network for good; asks first."""
        self._shared.messages.ask(
            _("Forget the network {name}?").format(name=ssid),
            _("Its passphrase must be typed again the next time."),
            _("Forget"),
            lambda: self._forget_it(ssid),
        )

    def _forget_it(self, ssid: str) -> None:
        self._change(done="")
        self._ask(
            lambda client: client.network_forget(ssid),
            lambda _okay: self._did(_("The network {name} is forgotten.").format(name=ssid)),
        )

    def _row(self, ssid: str) -> NetworkRow | None:
        return next((row for row in self.state.networks if row.ssid == ssid), None)

    def _did(self, done: str) -> None:
        self._change(done=done)
        self._look_around()

    def _look_around(self, *, scan: bool = False) -> None:
        self._ask(lambda client: client.network(scan=scan), self._found)

    def _found(self, reply: messages.Network) -> None:
        rows = tuple(
            NetworkRow(**{name: getattr(one, name) for name in NetworkRow.__struct_fields__})
            for one in reply.networks
        )
        self._change(missing="" if reply.available else reply.what, networks=rows)
