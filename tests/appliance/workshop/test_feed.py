"""The feed is shortened: who comes new, late or half way through ends with what holds now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.sync.change import Change, Revocation, TextIssued
from appliance.workshop import feed
from appliance.workshop.tables import HubDatabase, Models
from appliance.workshop.texts import publish_text
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.test_orders import BOOKING, Kit, book, make_kit, put_away

__all__ = ["put_away"]
PHONES = ("+49 30 1", "+49 30 2", "+49 30 3")


@pytest.fixture
def kit(workshop: Workshop, tmp_path: Path) -> Iterator[Kit]:
    yield from make_kit(workshop, tmp_path / "kit")


@pytest.fixture
def new(workshop: Workshop, tmp_path: Path) -> Iterator[Kit]:
    yield from make_kit(workshop, tmp_path / "new")


def in_feed(database: HubDatabase, kind: str, subject: str) -> list[Change]:
    """Every version of a subject that the workshop's database still has."""
    with database.reading() as tables:
        changes = tables.changes
        of_subject = (changes.kind == kind) & (changes.subject == subject)
        rows = list(changes.select().where(of_subject).order_by(changes.number))
    return [msgspec.json.decode(row.document, type=Change) for row in rows]


def corrected(workshop: Workshop, order: str) -> None:
    for phone in PHONES:
        workshop.hub.orders.change(order, msgspec.structs.replace(BOOKING, phone=phone))


def phones(kit: Kit) -> dict[str, str]:
    """What a kit knows of its orders."""
    kit.references()
    rows = kit.book.store.run(lambda tables: list(tables.orders.select()))
    documents = [msgspec.json.decode(row["document"]) for row in rows]
    return {one["reference"]: one["phone"] for one in documents}


def test_a_new_kit_is_told_of_each_order_once_as_it_is_now(workshop: Workshop, new: Kit) -> None:
    kept = [book(workshop) for _ in range(3)]
    for one in kept:
        corrected(workshop, one.order.order)
    mine = {one.order.order for one in kept}
    page = new.hub.changes(0).changes
    told = [msgspec.json.decode(one.document, type=Change).subject for one in page]
    assert sorted(one for one in told if one in mine) == sorted(mine)
    for one in kept:
        (only,) = in_feed(workshop.hub.database, "order", one.order.order)
        assert (only.version, only.body["phone"]) == (4, PHONES[-1])
    assert phones(new) == {one.order.reference: PHONES[-1] for one in kept}


def test_a_kit_that_is_half_way_while_orders_change_ends_where_a_new_one_does(
    workshop: Workshop, kit: Kit, new: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.references()
    start = kit.hub.changes(0).last
    monkeypatch.setattr(feed, "PAGE", 2)
    kept = [book(workshop) for _ in range(6)]
    more = iter((True, False))
    assert kit.inbox.fetch(kit.hub.changes, lambda: next(more)) == 2
    # Some that it has, some that it has not yet, and one that it never hears of.
    for one in (kept[0], kept[1], kept[4]):
        corrected(workshop, one.order.order)
    for one in (kept[1], kept[5]):
        workshop.hub.orders.move(one.order.order, "done")
    expected = {
        kept[0].order.reference: PHONES[-1],
        kept[2].order.reference: BOOKING.phone,
        kept[3].order.reference: BOOKING.phone,
        kept[4].order.reference: PHONES[-1],
    }
    assert phones(kit) == expected
    assert phones(new) == expected
    assert kit.hub.changes(kit.hub.changes(start).last).changes == []
    for one in kept:
        assert len(in_feed(workshop.hub.database, "order", one.order.order)) == 1


def test_an_order_that_went_from_kit_to_kit_is_known_only_where_it_is_now(
    workshop: Workshop, kit: Kit, new: Kit
) -> None:
    kept = book(workshop)
    orders, order, reference = workshop.hub.orders, kept.order.order, kept.order.reference
    assert kit.references() == [reference]
    for to in (kit.id, new.id):
        orders.assign(order, to)
    assert (kit.references(), new.references()) == ([], [reference])
    orders.assign(order, kit.id)
    assert (kit.references(), new.references()) == ([reference], [])
    left = in_feed(workshop.hub.database, "order", order)
    assert [(one.kit, one.body["about"]) for one in left] == [
        ("", "gone"),
        (new.id, "gone"),
        (kit.id, "order"),
    ]
    orders.assign(order, "")
    assert (kit.references(), new.references()) == ([reference], [reference])
    assert [one.kit for one in in_feed(workshop.hub.database, "order", order)] == [""]


def test_texts_that_customers_agreed_to_and_revocations_stay_in_every_version(
    workshop: Workshop, new: Kit
) -> None:
    database, key = workshop.hub.database, workshop.keys.signing
    words = ["We take care.", "We take great care."]
    for one in words:
        publish_text(database, key, "care", "en", one)
    revoked = Revocation(what="technician", name="nobody")
    for _ in words:
        workshop.hub.publish("revocation", "technician/nobody", revoked)
    assert [one.body["text"] for one in in_feed(database, "text", "care/en")] == words
    assert len(in_feed(database, "revocation", "technician/nobody")) == 2
    page = [msgspec.json.decode(one.document, type=Change) for one in new.hub.changes(0).changes]
    told = [(one.subject, one.version) for one in page if one.kind != "order"]
    assert ("care/en", 2) in told
    assert ("care/en", 1) not in told
    assert ("technician/nobody", 2) in told


def test_the_feed_of_an_older_hub_is_shortened_when_it_is_opened(tmp_path: Path) -> None:
    path = str(tmp_path / "hub.db")
    older = HubDatabase(path)
    told = [("order", "a", ""), ("order", "a", "van"), ("order", "a", "van"), ("text", "t/en", "")]
    told += [("order", "b", ""), ("order", "b", ""), ("text", "t/en", "")]

    def fill(tables: Models) -> None:
        rows: list[dict[str, Any]] = [
            {
                "number": number,
                "kind": kind,
                "subject": subject,
                "kit": kit,
                "version": number,
                "document": msgspec.json.encode(
                    TextIssued(name="t", language="en", version=1, text="x")
                ).decode(),
                "signature": "",
            }
            for number, (kind, subject, kit) in enumerate(told, start=1)
        ]
        tables.changes.insert_many(rows).execute()
        tables.counters.update(value=3).where(tables.counters.name == "schema").execute()

    older.write(fill)
    older.close()
    newer = HubDatabase(path)
    with newer.reading() as tables:
        left = [row.number for row in tables.changes.select().order_by(tables.changes.number)]
    assert left == [1, 3, 4, 6, 7]
    newer.close()
