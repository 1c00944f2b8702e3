"""Work orders in the office, as a program asks for them: who may what, and what comes of it."""

from __future__ import annotations

import re
import secrets
from html import unescape

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.order import Booking
from appliance.sync.requests import kit_id
from appliance.workshop.audit import entries
from appliance.workshop.office.mail_in import whatsapp
from appliance.workshop.orders import Kept, OrderFilter
from tests.appliance.records.sample import VIN
from tests.appliance.workshop.office.conftest import Desk, csrf_of
from tests.appliance.workshop.pictures import photo

ROLES = ("technician", "office", "owner")


def book(desk: Desk, **changed: object) -> Kept:
    fields = {"way": "visit", "customer": "Thandi", "phone": "+27 82 555 0100", **changed}
    booking = Booking(**fields)  # type: ignore[arg-type]  # each test names its own fields
    return desk.workshop.hub.orders.book(booking, secrets.token_urlsafe(16))


def send(client: httpx.Client, path: str, page: str = "/orders/new", **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client.get(page).text), **form})


def new_form(client: httpx.Client) -> dict[str, str]:
    page = client.get("/orders/new").text
    found = re.search(r'name="once" value="([^"]+)"', page)
    assert found is not None
    return {"once": found[1], "customer": "Zoë Müller", "phone": "+49 30 1234567", "way": "visit"}


@pytest.mark.parametrize("role", ROLES)
def test_who_reads_and_who_books(desk: Desk, role: str) -> None:
    reference = book(desk).order.reference
    one = f"/orders/{reference}"
    books = role != "technician"
    with desk.somebody(role) as client:
        for path in ("/orders", one, f"{one}/slip.pdf"):
            assert client.get(path).status_code == 200
        for path in ("/orders/new", f"{one}/edit"):
            assert client.get(path).status_code == (200 if books else 403)
        shown = client.get(one).text
        assert ("Withdraw" in shown) is books
        csrf = csrf_of(shown)
        for path, form in (
            ("/orders/new", {"customer": "A", "phone": "123456", "once": secrets.token_hex(12)}),
            (f"{one}/edit", {"customer": "B", "phone": "123456"}),
            (f"{one}/kit", {"kit": ""}),
            (f"{one}/state", {"state": "on_the_way"}),
        ):
            answer = client.post(path, data={"csrf": csrf, **form})
            assert answer.status_code == (303 if books else 403), path
            assert client.post(path, data=form).status_code == 403, "without the session's word"
    with desk.nobody() as client:
        for path in ("/orders", "/orders/new", one, f"{one}/slip.pdf", f"{one}/photos/0"):
            assert client.get(path).headers["location"] == "/login"
    state = desk.workshop.hub.orders.by_reference(reference).order.state
    assert state == ("on_the_way" if books else "booked")


def test_a_visit_is_booked_found_changed_and_ended(desk: Desk) -> None:
    with desk.somebody("office") as client:
        form = new_form(client) | {"vin": VIN.lower(), "appointment": "2026-12-01T09:30"}
        answer = send(client, "/orders/new", **form)
        assert answer.status_code == 303
        again = send(client, "/orders/new", **form)
        assert again.headers["location"] == answer.headers["location"], "sent twice, booked once"
        one = answer.headers["location"]
        page = unescape(client.get(one).text)
        for word in ("Zoë Müller", VIN, "2026-12-01 09:30", "We go to the car"):
            assert word in page
        assert one in client.get("/orders?words=muller").text
        assert one not in client.get("/orders?words=nobody").text

        edit = client.get(f"{one}/edit").text
        assert f'value="{VIN}"' in edit
        changed = {**form, "customer": "Zoë Meier", "way": "mail_in"}
        assert send(client, f"{one}/edit", **changed).status_code == 303
        assert "Zoë Meier" in client.get(one).text

        assert send(client, f"{one}/state", state="done").status_code == 303
        assert one not in client.get("/orders").text
        assert one in client.get("/orders?state=done").text
        refused = send(client, f"{one}/state", state="booked")
        assert (refused.status_code, "cannot become booked" in refused.text) == (409, True)
        assert send(client, f"{one}/state", state="sold").status_code == 400
        assert send(client, f"{one}/edit", **changed).status_code == 409
        assert client.get("/orders/W-00000").status_code == 404
    told = [(one.who, one.did) for one in entries(desk.workshop.hub.database, limit=3)]
    assert told == [
        ("Olga", "set an order to done"),
        ("Olga", "changed an order"),
        ("Olga", "booked an order"),
    ]


def test_a_booking_with_mistakes_books_nothing(desk: Desk) -> None:
    before = len(desk.workshop.hub.orders.find(OrderFilter(limit=10_000)))
    with desk.somebody("office") as client:
        form = new_form(client)
        for wrong in ({"vin": "short"}, {"phone": ""}, {"year": "soon"}, {"once": ""}):
            answer = send(client, "/orders/new", **(form | wrong))
            assert (answer.status_code, "Nothing was sent yet" in answer.text) == (400, True)
        assert send(client, "/orders/new", **form, kit="SHA256:nobody").status_code == 404
    assert len(desk.workshop.hub.orders.find(OrderFilter(limit=10_000))) == before


def test_an_order_is_given_to_a_kit_by_its_name(desk: Desk) -> None:
    kept = book(desk)
    key = Ed25519PrivateKey.generate()
    desk.workshop.enrolled(key, "Van 7").__exit__(None, None, None)
    kit = kit_id(key.public_key())
    one = f"/orders/{kept.order.reference}"
    with desk.somebody("office") as client:
        assert "Van 7" in client.get(one).text
        assert send(client, f"{one}/kit", kit=kit).status_code == 303
        assert desk.workshop.hub.orders.get(kept.order.order).kit == kit
        refused = send(client, f"{one}/kit", kit="SHA256:nobody")
        assert (refused.status_code, "There is no kit" in refused.text) == (404, True)


def test_only_the_photos_of_an_order_are_shown_with_it(desk: Desk) -> None:
    hub = desk.workshop.hub
    mine, other = hub.keep_blob(photo("MINE")), hub.keep_blob(photo("OTHER"))
    kept = book(desk, photos=[mine])
    with desk.somebody("technician") as client:
        photos = f"/orders/{kept.order.reference}/photos"
        answer = client.get(f"{photos}/{mine}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.content == photo("MINE")
        for wrong in (other, "0" * 64, "..%2F..%2Fhub.db"):
            assert client.get(f"{photos}/{wrong}").status_code == 404


def test_a_chat_is_prepared_with_the_reference(desk: Desk) -> None:
    assert whatsapp("+27 82 555-0100", "My order is W-1.") == (
        "https://wa.me/27825550100?text=My%20order%20is%20W-1."
    )
    assert whatsapp("", "x") == ""
    kept, local = book(desk), book(desk, phone="082 555 0100")
    with desk.somebody("office") as client:
        page = client.get(f"/orders/{kept.order.reference}").text
        assert f"https://wa.me/27825550100?text=Your%20order%20{kept.order.reference}" in page
        assert "wa.me" not in client.get(f"/orders/{local.order.reference}").text


def test_a_long_list_comes_a_page_at_a_time(desk: Desk) -> None:
    references = [book(desk, customer="Many").order.reference for _ in range(51)]
    with desk.somebody("office") as client:
        first = client.get("/orders?words=many").text
        found = re.search(r'href="([^"]+)">Older ones', first)
        assert found is not None
        older = client.get(unescape(found[1])).text
    assert [one in first for one in references] == [False] + [True] * 50
    assert [one in older for one in references] == [True] + [False] * 50
