"""Work orders, from the office to the kit that they are for and back."""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.records.events import MailedAgreement
from appliance.reference import PATTERN
from appliance.service.book import Book
from appliance.service.orders import open_order, order_shown, orders_shown
from appliance.sync.change import NAMESPACE_CHANGE
from appliance.sync.changes import Inbox
from appliance.sync.handover import Handover, Way, hand_over
from appliance.sync.hubclient import HubClient
from appliance.sync.order import Booking, Order
from appliance.sync.outbox import Outbox
from appliance.sync.receipt import NAMESPACE_RECEIPT
from appliance.sync.record import BlobRef
from appliance.sync.requests import kit_id
from appliance.workshop.errors import Conflict, NotThere
from appliance.workshop.orders import NEXT, Kept, OrderFilter
from appliance.workshop.settings import Settings
from appliance.workshop.slip import packing_slip
from hw.errors import UsageError
from hw.sshsig import AllowedSigners, Signer
from tests.appliance.records.sample import VIN, open_records
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.scanner import scanned_page


def _no_blob(blob: BlobRef) -> BinaryIO:
    raise AssertionError(blob)


class Kit:
    """A kit with its book, its inbox and its outbox."""

    def __init__(self, workshop: Workshop, book: Book, hub: HubClient, folder: Path) -> None:
        self.book, self.hub = book, hub
        self.id = kit_id(book.records.kit_key.public_key())
        signing = workshop.keys.signing.public_key().public_bytes_raw()
        namespaces = frozenset({NAMESPACE_CHANGE, NAMESPACE_RECEIPT})
        self.trusted = AllowedSigners((Signer(("workshop",), namespaces, signing),))
        self.inbox = Inbox(book.store, folder, self.id, self.trusted, threading.Lock(), bytes(32))

    def references(self) -> list[str]:
        self.inbox.fetch(self.hub.changes, lambda: True)
        assert self.inbox.put_aside() == []
        return [one.reference for one in orders_shown(self.book)]

    def hand_over(self) -> Handover:
        outbox = Outbox(self.book.records, lambda _backup: ())
        outbox.freeze()
        return hand_over(outbox, Way(self.hub, self.trusted, _no_blob, lambda: True))


def make_kit(workshop: Workshop, folder: Path) -> Iterator[Kit]:
    key = Ed25519PrivateKey.generate()
    folder.mkdir()
    with open_records(folder, key) as records, workshop.enrolled(key) as hub:
        yield Kit(workshop, Book(records.store, records, "anna"), hub, folder)


@pytest.fixture
def kit(workshop: Workshop, tmp_path: Path) -> Iterator[Kit]:
    yield from make_kit(workshop, tmp_path / "kit")


@pytest.fixture
def other(workshop: Workshop, tmp_path: Path) -> Iterator[Kit]:
    yield from make_kit(workshop, tmp_path / "other")


@pytest.fixture(autouse=True)
def put_away(workshop: Workshop) -> Iterator[None]:
    """Each test begins with nothing to do."""
    yield
    orders = workshop.hub.orders
    for kept in orders.find(OrderFilter(limit=10_000)):
        if NEXT[kept.order.state]:
            orders.move(kept.order.order, "withdrawn")


BOOKING = Booking(
    way="mail_in",
    customer="Zoë Müller",
    phone="+49 30 1234567",
    make="Volkswagen",
    model="Golf IV",
    year=2001,
    vin=VIN,
    symptoms="Stalls when hot.",
    fault_codes="P0606",
    tried="New relay.",
    agreed=[
        MailedAgreement(
            text="terms",
            version=1,
            language="en",
            sha256="0" * 64,
            name="Zoë Müller",
            strokes=[[(1, 2), (600, 200)]],
            wall="2026-11-27T08:00:00Z",
        )
    ],
)


def book(workshop: Workshop, kit: str = "", **changed: object) -> Kept:
    booking = msgspec.structs.replace(BOOKING, **changed)
    return workshop.hub.orders.book(booking, secrets.token_urlsafe(16), kit)


def test_an_order_comes_to_a_kit_and_its_job_opens_with_what_it_says(
    kit: Kit, other: Kit, workshop: Workshop, tmp_path: Path
) -> None:
    kept = book(workshop)
    assert re.match(PATTERN, kept.order.reference)
    assert kit.references() == [kept.order.reference]
    assert other.references() == [kept.order.reference]

    job = open_order(kit.book, kept.order.reference.lower().replace("-", ""))
    assert (job.customer, job.phone, job.vin) == ("Zoë Müller", "+49 30 1234567", VIN)
    assert job.vehicle.startswith("Volkswagen Golf IV 2001")
    assert job.complaint == "Stalls when hot.\nFault codes: P0606\nTried: New relay."
    created, taken = kit.book.events(job.job, 0, 0)
    assert (created.kind, taken.kind) == ("job_created", "order_taken")
    agreed = msgspec.to_builtins(kept.order.agreed)
    assert taken.body == {
        "order": kept.order.order,
        "reference": kept.order.reference,
        "agreed": agreed,
    }
    assert [one["name"] for one in agreed] == ["Zoë Müller"]
    assert open_order(kit.book, kept.order.reference).job == job.job, "it is opened once"
    kit.book.verify(job.job)
    report = tmp_path / "report.pdf"
    report.write_bytes(kit.book.report(job.job).content)
    words = ["pdftotext", "-layout", str(report), "-"]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert f"{kept.order.reference}; terms version 1 (en), accepted by" in " ".join(shown.split())

    assert kit.hand_over() == Handover(handed_over=1)
    now = workshop.hub.orders.get(kept.order.order)
    assert (now.job, now.order.state) == (job.job, "at_the_bench")
    assert other.references() == [kept.order.reference]
    assert order_shown(other.book, kept.order.reference).state == "at_the_bench"


def test_what_a_scanner_reads_from_the_packing_slip_opens_the_orders_job(
    kit: Kit, workshop: Workshop, tmp_path: Path
) -> None:
    book(workshop, customer="Thandi")
    kept = book(workshop, tried="New relay. " * 100)
    kit.references()
    slip = tmp_path / "slip.pdf"
    slip.write_bytes(packing_slip(kept.order, Settings(name="Bench & Bus")))
    job = open_order(kit.book, scanned_page(slip))
    assert job.customer == "Zoë Müller"
    (_, taken) = kit.book.events(job.job, 0, 0)
    assert taken.body["order"] == kept.order.order


def test_what_is_over_leaves_no_customer_on_a_kit(kit: Kit, workshop: Workshop) -> None:
    for state in ("done", "withdrawn"):
        kept = book(workshop)
        assert kit.references() == [kept.order.reference]
        workshop.hub.orders.move(kept.order.order, state)
        assert kit.references() == []
        assert kit.book.store.run(lambda t: list(t.orders.select())) == []
        with pytest.raises(UsageError, match="no work order"):
            open_order(kit.book, kept.order.reference)


def test_an_order_of_one_kit_is_no_other_kits(kit: Kit, other: Kit, workshop: Workshop) -> None:
    kept = book(workshop)
    assert other.references() == [kept.order.reference]
    workshop.hub.orders.assign(kept.order.order, kit.id)
    assert (kit.references(), other.references()) == ([kept.order.reference], [])
    workshop.hub.orders.assign(kept.order.order, other.id)
    assert (kit.references(), other.references()) == ([], [kept.order.reference])
    workshop.hub.orders.assign(kept.order.order, "")
    assert kit.references() == other.references() == [kept.order.reference]


def test_a_kit_that_says_it_works_on_an_order_of_another_changes_nothing(
    kit: Kit, other: Kit, workshop: Workshop
) -> None:
    kept = book(workshop)
    other.references()
    workshop.hub.orders.assign(kept.order.order, kit.id)
    open_order(other.book, kept.order.reference)
    assert other.hand_over() == Handover(handed_over=1)
    now = workshop.hub.orders.get(kept.order.order)
    assert (now.job, now.order.state) == ("", "booked")


def test_the_same_form_sent_twice_books_once_also_at_the_same_moment(workshop: Workshop) -> None:
    once = secrets.token_urlsafe(16)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(workshop.hub.orders.book, BOOKING, once, "") for _ in range(8)]
        references = {future.result().order.reference for future in futures}
    assert len(references) == 1


@pytest.mark.parametrize("state", list(NEXT))
def test_an_order_goes_only_where_it_can(workshop: Workshop, state: str) -> None:
    for to in NEXT:
        kept = book(workshop)
        order = kept.order.order
        if state != "booked":
            workshop.hub.orders.move(order, msgspec.convert(state, type(kept.order.state)))
        if to in NEXT[workshop.hub.orders.get(order).order.state]:
            assert workshop.hub.orders.move(order, to).order.state == to
        else:
            with pytest.raises(Conflict, match="cannot become"):
                workshop.hub.orders.move(order, to)


def test_orders_are_found_by_words_and_state_a_page_at_a_time(workshop: Workshop) -> None:
    first = book(workshop, customer="Łukasz Müller", vin="")
    second = book(workshop, customer="Thandi")
    orders = workshop.hub.orders

    def found(**wanted: object) -> list[str]:
        asked = msgspec.convert({"states": ["booked"], **wanted}, OrderFilter)
        return [one.order.reference for one in orders.find(asked)]

    both = [second.order.reference, first.order.reference]
    assert found() == both
    assert found(words="muller golf") == both[1:]
    assert found(words=first.order.reference) == both[1:]
    assert found(words="%") == []
    assert found(limit=1) == both[:1]
    assert found(before=second.order.order) == both[1:]
    orders.move(first.order.order, "done")
    assert found() == both[:1]
    assert orders.by_reference(first.order.reference).order.state == "done"
    assert orders.by_token(second.token).order.order == second.order.order


def test_what_is_not_there_is_told(workshop: Workshop) -> None:
    orders = workshop.hub.orders
    asks: list[Callable[[], Kept]] = [
        lambda: orders.get("x"),
        lambda: orders.by_reference("W-00000"),
        lambda: orders.by_token(""),
        lambda: orders.move("x", "done"),
        lambda: orders.assign(book(workshop).order.order, "SHA256:nobody"),
    ]
    for ask in asks:
        with pytest.raises(NotThere):
            ask()
    done = orders.move(book(workshop).order.order, "done")
    with pytest.raises(Conflict):
        orders.assign(done.order.order, "")


def test_an_order_without_car_and_vin_opens_a_job_all_the_same(
    kit: Kit, workshop: Workshop
) -> None:
    kept = book(workshop, make="", model="", year=None, vin="", no_vin="The plate is gone.")
    kit.references()
    assert kept.order.reference in open_order(kit.book, kept.order.reference).vehicle


def test_appointments_come_first_in_their_order(kit: Kit, workshop: Workshop) -> None:
    expected = [
        book(workshop, appointment=at).order.reference
        for at in ("2026-12-01T09:30", "2026-12-01T11:00", "", "2026-11-30T08:00")
    ]
    assert kit.references() == [expected[3], *expected[:3]]


def test_an_order_is_the_same_after_it_was_written_down() -> None:
    order = Order(
        order="01a20000-0000-7000-8000-00000000000c",
        reference="W-7K3F2",
        way="visit",
        state="booked",
        customer="A",
        phone="1",
        made="2026-11-27T08:00:00Z",
    )
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
