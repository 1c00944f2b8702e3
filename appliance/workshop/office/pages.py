"""What every page of the office is built on: its route, who is asking, and the frame around it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio.to_thread
import jinja2
import segno
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.errors import HubError, NotForThisRole
from appliance.workshop.hub import Hub
from appliance.workshop.keys import WorkshopKeys
from appliance.workshop.people import SESSION_S, People, Session
from hw.errors import FieldKitError

COOKIE = "__Host-fieldkit"
LOGIN, FIRST = "/login", "/first"
MOST_FORM_BYTES = 64 << 10
MOST_FIELDS = 100
MOST_NUMBER = (1 << 63) - 1
"""The numbers that a CockroachDB gives rows are that long."""


@dataclass(frozen=True)
class Visit:
    """One request to a page.

    Attributes:
        session: who is asking; None on a page that is open to everybody and nobody is logged in.
        form: what was filled in; empty for a page that is only looked at.
    """

    request: Request
    session: Session | None
    form: FormData

    @property
    def who(self) -> Session:
        """Who is asking, on a page that is not open to everybody."""
        if self.session is None:
            raise RuntimeError("this page is open to everybody")
        return self.session

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    @property
    def partly(self) -> bool:
        """Whether a part of the page is asked for, by HTMX."""
        return "hx-request" in self.request.headers

    def field(self, name: str) -> str:
        """What was filled in under a name, without blanks around it; empty for nothing."""
        value = self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def secret(self, name: str) -> str:
        """As `field`, exactly as it was typed."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def asked(self, name: str) -> str:
        """A word of the address behind '?'; empty for none."""
        return self.request.query_params.get(name, "").strip()

    def number(self, name: str) -> int:
        """A number behind '?'; 0 for what is none."""
        text = self.asked(name)
        fits = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_NUMBER))
        return min(int(text), MOST_NUMBER) if fits else 0

    def back(self, otherwise: str) -> str:
        """The page that the form was on, as it says itself; only ever a page of this hub."""
        given = self.field("back")
        return given if given.startswith("/") and given[1:2] not in ("/", "\\") else otherwise

    def part(self, name: str) -> str:
        """A part of the address that the route names."""
        return str(self.request.path_params[name])


Page = Callable[[Visit], Response]


@dataclass(frozen=True)
class Link:
    """An entry of the menu.

    Attributes:
        least: the role that sees it.
        alarm: what needs somebody to look there, empty for nothing.
    """

    path: str
    name: str
    least: str = "technician"
    alarm: Callable[[Hub], str] = lambda _hub: ""


@dataclass(frozen=True)
class Office:
    """What pages need: the workshop's rules, its people, and their templates.

    Attributes:
        menu: what is linked on every page.
    """

    hub: Hub
    keys: WorkshopKeys
    people: People
    templates: jinja2.Environment
    menu: Sequence[Link]

    def route(
        self,
        path: str,
        page: Page,
        *,
        least: str = "technician",
        methods: Sequence[str] = ("GET",),
        most_bytes: int = MOST_FORM_BYTES,
    ) -> Route:
        """A page for people with a role, or one above it.

        Args:
            page: makes the answer, in a thread of its own.
            most_bytes: of what may be sent with it.
        """

        def guarded(visit: Visit) -> Response:
            session = visit.session
            if session is None or session.first:
                return _elsewhere(visit, LOGIN if session is None else FIRST)
            if not session.may(least):
                raise NotForThisRole(least)
            return page(visit)

        return self.open_route(path, guarded, methods=methods, most_bytes=most_bytes)

    def open_route(
        self,
        path: str,
        page: Page,
        *,
        methods: Sequence[str] = ("GET",),
        most_bytes: int = MOST_FORM_BYTES,
    ) -> Route:
        """As `route`, for a page that is open to everybody.

        A form is taken only from a page of this hub; from somebody who is logged in only with the
        word that the session put into it.
        """

        async def endpoint(request: Request) -> Response:
            form = FormData()
            if request.method == "POST":
                _check_origin(request)
                form = await request.form(max_fields=MOST_FIELDS)
            try:
                return await anyio.to_thread.run_sync(lambda: self._answer(request, form, page))
            finally:
                await form.close()

        return Route(path, endpoint, methods=list(methods), max_body_size=most_bytes)

    def page(self, visit: Visit, template: str, status: int = 200, **context: Any) -> Response:
        """A page, or a part of one, from its template."""
        text = self.templates.get_template(template).render(
            visit=visit,
            session=visit.session,
            menu=partial(self._menu, visit),
            path=visit.request.url.path,
            **context,
        )
        return HTMLResponse(text, status)

    def _menu(self, visit: Visit) -> list[tuple[Link, str]]:
        """What somebody may open, each with its alarm."""
        seen = [link for link in self.menu if visit.who.may(link.least)]
        return [(link, link.alarm(self.hub)) for link in seen]

    def problem(self, visit: Visit, error: FieldKitError) -> Response:
        """A page that says what was not done and what to do now."""
        status = error.status if isinstance(error, HubError) else 400
        return self.page(visit, "problem.html", status, error=error)

    def _answer(self, request: Request, form: FormData, page: Page) -> Response:
        session = self.people.session(request.cookies.get(COOKIE, ""))
        visit = Visit(request, session, form)
        try:
            if request.method == "POST" and session is not None:
                _check_word(visit.field("csrf"), session)
            return page(visit)
        except FieldKitError as error:
            return self.problem(visit, error)


def make_templates() -> jinja2.Environment:
    """The templates, with everything escaped that is put into them."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("appliance.workshop.office"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., str]] = {"moment": moment, "wall": wall, "size": size}
    templates.filters.update(filters)
    return templates


def moment(seconds: float) -> str:
    """A moment for people, as `wall`; empty for 0, which stands for never."""
    return _told(datetime.fromtimestamp(seconds, UTC), "minutes") if seconds else ""


def wall(text: str, timespec: str = "minutes") -> str:
    """A moment (RFC 3339) for people: in UTC, and where scripts run in the reader's own time; as it
    came where it is none.
    """
    try:
        return _told(datetime.fromisoformat(text).astimezone(UTC), timespec)
    except ValueError:
        return text


def _told(at: datetime, timespec: str) -> Markup:
    told = at.replace(tzinfo=None).isoformat(" ", timespec)
    exact = at.replace(tzinfo=None).isoformat("T", "seconds")
    return Markup('<time datetime="{}Z">{} UTC</time>').format(exact, told)


def size(count: int) -> str:
    """So many bytes, for people; empty for what is not known."""
    if count < 0:
        return ""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def qr(text: str, title: str) -> Markup:
    """A QR code as a picture in the page; it is kept nowhere."""
    code = segno.make(text, error="m", micro=False)
    # Nothing of the text is in the picture but its squares; the title is ours.
    return Markup(  # noqa: S704 - see above
        code.svg_inline(scale=5, title=title, svgclass="qr", lineclass=None, light="#fff")
    )


def logged_in(token: str, to: str) -> Response:
    """Go to a page, from now on as somebody who is logged in."""
    answer = RedirectResponse(to, 303)
    answer.set_cookie(
        COOKIE, token, max_age=SESSION_S, secure=True, httponly=True, samesite="strict"
    )
    return answer


def logged_out(to: str) -> Response:
    """Go to a page, from now on as nobody."""
    answer = RedirectResponse(to, 303)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
    return answer


def _elsewhere(visit: Visit, path: str) -> Response:
    if visit.partly:
        return Response(status_code=200, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


def _check_word(given: str, session: Session) -> None:
    if not secrets.compare_digest(given.encode(), session.csrf.encode()):
        raise HTTPException(403)


def _check_origin(request: Request) -> None:
    """Browsers say with every form from where it was sent; no other program sends one here."""
    if request.headers.get("origin", "") != f"https://{request.headers.get('host', '')}":
        raise HTTPException(403)
