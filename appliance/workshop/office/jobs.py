"""The list of jobs, with its search."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import structs
from starlette.responses import Response
from starlette.routing import Route

from appliance.records.view import JobState
from appliance.workshop.office.pages import Office, Visit
from appliance.workshop.search import Found, JobQuery, search_jobs

PAGE = 50
STATES: tuple[str, ...] = get_args(JobState)
_FILTERS = ("words", "state", "kit", "since", "until", "zone")
_DAY_S = 86_400


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    return (office.route("/jobs", _Jobs(office).list),)


class _Jobs:
    def __init__(self, office: Office) -> None:
        self._office = office

    def list(self, visit: Visit) -> Response:
        """The list; for HTMX only its rows, or nothing where they are what it has already."""
        hub = self._office.hub
        asked = _query(visit)
        found = search_jobs(hub.database, replace(asked, limit=PAGE + 1))
        kits = {kit["id"]: kit["name"] for kit in hub.kits()}
        seen = _fingerprint(found)
        if visit.partly and visit.asked("seen") == seen:
            return Response(status_code=204)
        filters = {name: visit.asked(name) for name in _FILTERS}
        more = len(found.jobs) > PAGE
        goes_on = found.jobs[PAGE - 1].number if more else found.reached
        return self._office.page(
            visit,
            "jobs_found.html" if visit.partly else "jobs.html",
            found=found.jobs[:PAGE],
            reached_at=found.reached_at,
            kits=kits,
            states=STATES,
            filters=filters,
            here=_address(filters, before=visit.asked("before")),
            live=_address(filters, seen=seen) if not asked.before else "",
            older=_address(filters, before=str(goes_on)) if goes_on else "",
            newest=_address(filters) if asked.before else "",
        )


def _query(visit: Visit) -> JobQuery:
    zone = _zone(visit.asked("zone"))
    until = _day(visit.asked("until"), zone)
    return JobQuery(
        words=visit.asked("words"),
        state=visit.asked("state"),
        kit=visit.asked("kit"),
        since=_day(visit.asked("since"), zone),
        until=until + _DAY_S if until else 0,
        before=visit.number("before"),
    )


def _day(text: str, zone: tzinfo) -> int:
    """The beginning of a day, in seconds since 1970; 0 for what is no day."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        return 0


def _zone(name: str) -> tzinfo:
    """The reader's time zone, as the page's script tells it; UTC where that is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


def _address(filters: dict[str, str], **further: str) -> str:
    given = {name: value for name, value in {**filters, **further}.items() if value}
    return f"/jobs?{urlencode(given)}" if given else "/jobs"


def _fingerprint(found: Found) -> str:
    """Changes with anything that the rows show, and with where the search ended."""
    shown = [(job.number, job.received, structs.asdict(job.view)) for job in found.jobs]
    shown.append((found.reached, found.reached_at, {}))
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
