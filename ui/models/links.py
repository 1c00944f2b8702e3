"""The link that is chosen beforehand, and whether anything answers on one."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from appliance.client import Client, UnavailableError, messages
from ui.i18n import _
from ui.models.shared import Asking, AskingState, Shared

TRY_WITH = "generic-uds"
"""A profile that only reads, and only what every ECU with UDS should tell."""


class LinkRow(Struct, frozen=True, kw_only=True):
    """A link that can be chosen. `discovery`: ECUs can be looked for on it, none can be read."""

    name: str
    uri: str
    discovery: bool


def link_rows(reply: messages.Links) -> tuple[LinkRow, ...]:
    """Links as the appliance names them."""
    return tuple(
        LinkRow(name=one.name, uri=one.uri, discovery=one.discovery) for one in reply.links
    )


class DefaultLink:
    """Which link is chosen beforehand.

    Args:
        uri: the one that was kept; empty for none.
        keep: keeps another one.
    """

    def __init__(self, uri: str = "", keep: Callable[[str], object] = lambda _uri: None) -> None:
        self.uri, self._keep = uri, keep

    def choose(self, uri: str) -> None:
        """Choose and keep another one; empty for none."""
        self.uri = uri
        self._keep(uri)


class LinksState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    links: those that the kit's configuration names.
    default: the one that is chosen beforehand, empty for none.
    tried: the one that was tried last.
    answer: what answered there, in one sentence; empty where nothing did, which `what` says.
    """

    links: tuple[LinkRow, ...] = ()
    default: str = ""
    tried: str = ""
    answer: str = ""


class LinksModel(Asking[LinksState]):
    """Chooses the default link and tries links; a try sends nothing but reads."""

    def __init__(self, shared: Shared, default: DefaultLink) -> None:
        super().__init__(LinksState(default=default.uri), shared)
        self._default = default

    def open(self) -> None:
        """The screen is shown: fetch the links."""
        self._change(default=self._default.uri, tried="", answer="")
        self._ask(
            lambda client: client.links(),
            lambda reply: self._change(links=link_rows(reply)),
        )

    def choose(self, uri: str) -> None:
        """Make a link the default; the one that is, is none any more."""
        self._default.choose("" if uri == self.state.default else uri)
        self._change(default=self._default.uri)

    def attempt(self, uri: str) -> None:
        """See whether the ECU or gateway on a link answers."""
        link = next((one for one in self.state.links if one.uri == uri), None)
        if link is None or self.state.busy:
            return
        self._change(tried=uri, answer="")
        self._ask(
            lambda client: _announced(client, uri) if link.discovery else _read(client, uri),
            lambda answer: self._change(answer=answer),
        )

    def put_away(self) -> None:
        """Another link is looked at: what was said of the last one is not of this one."""
        self._forget()
        self._change(tried="", answer="", what="", next_step="")


def _announced(client: Client, uri: str) -> str:
    """Who announces itself on a link to a whole vehicle.

    Raises:
        FieldKitError: nobody does, or the link failed.
    """
    found = client.discover(uri).ecus
    if not found:
        raise UnavailableError(
            _("No ECU announced itself."), _("Check the cable, the ignition and the address.")
        )
    return _("{count} ECUs announced themselves.").format(count=len(found))


def _read(client: Client, uri: str) -> str:
    """How many values an ECU tells; one that refuses every one of them is there all the same.

    Raises:
        FieldKitError: it does not answer.
    """
    values = client.identify(uri, TRY_WITH).values
    told = sum(not value.refused for value in values)
    return _("The ECU answers: it told {told} of {count} values.").format(
        told=told, count=len(values)
    )
