"""The form for customers, as a program sends it: whatever comes, an order or words, and once."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from PIL import Image

from appliance.workshop.office.mail_in import (
    MOST_FORM_BYTES,
    MOST_PHOTOS,
    ORDERS_OF_ADDRESS,
    ORDERS_S,
)
from appliance.workshop.orders import Kept, OrderFilter
from appliance.workshop.photos import MOST_BYTES
from appliance.workshop.texts import publish_text
from tests.appliance.records.sample import VIN
from tests.appliance.workshop.office.conftest import Desk
from tests.appliance.workshop.pictures import bomb, photo

FORM = "/mail-in"
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
FIELDS = {
    "customer": "Zoë Müller",
    "phone": "+49 30 1234567",
    "address": "Straße 1\n10115 Berlin",
    "make": "Volkswagen",
    "model": "Golf IV",
    "year": "2001",
    "vin": VIN,
    "symptoms": "Stalls when hot.",
    "fault_codes": "P0606",
}


@pytest.fixture
def visitor(desk: Desk) -> Iterator[httpx.Client]:
    """A browser without anybody; what an earlier test sent is no hindrance."""
    desk.workshop.clock[0] += ORDERS_S + 1
    with desk.nobody() as client:
        yield client


def fresh(client: httpx.Client, **changed: str) -> dict[str, str]:
    """The fields of a form that was just opened."""
    page = client.get(FORM).text
    found = re.search(r'name="once" value="([^"]+)"', page)
    assert found is not None
    texts = dict(re.findall(r'name="(agree_\w+)" value="([0-9a-f]{64})"', page))
    return {**FIELDS, "once": found[1], "signed": "Zoë Müller" if texts else "", **texts, **changed}


def send(
    client: httpx.Client, fields: dict[str, str], *photos: bytes, name: str = "label.jpg"
) -> httpx.Response:
    files = [("photos", (name, one, "image/jpeg")) for one in photos]
    # An empty file, as browsers send where nothing was chosen; it also makes the form multipart.
    return client.post(FORM, data=fields, files=files or [("photos", ("", b"", ""))])


def orders(desk: Desk) -> list[Kept]:
    return list(desk.workshop.hub.orders.find(OrderFilter(limit=10_000)))


def refused(desk: Desk, answer: httpx.Response, before: int, told: str, status: int = 400) -> None:
    assert answer.status_code == status, answer.text[:500]
    assert told in unescape(answer.text)
    assert len(orders(desk)) == before


def test_a_part_is_sent_in_and_the_customer_gets_slip_and_status(
    desk: Desk, visitor: httpx.Client, tmp_path: Path
) -> None:
    answer = send(visitor, fresh(visitor), photo("0261S04567"), photo("06A906032"))
    assert answer.status_code == 303
    order = orders(desk)[0].order
    assert (order.customer, order.vin, order.state) == ("Zoë Müller", VIN, "booked")
    assert len(order.photos) == 2
    for sha256 in order.photos:
        content = b"".join(desk.workshop.hub.blobs.read(sha256))
        assert Image.open(io.BytesIO(content)).format == "JPEG"
    with desk.workshop.hub.database.reading() as tables:
        known = {row.sha256 for row in tables.blobs.select()}
    assert set(order.photos) <= known, "an export has them, too"

    status = visitor.get(answer.headers["location"])
    assert order.reference in status.text
    assert "wait for your part" in status.text
    for secret in ("Müller", "1234567", "Straße", VIN):
        assert secret not in unescape(status.text)
    slip = visitor.get(f"{answer.headers['location']}/slip.pdf")
    assert slip.headers["content-type"] == "application/pdf"
    text = words_of(slip.content, tmp_path)
    for word in (order.reference, "Zoë Müller", "10115 Berlin", VIN, "P0606"):
        assert word in text

    desk.workshop.hub.orders.move(order.order, "at_the_bench")
    assert "being worked on" in visitor.get(answer.headers["location"]).text
    assert visitor.get(f"{answer.headers['location']}/slip.pdf").status_code == 404
    assert visitor.get(f"{FORM}/no-such-token").status_code == 404


def words_of(pdf: bytes, folder: Path) -> str:
    file = folder / "slip.pdf"
    file.write_bytes(pdf)
    return subprocess.run(
        ["pdftotext", "-layout", file, "-"], check=True, capture_output=True, text=True
    ).stdout


def test_the_same_form_twice_is_one_order(desk: Desk, visitor: httpx.Client) -> None:
    before, fields = len(orders(desk)), fresh(visitor)
    first, second = send(visitor, fields), send(visitor, fields)
    assert first.headers["location"] == second.headers["location"]
    assert len(orders(desk)) == before + 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"vin": "WVWZZZ1JZXWO00001"}, "Is it WVWZZZ1JZXW000001?"),
        ({"vin": ""}, "why there is none"),
        ({"symptoms": "x" * 20_000}, "20000 letters; 4000 fit"),
        ({"customer": "x" * 20_000}, "20000 letters; 120 fit"),
        ({"phone": ""}, "how to reach you"),
        ({"website": "https://example.org"}, "not filled in as people do"),
        ({"once": "x"}, "not filled in as people do"),
    ],
)
def test_what_is_filled_in_wrongly_is_told_and_kept_in_the_form(
    desk: Desk, visitor: httpx.Client, changed: dict[str, str], told: str
) -> None:
    before = len(orders(desk))
    answer = send(visitor, fresh(visitor, **changed))
    refused(desk, answer, before, told)
    assert "10115 Berlin" in answer.text, "nobody types it all again"


@pytest.mark.parametrize(
    ("photos", "told"),
    [
        ((bytes(MOST_BYTES + 1),), "more than 12 megabytes"),
        ((b"%PDF-1.7",), "no picture"),
        ((photo(), b"<svg onload=alert(1)>"), "no picture"),
        ((bomb(),), "too many dots"),
        ((photo(),) * (MOST_PHOTOS + 1), "8 can be sent"),
    ],
)
def test_what_is_no_photo_books_nothing(
    desk: Desk, visitor: httpx.Client, photos: tuple[bytes, ...], told: str
) -> None:
    before = len(orders(desk))
    refused(desk, send(visitor, fresh(visitor), *photos), before, told)


def test_a_form_that_is_too_large_is_not_read_to_its_end(desk: Desk, visitor: httpx.Client) -> None:
    before = len(orders(desk))
    head = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
    piece = b"x" * (1 << 20)
    answer = visitor.post(
        FORM,
        content=itertools.chain([head], itertools.repeat(piece, MOST_FORM_BYTES // len(piece))),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    refused(desk, answer, before, "more than the page takes", 413)


def test_script_in_every_field_is_text(desk: Desk, visitor: httpx.Client) -> None:
    hostile = {name: SCRIPT for name in FIELDS if name not in ("vin", "year", "phone")}
    hostile |= {"vin": "", "no_vin": SCRIPT, "tried": SCRIPT, "signed": SCRIPT}
    wrong = send(visitor, fresh(visitor, **hostile, year=SCRIPT, phone=SCRIPT))
    taken = send(visitor, fresh(visitor, **hostile), name=SCRIPT)
    assert (wrong.status_code, taken.status_code) == (400, 303)
    order = orders(desk)[0].order
    assert order.symptoms == SCRIPT
    with desk.somebody("office") as office:
        paths = (
            "/orders",
            f"/orders/{order.reference}",
            f"/orders/{order.reference}/edit",
            f"/orders?words={SCRIPT}",
        )
        pages = [office.get(path).text for path in paths]
    pages += [wrong.text, visitor.get(taken.headers["location"]).text]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    slip = visitor.get(f"{taken.headers['location']}/slip.pdf")
    assert slip.content.startswith(b"%PDF")


def test_one_address_cannot_fill_the_workshop(desk: Desk, visitor: httpx.Client) -> None:
    for _ in range(ORDERS_OF_ADDRESS):
        assert send(visitor, fresh(visitor)).status_code == 303
    before = len(orders(desk))
    refused(desk, send(visitor, fresh(visitor)), before, "Too many orders", 429)
    desk.workshop.clock[0] += ORDERS_S + 1
    assert send(visitor, fresh(visitor)).status_code == 303


def test_terms_must_be_accepted_as_they_are_and_signed(desk: Desk, visitor: httpx.Client) -> None:
    assert "Terms of the work on your vehicle" in visitor.get(FORM).text, "until the workshop's own"
    hub, key = desk.workshop.hub, desk.workshop.keys.signing
    publish_text(hub.database, key, "terms", "en", "Terms\nWe take care.")
    publish_text(hub.database, key, "immobiliser", "en", "Immobiliser\nI am the owner.")
    fields = fresh(visitor)
    before = len(orders(desk))
    without = {name: text for name, text in fields.items() if not name.startswith("agree_")}
    only = {**without, "agree_terms": fields["agree_terms"]}
    refused(desk, send(visitor, without), before, "Nothing can be taken without this")
    refused(desk, send(visitor, {**fields, "signed": ""}), before, "Type your name")

    beside = {**fields, "strokes": "[[[9999,1]]]"}
    refused(desk, send(visitor, beside), before, "cannot be read")

    drawn = [[[x, 100 + x % 7] for x in range(100)]]
    taken = send(visitor, {**only, "strokes": str(drawn)})
    assert taken.status_code == 303
    (agreed,) = orders(desk)[0].order.agreed
    assert (agreed.text, agreed.version, agreed.name) == ("terms", 1, "Zoë Müller")
    assert agreed.strokes == [[(x, y) for x, y in drawn[0]]]

    publish_text(hub.database, key, "terms", "en", "Terms\nWe take more care.")
    changed = {**fresh(visitor), "agree_terms": fields["agree_terms"]}
    refused(desk, send(visitor, changed), before + 1, "changed meanwhile")


def test_a_form_from_elsewhere_is_refused(desk: Desk, visitor: httpx.Client) -> None:
    before, fields = len(orders(desk)), fresh(visitor)
    foreign = {"Origin": "https://example.org"}
    answer = visitor.post(FORM, data=fields, headers=foreign)
    refused(desk, answer, before, "does not come from a page", 403)
