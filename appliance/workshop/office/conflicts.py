"""The page of what was refused because something else was taken before."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from appliance.workshop.conflicts import conflicts, refused_body
from appliance.workshop.office.pages import Office, Visit


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Conflicts(office)
    return (
        office.route("/conflicts", pages.list),
        office.route("/conflicts/{sha256}.json", pages.download),
    )


class _Conflicts:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        kits = {kit["id"]: kit["name"] for kit in self._office.hub.kits()}
        found = conflicts(self._office.hub.database)
        return self._office.page(visit, "conflicts.html", found=found, kits=kits)

    def download(self, visit: Visit) -> Response:
        """The refused record as it came, to be compared with what was taken."""
        sha256 = visit.part("sha256")
        return Response(
            refused_body(self._office.hub.database, sha256),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="refused-{sha256[:16]}.json"'},
        )
