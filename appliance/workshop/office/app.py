"""All of the office's pages as one application, and the headers that each answer has."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import FormData, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.workshop.errors import HubError, Malformed, NotThere
from appliance.workshop.hub import Hub
from appliance.workshop.keys import WorkshopKeys
from appliance.workshop.office import (
    account,
    backups,
    conflicts,
    job,
    jobs,
    kits,
    login,
    mail_in,
    orders,
    people,
    technicians,
)
from appliance.workshop.office.pages import Link, Office, Visit, make_templates
from appliance.workshop.people import People

SECTIONS = (
    login,
    account,
    jobs,
    job,
    orders,
    mail_in,
    backups,
    kits,
    conflicts,
    people,
    technicians,
)
"""Modules with a function `routes(office)`."""
MENU = (
    Link("/jobs", "Jobs"),
    Link("/orders", "Orders"),
    Link("/backups", "Backups", alarm=backups.damaged),
    Link("/kits", "Kits", alarm=kits.silent_kits),
    Link("/conflicts", "Conflicts", alarm=conflicts.open_conflicts),
    Link("/technicians", "Kit technicians", "owner"),
    Link("/people", "People", "owner"),
    Link("/audit", "Audit", "owner"),
)
_STATIC = "/static"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "font", "connect")),
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}


class NotFromHere(HubError):
    """403: a form that was not filled in on a page of this hub, or after the session ended."""

    code, status, exit_status = "not_from_here", 403, 77

    def __init__(self) -> None:
        super().__init__(
            "This form does not come from a page of this workshop, or it is too old.",
            "Open the page again and fill it in once more.",
        )


class FormTooLarge(HubError):
    """413: more than a page takes."""

    code, status, exit_status = "form_too_large", 413, 65

    def __init__(self) -> None:
        super().__init__("This is more than the page takes.", "Send less at a time.")


class PageFailed(HubError):
    """500: a mistake in this program; what it was stands in the hub's log."""

    code, status, exit_status = "page_failed", 500, 70

    def __init__(self) -> None:
        super().__init__("The page failed.", "Try again; if it fails again, look at the hub's log.")


def make_office(hub: Hub, keys: WorkshopKeys) -> Office:
    """What the pages over a hub need."""
    return Office(hub, keys, People(hub.database, hub.now), make_templates(), MENU)


def page_routes(office: Office) -> list[Route]:
    """Every page."""

    async def home(_request: Request) -> Response:
        return RedirectResponse(MENU[0].path, 303)

    return [
        Route("/", home),
        *(route for section in SECTIONS for route in section.routes(office)),
    ]


def make_office_app(hub: Hub, keys: WorkshopKeys) -> ASGIApp:
    """The office's pages over a hub."""
    office = make_office(hub, keys)

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        known: dict[int, HubError] = {
            400: Malformed("The form cannot be read.", "Fill it in once more."),
            403: NotFromHere(),
            413: FormTooLarge(),
            500: PageFailed(),
        }
        told = known.get(status, NotThere("There is no such page.", "Check the address."))
        return office.problem(Visit(request, None, FormData()), told)

    static = Mount(_STATIC, StaticFiles(directory=Path(__file__).parent / "static"))
    return _Headers(
        Starlette(
            routes=[static, *page_routes(office)],
            exception_handlers={HTTPException: refused, Exception: refused},
        )
    )


class _Headers:
    """Every answer says what a browser may do with it; no page is kept anywhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                kept = scope["path"].startswith(_STATIC)
                headers["Cache-Control"] = "no-cache" if kept else "no-store"
            await send(message)

        await self._app(scope, receive, sending)
