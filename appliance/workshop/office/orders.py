"""Work orders in the office: what is to be done, booking, and one order with all that is known."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.sync.change import EVERY_KIT
from appliance.sync.order import OPEN, OrderState, Way
from appliance.workshop.errors import HubError, Malformed, NotThere
from appliance.workshop.office.mail_in import FORM, slip_answer, whatsapp
from appliance.workshop.office.pages import Office, Visit
from appliance.workshop.orderform import LONGEST, PAD, Filled, filled
from appliance.workshop.orders import NEXT, PAGE, Kept, OrderFilter
from appliance.workshop.settings import load_settings

LIST = "/orders"
STATES: tuple[OrderState, ...] = get_args(OrderState)
WAYS: dict[Way, str] = {"visit": "We go to the car", "mail_in": "The part is sent to us"}
_OPEN = "open"
"""The filter's word for everything that is to be worked on."""


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Orders(office)
    one = LIST + "/{reference}"
    both = ("GET", "POST")
    return (
        office.route(LIST, pages.list),
        office.route(f"{LIST}/new", pages.new, least="office", methods=both),
        office.route(one, pages.one),
        office.route(f"{one}/edit", pages.edit, least="office", methods=both),
        office.route(f"{one}/state", pages.move, least="office", methods=("POST",)),
        office.route(f"{one}/kit", pages.assign, least="office", methods=("POST",)),
        office.route(f"{one}/slip.pdf", pages.slip),
        office.route(one + "/photos/{sha256}", pages.photo),
    )


@dataclass(frozen=True)
class _Orders:
    office: Office

    def list(self, visit: Visit) -> Response:
        words, state = visit.asked("words"), visit.asked("state") or _OPEN
        states = OPEN if state == _OPEN else tuple(one for one in STATES if one == state)
        asked = OrderFilter(states, words, visit.asked("before"), PAGE + 1)
        found = self.office.hub.orders.find(asked)
        older = ""
        if len(found) > PAGE:
            last = found[PAGE - 1].order.order
            older = f"{LIST}?{urlencode({'words': words, 'state': state, 'before': last})}"
        return self.office.page(
            visit,
            "orders.html",
            found=found[:PAGE],
            kits=self._kits(),
            words=words,
            state=state,
            states=STATES,
            older=older,
        )

    def new(self, visit: Visit) -> Response:
        if visit.request.method != "POST":
            empty = Filled(dict.fromkeys(LONGEST, ""))
            return self._form(visit, empty, "visit", once=secrets.token_urlsafe(24))
        form, way, once = filled(visit.field, by_mail=False), _way(visit), visit.field("once")
        if not once:
            form.wrong["form"] = "This form is too old. Send it once more."
        if form.wrong:
            return self._form(visit, form, way, 400, once=once or secrets.token_urlsafe(24))
        kit = visit.field("kit")
        if kit and kit not in self._kits():
            raise NotThere("There is no such kit.", "Choose one of the list.")
        booking = form.booking(way)
        kept = self.office.hub.orders.book(booking, once, kit, by=visit.who.name)
        return _to(kept)

    def edit(self, visit: Visit) -> Response:
        kept = self._kept(visit)
        if visit.request.method != "POST":
            order = kept.order
            given = {name: str(getattr(order, name) or "") for name in LONGEST}
            return self._form(visit, Filled(given), order.way, kept=kept)
        form, way = filled(visit.field, by_mail=False), _way(visit)
        if form.wrong:
            return self._form(visit, form, way, 400, kept=kept)
        orders = self.office.hub.orders
        return _to(orders.change(kept.order.order, form.booking(way), by=visit.who.name))

    def one(self, visit: Visit) -> Response:
        return self._show(visit, self._kept(visit))

    def move(self, visit: Visit) -> Response:
        state = next((one for one in STATES if one == visit.field("state")), None)
        if state is None:
            raise Malformed("An order has no such state.", "Use the buttons of its page.")
        order = self._kept(visit).order.order
        try:
            return _to(self.office.hub.orders.move(order, state, by=visit.who.name))
        except HubError as error:
            return self._show(visit, self._kept(visit), error)

    def assign(self, visit: Visit) -> Response:
        order, kit = self._kept(visit).order.order, visit.field("kit")
        try:
            return _to(self.office.hub.orders.assign(order, kit, by=visit.who.name))
        except HubError as error:
            return self._show(visit, self._kept(visit), error)

    def slip(self, visit: Visit) -> Response:
        return slip_answer(self._kept(visit).order, load_settings(self.office.keys.folder.parent))

    def photo(self, visit: Visit) -> Response:
        sha256 = visit.part("sha256")
        if sha256 not in self._kept(visit).order.photos:
            raise NotThere("The order has no such photo.", "Look at the order again.")
        content = b"".join(self.office.hub.blobs.read(sha256))
        return Response(content, media_type="image/jpeg")

    def _kept(self, visit: Visit) -> Kept:
        return self.office.hub.orders.by_reference(visit.part("reference"))

    def _kits(self) -> dict[str, str]:
        """Names of the kits that can be given an order, by their id."""
        kits = self.office.hub.kits()
        return {str(kit["id"]): str(kit["name"]) for kit in kits if not kit["revoked"]}

    def _form(
        self,
        visit: Visit,
        form: Filled,
        way: Way,
        status: int = 200,
        *,
        once: str = "",
        kept: Kept | None = None,
    ) -> Response:
        return self.office.page(
            visit,
            "order_form.html",
            status,
            given=form.given,
            wrong=form.wrong,
            longest=LONGEST,
            way=way,
            ways=WAYS,
            once=once,
            kept=kept,
            kits=self._kits(),
            kit=visit.field("kit"),
        )

    def _show(self, visit: Visit, kept: Kept, error: HubError | None = None) -> Response:
        order = kept.order
        host = visit.request.headers.get("host", "")
        status_page = f"https://{host}{FORM}/{kept.token}"
        text = f"Your order {order.reference}: {status_page}"
        # Without a country's code nobody knows whose number it would be.
        number = order.phone if order.phone.startswith("+") else ""
        context: dict[str, Any] = {
            "order": order,
            "kept": kept,
            "ways": WAYS,
            "next": NEXT[order.state],
            "is_open": order.state in OPEN,
            "kits": self._kits(),
            "every_kit": EVERY_KIT,
            "status_page": status_page,
            "whatsapp": whatsapp(number, text),
            "pad": PAD,
        }
        return self.office.page(
            visit, "order.html", error.status if error else 200, error=error, **context
        )


def _way(visit: Visit) -> Way:
    return "mail_in" if visit.field("way") == "mail_in" else "visit"


def _to(kept: Kept) -> Response:
    return RedirectResponse(f"{LIST}/{kept.order.reference}", 303)
