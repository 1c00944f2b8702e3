"""What customers see: the form to send a part in, and how far their order is. Nobody logs in here.

An order's page is opened by an unguessable token in its address. It shows how far the order is and
nothing of the customer; the packing slip, which does, is given out only until the part is here.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from msgspec import structs
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.identity.wallclock import rfc3339
from appliance.records.events import MailedAgreement
from appliance.sync.change import TextIssued
from appliance.sync.order import Order
from appliance.workshop.errors import HubError, NotThere
from appliance.workshop.limits import within
from appliance.workshop.office.pages import Office, Visit
from appliance.workshop.orderform import LONGEST, Filled, filled, strokes_of
from appliance.workshop.orders import Kept
from appliance.workshop.photos import MOST_BYTES, PhotoRefused, cleaned
from appliance.workshop.settings import Settings, load_settings
from appliance.workshop.slip import packing_slip
from appliance.workshop.texts import held_texts

FORM = "/mail-in"
MOST_PHOTOS = 8
MOST_FORM_BYTES = MOST_PHOTOS * MOST_BYTES + (1 << 20)
ORDERS_OF_ADDRESS, ORDERS_OF_ALL, ORDERS_S = 10, 200, 3600
NEEDED = "terms"
"""The text without which nothing is taken; the others concern some wishes only."""
_ONCE = re.compile(r"[A-Za-z0-9_-]{20,64}")
_TRAP = "website"
"""A field that no person sees: what fills it in is a program."""


class TooManyOrders(HubError):
    """429: one address books more than anybody has parts."""

    code, status, exit_status = "too_many_orders", 429, 77

    def __init__(self) -> None:
        super().__init__(
            "Too many orders came from here in the last hour.", "Call the workshop, or come later."
        )


@dataclass
class _Sent:
    """A form as it came, and what is wrong with it."""

    form: Filled
    once: str
    signed: str = ""
    photos: list[str] = field(default_factory=list)
    agreed: list[MailedAgreement] = field(default_factory=list)


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _MailIn(office)
    return (
        office.open_route(FORM, pages.form, methods=("GET", "POST"), most_bytes=MOST_FORM_BYTES),
        office.open_route(FORM + "/{token}", pages.status),
        office.open_route(FORM + "/{token}/slip.pdf", pages.slip),
    )


@dataclass(frozen=True)
class _MailIn:
    office: Office

    @property
    def settings(self) -> Settings:
        """Read anew for each page, so that nobody has to start the hub again."""
        return load_settings(self.office.keys.folder.parent)

    def form(self, visit: Visit) -> Response:
        if visit.request.method != "POST":
            empty = Filled(dict.fromkeys(LONGEST, ""))
            return self._show(visit, _Sent(empty, secrets.token_urlsafe(24)))
        sent = self._read(visit)
        try:
            if not sent.form.wrong:
                self._count(visit)
                self._take_photos(visit, sent)
            if not sent.form.wrong:
                return self._book(sent)
        except HubError as error:  # Nobody types it all again because the hub cannot take it now.
            sent.form.wrong["form"] = f"{error.what} {error.next_step}"
            return self._show(visit, sent, error.status)
        return self._show(visit, sent, 400)

    def status(self, visit: Visit) -> Response:
        kept, settings = self._kept(visit), self.settings
        return self.office.page(
            visit,
            "mail_in_status.html",
            reference=kept.order.reference,
            said=_said(kept.order),
            changed=kept.changed,
            slip=f"{FORM}/{kept.token}/slip.pdf" if _on_its_way(kept.order) else "",
            whatsapp=whatsapp(settings.whatsapp, f"My order is {kept.order.reference}."),
            settings=settings,
        )

    def slip(self, visit: Visit) -> Response:
        kept = self._kept(visit)
        if not _on_its_way(kept.order):
            raise NotThere("The part is here: no slip is needed any more.", "See how far it is.")
        return slip_answer(kept.order, self.settings)

    def _kept(self, visit: Visit) -> Kept:
        return self.office.hub.orders.by_token(visit.part("token"))

    def _texts(self) -> list[TextIssued]:
        """What can be agreed to, the one that must be first."""
        texts = held_texts(self.office.hub.database)
        return sorted(texts, key=lambda text: text.name != NEEDED)

    def _show(self, visit: Visit, sent: _Sent, status: int = 200) -> Response:
        return self.office.page(
            visit,
            "mail_in.html",
            status,
            given=sent.form.given,
            wrong=sent.form.wrong,
            longest=LONGEST,
            once=sent.once,
            signed=sent.signed,
            agreed={one.text for one in sent.agreed},
            texts=[(text, _sha256(text)) for text in self._texts()],
            needed=NEEDED,
            trap=_TRAP,
            most_photos=MOST_PHOTOS,
            most_mib=MOST_BYTES >> 20,
            settings=self.settings,
        )

    def _book(self, sent: _Sent) -> Response:
        form = sent.form.booking("mail_in")
        booking = structs.replace(form, photos=sent.photos, agreed=sent.agreed)
        kept = self.office.hub.orders.book(booking, sent.once)
        return RedirectResponse(f"{FORM}/{kept.token}", 303)

    # What came --------------------------------------------------------------------------------

    def _read(self, visit: Visit) -> _Sent:
        sent = _Sent(filled(visit.field, by_mail=True), visit.field("once"))
        sent.signed = visit.field("signed")
        if _ONCE.fullmatch(sent.once) is None or visit.field(_TRAP):
            sent.once = secrets.token_urlsafe(24)
            sent.form.wrong["form"] = "This form was not filled in as people do. Try it again."
        self._read_agreed(visit, sent)
        return sent

    def _read_agreed(self, visit: Visit, sent: _Sent) -> None:
        wrong, texts = sent.form.wrong, self._texts()
        if not texts:
            return
        try:
            strokes = strokes_of(visit.field("strokes"))
        except ValueError:
            wrong["signed"] = "The signature cannot be read. Draw it again."
            return
        for text in texts:
            given = visit.field(f"agree_{text.name}")
            if not given and text.name == NEEDED:
                wrong[text.name] = "Nothing can be taken without this."
            elif given and given != _sha256(text):
                wrong[text.name] = "The text was changed meanwhile. Read it again."
            elif given:
                sent.agreed.append(self._agreed(text, sent.signed, strokes))
        if sent.agreed and not 0 < len(sent.signed) <= LONGEST["customer"]:
            wrong["signed"] = "Type your name as your signature."

    def _agreed(
        self, text: TextIssued, name: str, strokes: list[list[tuple[int, int]]]
    ) -> MailedAgreement:
        return MailedAgreement(
            text=text.name,
            version=text.version,
            language=text.language,
            sha256=_sha256(text),
            name=name,
            strokes=strokes,
            wall=rfc3339(int(self.office.hub.now())),
        )

    def _count(self, visit: Visit) -> None:
        hub = self.office.hub
        most = {f"mail-in from {visit.address}": ORDERS_OF_ADDRESS, "mail-in": ORDERS_OF_ALL}
        if not hub.database.write(lambda tables: within(tables, hub.now(), most, ORDERS_S)):
            raise TooManyOrders

    def _take_photos(self, visit: Visit, sent: _Sent) -> None:
        files = [one for one in visit.form.getlist("photos") if isinstance(one, UploadFile)]
        files = [one for one in files if one.size]
        if len(files) > MOST_PHOTOS:
            sent.form.wrong["photos"] = f"These are {len(files)} photos; {MOST_PHOTOS} can be sent."
            return
        try:
            pictures = [cleaned(one.file.read(MOST_BYTES + 1)) for one in files]
        except PhotoRefused as error:
            sent.form.wrong["photos"] = f"{error.what} {error.next_step}"
            return
        sent.photos = list(dict.fromkeys(map(self.office.hub.keep_blob, pictures)))


def slip_answer(order: Order, settings: Settings) -> Response:
    """The packing slip of an order, to be looked at and printed."""
    name = f'inline; filename="{order.reference}.pdf"'
    return Response(
        packing_slip(order, settings),
        media_type="application/pdf",
        headers={"Content-Disposition": name},
    )


def whatsapp(number: str, text: str) -> str:
    """A link that opens a chat with a text in it; empty for no number."""
    digits = "".join(one for one in number if one.isdigit())
    return f"https://wa.me/{digits}?text={quote(text)}" if digits else ""


def _sha256(text: TextIssued) -> str:
    return hashlib.sha256(text.text.encode()).hexdigest()


def _on_its_way(order: Order) -> bool:
    return order.state in ("booked", "on_the_way")


def _said(order: Order) -> str:
    """How far an order is, in plain words for the customer."""
    by_mail = order.way == "mail_in"
    match order.state:
        case "booked":
            return "We know of it, and wait for your part." if by_mail else "It is booked."
        case "on_the_way":
            return "Your part is in the mail." if by_mail else "The technician is on the way."
        case "at_the_bench":
            return "It is being worked on."
        case "done":
            return "It is done." + (" Your part is on its way back to you." if by_mail else "")
        case "withdrawn":
            return "The order was withdrawn. Call us if that is wrong."
