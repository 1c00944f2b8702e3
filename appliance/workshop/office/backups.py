"""The list of backups, and having one read again."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.hub import Hub
from appliance.workshop.listedbackups import (
    check_backup,
    count_damaged,
    damaged_backups,
    newest_backups,
)
from appliance.workshop.office.pages import Office, Visit

PAGE = 50


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Backups(office)
    return (
        office.route("/backups", pages.list),
        office.route("/backups/{backup}/check", pages.check, least="office", methods=("POST",)),
    )


def damaged(hub: Hub) -> str:
    """How many backups are damaged, in words; empty for none."""
    count = count_damaged(hub.database)
    return f"{count} damaged" if count else ""


class _Backups:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        found = newest_backups(self._office.hub.database, visit.number("before"), PAGE + 1)
        return self._office.page(
            visit,
            "backups.html",
            found=found[:PAGE],
            damaged=damaged_backups(self._office.hub.database, PAGE),
            kits={kit["id"]: kit["name"] for kit in self._office.hub.kits()},
            older=f"/backups?before={found[PAGE - 1].number}" if len(found) > PAGE else "",
        )

    def check(self, visit: Visit) -> Response:
        """Read every file of it; for HTMX the answer is its row."""
        hub = self._office.hub
        checked = check_backup(hub.database, hub.blobs, visit.part("backup"), hub.now)
        if visit.partly:
            return self._office.page(visit, "backup_state.html", backup=checked)
        return RedirectResponse(visit.back("/backups"), 303)
