"""The technicians of the workshop's kits: for owners."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.office.pages import Office, Visit
from appliance.workshop.technicians import add_technician, kit_technicians, remove_technician
from hw.errors import BadInputError, FieldKitError, UsageError


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Technicians(office)
    return (
        office.route("/technicians", pages.list, least="owner", methods=("GET", "POST")),
        office.route("/technicians/remove", pages.remove, least="owner", methods=("POST",)),
    )


class _Technicians:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        """All of them; somebody is added here, too, who types their passphrase twice."""
        error: FieldKitError | None = None
        if visit.request.method == "POST":
            try:
                self._add(visit)
            except (UsageError, BadInputError) as refused:
                error = refused
            else:
                return RedirectResponse("/technicians", 303)
        return self._office.page(
            visit,
            "technicians.html",
            400 if error else 200,
            error=error,
            found=kit_technicians(self._office.hub),
            name=visit.field("name"),
        )

    def _add(self, visit: Visit) -> None:
        name, passphrase = visit.field("name"), visit.secret("passphrase")
        if passphrase != visit.secret("again"):
            raise UsageError("The two passphrases differ.", "Type the same one twice.")
        add_technician(self._office.hub, name, visit.field("role"), passphrase, visit.who.name)

    def remove(self, visit: Visit) -> Response:
        """Somebody is removed, once their name was typed."""
        name = visit.field("technician")
        if visit.field("name") != name:
            raise UsageError(
                "The name is not this technician's, so nobody was removed.",
                "Go back and type it as it stands in the list.",
            )
        remove_technician(self._office.hub, name, visit.who.name)
        return RedirectResponse("/technicians", 303)
