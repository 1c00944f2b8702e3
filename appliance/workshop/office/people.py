"""Who may use the pages, and what everybody did: for owners."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.audit import entries
from appliance.workshop.office.pages import Office, Page, Visit
from appliance.workshop.people import ROLES
from hw.errors import UsageError

AUDIT_PAGE = 100


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _People(office)

    def changing(path: str, page: Page) -> Route:
        return office.route(path, page, least="owner", methods=("POST",))

    return (
        office.route("/people", pages.list, least="owner"),
        changing("/people/add", pages.add),
        changing("/people/{person}/role", pages.change_role),
        changing("/people/{person}/renew", pages.renew),
        changing("/people/{person}/remove", pages.remove),
        office.route("/audit", pages.audit, least="owner"),
    )


class _People:
    """What is refused is told on a page of its own (`Office.problem`)."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        return self._list(visit)

    def add(self, visit: Visit) -> Response:
        """Somebody is added, whose first word is shown in this one answer."""
        name = visit.field("name")
        word = self._office.people.add(name, visit.field("role"), visit.who.name)
        return self._list(visit, word, name)

    def renew(self, visit: Visit) -> Response:
        person = visit.part("person")
        word = self._office.people.renew(person, visit.who.name)
        names = {one.id: one.name for one in self._office.people.all()}
        return self._list(visit, word, names[person])

    def change_role(self, visit: Visit) -> Response:
        person, role = visit.part("person"), visit.field("role")
        self._office.people.change_role(person, role, visit.who.name)
        return RedirectResponse("/people", 303)

    def remove(self, visit: Visit) -> Response:
        """Somebody is removed, once their name was typed."""
        person = visit.part("person")
        names = {one.id: one.name for one in self._office.people.all()}
        if visit.field("name") != names.get(person):
            raise UsageError(
                "The name is not this person's, so nobody was removed.",
                "Go back and type it as it stands in the list.",
            )
        self._office.people.remove(person, visit.who.name)
        return RedirectResponse("/people", 303)

    def audit(self, visit: Visit) -> Response:
        found = entries(self._office.hub.database, visit.number("before"), AUDIT_PAGE + 1)
        more = len(found) > AUDIT_PAGE
        older = f"/audit?before={found[AUDIT_PAGE - 1].number}" if more else ""
        return self._office.page(visit, "audit.html", found=found[:AUDIT_PAGE], older=older)

    def _list(self, visit: Visit, word: str = "", whose: str = "") -> Response:
        everybody = self._office.people.all()
        return self._office.page(
            visit, "people.html", everybody=everybody, roles=ROLES, word=word, whose=whose
        )
