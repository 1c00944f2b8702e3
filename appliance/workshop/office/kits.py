"""The list of kits; letting one in, shutting one out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.sync.enrolcode import enrol_code
from appliance.sync.silence import LIMIT_DAYS
from appliance.workshop.errors import NotThere
from appliance.workshop.hub import Hub
from appliance.workshop.office.pages import Office, Visit, qr
from hw.errors import UsageError

TLS_PORT = 443
_LONGEST_NAME = 60


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Kits(office)
    both = ("GET", "POST")
    return (
        office.route("/kits", pages.list),
        office.route("/kits/enrol", pages.enrol, least="owner", methods=both),
        office.route("/kits/revoke", pages.revoke, least="owner", methods=both),
    )


def silent_kits(hub: Hub) -> str:
    """How many take no new programming jobs for silence, in words; empty for none."""
    count = sum(kit["silent"] for kit in hub.kits())
    return f"{count} silent" if count else ""


class _Kits:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        template = "kits_found.html" if visit.partly else "kits.html"
        kits = self._office.hub.kits()
        return self._office.page(visit, template, kits=kits, silent_days=LIMIT_DAYS)

    def enrol(self, visit: Visit) -> Response:
        """A code that lets one kit in, shown in this one answer and nowhere else."""
        error, code = None, ""
        addresses = self._office.keys.addresses
        if visit.request.method == "POST":
            try:
                code = self._code(visit, addresses)
            except UsageError as refused:
                error = refused
        here = visit.request.url.hostname or ""
        return self._office.page(
            visit,
            "enrol.html",
            400 if error else 200,
            error=error,
            addresses=sorted(addresses, key=lambda one: one != here),
            name=visit.field("name"),
            code=code,
            picture=qr(code, "The code for the kit") if code else "",
            fingerprint=self._office.keys.fingerprint,
        )

    def _code(self, visit: Visit, addresses: Sequence[str]) -> str:
        name, address = " ".join(visit.field("name").split()), visit.field("address")
        if not name or len(name) > _LONGEST_NAME:
            raise UsageError("The kit needs a name.", "Give one that is on the kit's label.")
        if any(kit["name"] == name and not kit["revoked"] for kit in self._office.hub.kits()):
            raise UsageError(f"There is a kit '{name}' already.", "Give this one another name.")
        if address not in addresses:
            raise UsageError("The hub has no such address.", "Choose one of the list.")
        token = self._office.hub.new_token(name, visit.who.name)
        port = visit.request.url.port or TLS_PORT
        host = f"[{address}]" if ":" in address else address
        return enrol_code(host, port, token, self._office.keys.fingerprint)

    def revoke(self, visit: Visit) -> Response:
        """Shut a kit out, once its name was typed."""
        error = None
        kit = self._kit(visit.asked("kit") or visit.field("kit"))
        if visit.request.method == "POST":
            if visit.field("name") == kit["name"]:
                self._office.hub.revoke(kit["id"], visit.who.name)
                return RedirectResponse("/kits", 303)
            error = UsageError(
                "The name is not this kit's.", f"Type '{kit['name']}' to shut it out."
            )
        return self._office.page(visit, "revoke.html", 400 if error else 200, error=error, kit=kit)

    def _kit(self, wanted: str) -> dict[str, Any]:
        for kit in self._office.hub.kits():
            if kit["id"] == wanted:
                return kit
        raise NotThere("There is no such kit.", "Look at the list of kits.")
