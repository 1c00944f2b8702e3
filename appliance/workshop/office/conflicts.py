"""The page of what was refused because something else was taken before."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.conflicts import (
    LONGEST_DECISION,
    conflicts,
    count_conflicts,
    refused_body,
    settle,
)
from appliance.workshop.hub import Hub
from appliance.workshop.office.pages import Office, Visit


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Conflicts(office)
    return (
        office.route("/conflicts", pages.list),
        office.route("/conflicts/{sha256}.json", pages.download),
        office.route("/conflicts/{sha256}/settle", pages.settle, least="office", methods=("POST",)),
    )


def open_conflicts(hub: Hub) -> str:
    """How many are to be looked at, in words; empty for none."""
    count = count_conflicts(hub.database)
    return f"{count} open" if count else ""


class _Conflicts:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        kits = {kit["id"]: kit["name"] for kit in self._office.hub.kits()}
        settled = visit.number("settled") > 0
        return self._office.page(
            visit,
            "conflicts.html",
            found=conflicts(self._office.hub.database, settled=settled),
            settled=settled,
            kits=kits,
            longest=LONGEST_DECISION,
        )

    def settle(self, visit: Visit) -> Response:
        """Somebody says what was decided; what is refused is told on a page of its own."""
        hub = self._office.hub
        settle(
            hub.database,
            visit.part("sha256"),
            visit.field("decision"),
            visit.who.name,
            hub.now(),
        )
        return RedirectResponse("/conflicts", 303)

    def download(self, visit: Visit) -> Response:
        """The refused record as it came, to be compared with what was taken."""
        sha256 = visit.part("sha256")
        return Response(
            refused_body(self._office.hub.database, sha256),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="refused-{sha256[:16]}.json"'},
        )
