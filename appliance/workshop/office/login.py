"""Logging in, the first time with a one-time word, and out."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.errors import NotLetIn, TooManyTries
from appliance.workshop.office.account import HOME, place_of, secret_of
from appliance.workshop.office.pages import (
    FIRST,
    LOGIN,
    Office,
    Visit,
    logged_in,
    logged_out,
    qr,
)
from hw.errors import UsageError


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Login(office)
    return (
        office.open_route(LOGIN, pages.log_in, methods=("GET", "POST")),
        office.open_route(FIRST, pages.first, methods=("GET", "POST")),
        office.open_route(f"{FIRST}/set", pages.set_up, methods=("GET", "POST")),
        office.open_route("/logout", pages.log_out, methods=("POST",)),
    )


class _Login:
    def __init__(self, office: Office) -> None:
        self._office = office

    def log_in(self, visit: Visit) -> Response:
        error = None
        if visit.request.method == "POST":
            try:
                token = self._office.people.log_in(
                    visit.field("name"),
                    visit.secret("password"),
                    visit.field("code"),
                    visit.address,
                )
            except (NotLetIn, TooManyTries) as refused:
                error = refused
            else:
                return logged_in(token, HOME)
        elif visit.session is not None:
            return RedirectResponse(f"{FIRST}/set" if visit.session.first else HOME, 303)
        status = error.status if error else 200
        named = place_of(self._office, visit) is not None
        return self._office.page(visit, "login.html", status, error=error, named=named)

    def first(self, visit: Visit) -> Response:
        error = None
        if visit.request.method == "POST":
            try:
                token = self._office.people.first_log_in(
                    visit.field("name"), visit.field("word"), visit.address
                )
            except (NotLetIn, TooManyTries) as refused:
                error = refused
            else:
                return logged_in(token, f"{FIRST}/set")
        status = error.status if error else 200
        return self._office.page(visit, "first.html", status, error=error)

    def set_up(self, visit: Visit) -> Response:
        session = visit.session
        if session is None or not session.first:
            return RedirectResponse(LOGIN, 303)
        error = None
        if visit.request.method == "POST":
            try:
                if visit.secret("password") != visit.secret("again"):
                    raise UsageError("The two passwords differ.", "Type it twice alike.")
                token = self._office.people.set_up(
                    session, visit.secret("password"), visit.field("code")
                )
            except UsageError as refused:
                error = refused
            else:
                return logged_in(token, HOME)
        uri = self._office.people.totp_uri(session)
        return self._office.page(
            visit,
            "first_set.html",
            400 if error else 200,
            error=error,
            code=qr(uri, "The code for your phone"),
            secret=secret_of(uri),
        )

    def log_out(self, visit: Visit) -> Response:
        if visit.session is not None:
            self._office.people.log_out(visit.session)
        return logged_out(LOGIN)
