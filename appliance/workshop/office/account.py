"""One's own password, phone and passkeys, and logging in with a passkey."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.workshop.errors import HubError, NotThere, TooManyTries, WrongPassword
from appliance.workshop.office.pages import LOGIN, Office, Visit, logged_in, qr
from appliance.workshop.ownlogin import OwnLogin
from appliance.workshop.passkeys import Passkeys, Place
from hw.errors import FieldKitError, UsageError

HOME = "/jobs"


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Account(office)
    post = ("POST",)
    return (
        office.route("/account", pages.show),
        office.route("/account/password", pages.change_password, methods=post),
        office.route("/account/phone", pages.begin_phone, methods=post),
        office.route("/account/phone/set", pages.set_phone, methods=post),
        office.route("/account/passkey/options", pages.begin_adding, methods=post),
        office.route("/account/passkey", pages.add, methods=post),
        office.route("/account/passkey/remove", pages.remove, methods=post),
        office.open_route(f"{LOGIN}/passkey/options", pages.begin_logging_in, methods=post),
        office.open_route(f"{LOGIN}/passkey", pages.log_in, methods=post),
    )


def place_of(office: Office, visit: Visit) -> Place | None:
    """Where the browser reached the hub; None where passkeys do not work, as for an IP address."""
    url = visit.request.url
    host = url.hostname or ""
    if host not in office.keys.addresses or _is_ip(host):
        return None
    return Place(host, f"https://{url.netloc}")


class _Account:
    def __init__(self, office: Office) -> None:
        self._office = office
        self._passkeys = Passkeys(office.people)
        self._own = OwnLogin(office.people)

    def show(self, visit: Visit) -> Response:
        return self._show(visit, changed=visit.asked("changed"))

    def change_password(self, visit: Visit) -> Response:
        """One's own, with the one until now."""
        try:
            if visit.secret("new") != visit.secret("again"):
                raise UsageError("The two new passwords differ.", "Type it twice alike.")
            self._own.change_password(
                visit.who, visit.secret("password"), visit.secret("new"), visit.address
            )
        except (UsageError, WrongPassword, TooManyTries) as refused:
            return self._show(visit, refused)
        return RedirectResponse("/account?changed=password", 303)

    def begin_phone(self, visit: Visit) -> Response:
        """A code for another phone, shown in this one answer and nowhere else."""
        try:
            uri = self._own.begin_phone(visit.who, visit.secret("password"), visit.address)
        except (WrongPassword, TooManyTries) as refused:
            return self._show(visit, refused)
        return self._show_phone(visit, uri)

    def set_phone(self, visit: Visit) -> Response:
        """The new phone shows that it scanned the code."""
        try:
            self._own.set_phone(visit.who, visit.field("code"))
        except UsageError as refused:
            return self._show_phone(visit, error=refused)
        return RedirectResponse("/account?changed=phone", 303)

    def _show_phone(
        self, visit: Visit, uri: str = "", error: FieldKitError | None = None
    ) -> Response:
        return self._office.page(
            visit,
            "phone.html",
            _status(error),
            error=error,
            code=qr(uri, "The code for your phone") if uri else "",
            secret=secret_of(uri) if uri else "",
        )

    def _show(
        self, visit: Visit, error: FieldKitError | None = None, *, changed: str = ""
    ) -> Response:
        return self._office.page(
            visit,
            "account.html",
            _status(error),
            error=error,
            changed=changed,
            passkeys=self._passkeys.of(visit.who.person),
            named=place_of(self._office, visit) is not None,
            names=[one for one in self._office.keys.addresses if not _is_ip(one)],
        )

    def begin_adding(self, visit: Visit) -> Response:
        return _json(self._passkeys.begin_adding(visit.who, self._place(visit)))

    def add(self, visit: Visit) -> Response:
        place = self._place(visit)
        self._passkeys.add(visit.who, place, visit.field("name"), visit.field("answer"))
        return RedirectResponse("/account", 303)

    def remove(self, visit: Visit) -> Response:
        self._passkeys.remove(visit.who, visit.field("passkey"))
        return RedirectResponse("/account", 303)

    def begin_logging_in(self, visit: Visit) -> Response:
        self._office.people.count_try(visit.address)
        return _json(self._passkeys.begin_logging_in(self._place(visit)))

    def log_in(self, visit: Visit) -> Response:
        place = self._place(visit)
        token = self._passkeys.log_in(place, visit.field("answer"), visit.address)
        return logged_in(token, HOME)

    def _place(self, visit: Visit) -> Place:
        place = place_of(self._office, visit)
        if place is None:
            raise NotThere(
                "Passkeys work only where the hub is reached by a name of its own.",
                "Log in with password and code, or open the hub by its name.",
            )
        return place


def secret_of(uri: str) -> str:
    """What somebody types into a phone that has no camera."""
    return uri.split("secret=")[1].split("&", maxsplit=1)[0]


def _status(error: FieldKitError | None) -> int:
    if error is None:
        return 200
    return error.status if isinstance(error, HubError) else 400


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
