"""The feed of changes for kits: numbered in the order in which they were committed.

A number is taken from one row that stays locked until the transaction ends. So nobody who read up
to a number can miss a lower one that was committed later, with several hubs on one database, too.

Of each subject a kit is given only the newest change, which is all that it would keep. What was
replaced of an order is removed, because it names a customer, and of a technician, because it holds
their sealed keys; nobody is given it any more. Of texts, profiles and revocations every version
stays: customers agreed to texts, and jobs were done with profiles. A number that was given is never
given again, and the last one is never removed, so a kit that is half way finds its place.
"""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from peewee import fn

from appliance.sync.change import EVERY_KIT, Change, Changes, Numbered, seal_change
from appliance.workshop.errors import TooLarge
from appliance.workshop.tables import HubDatabase, Models

MOST_CHANGE_BYTES = 4 << 20
PAGE, PAGE_BYTES = 100, 2 << 20
_COUNTER = "changes"
_FORGOTTEN = ("order", "technician")


def publish(
    database: HubDatabase,
    tables: Models,
    key: Ed25519PrivateKey,
    kind: str,
    subject: str,
    body: Struct,
    kit: str = EVERY_KIT,
) -> Change:
    """Tell kits something, in the transaction that makes it so.

    Args:
        database, tables: of the open transaction.
        key: the workshop's, which signs.
        kind, subject, body, kit: as in `appliance.sync.change.Change`.

    Raises:
        TooLarge: no kit takes a change of this size.
    """
    number = _next_number(database, tables)
    changes = tables.changes
    of_subject = changes.select(fn.MAX(changes.version)).where(
        (changes.kind == kind) & (changes.subject == subject)
    )
    change = Change(
        format="fieldkit-change/1",
        number=number,
        kit=kit,
        kind=kind,
        subject=subject,
        version=int(of_subject.scalar() or 0) + 1,
        body=msgspec.to_builtins(body),
    )
    sealed = seal_change(change, key)
    if len(sealed.document) > MOST_CHANGE_BYTES:
        raise TooLarge(
            f"A change for kits has at most {MOST_CHANGE_BYTES} bytes.", "Make it shorter."
        )
    changes.insert(
        number=number,
        kit=kit,
        kind=kind,
        subject=subject,
        version=change.version,
        document=sealed.document,
        signature=sealed.signature,
    ).execute()
    if kind in _FORGOTTEN:
        forget_replaced(tables, kind, subject)
    return change


def forget_replaced(tables: Models, kind: str, subject: str = "") -> None:
    """Remove what was told of a subject, or of every one of a kind, and replaced for all to whom it
    was told.
    """
    changes, later = tables.changes.alias(), tables.changes.alias()
    replaced = later.select().where(
        (later.kind == changes.kind)
        & (later.subject == changes.subject)
        & (later.version > changes.version)
        & ((later.kit == changes.kit) | (later.kit == EVERY_KIT))
    )
    old = changes.select(changes.number).where((changes.kind == kind) & fn.EXISTS(replaced))
    if subject:
        old = old.where(changes.subject == subject)
    tables.changes.delete().where(tables.changes.number.in_(old)).execute()


def changes_for(tables: Models, kit: str, after: int) -> Changes:
    """A page of what there is for a kit after a number, and how far the feed goes.

    Of each subject only the newest change for this kit is given out: a kit that comes late, or new,
    is told of no customer whose order is over.
    """
    changes, later = tables.changes, tables.changes.alias()
    replaced = later.select().where(
        (later.kind == changes.kind)
        & (later.subject == changes.subject)
        & (later.version > changes.version)
        & later.kit.in_((EVERY_KIT, kit))
    )
    query = (
        changes.select()
        .where((changes.number > after) & changes.kit.in_((EVERY_KIT, kit)))
        .where(~fn.EXISTS(replaced))
        .order_by(changes.number)
        .limit(PAGE + 1)
    )
    page: list[Numbered] = []
    size, more = 0, False
    for row in query:
        size += len(row.document)
        if page and (len(page) == PAGE or size > PAGE_BYTES):
            more = True
            break
        page.append(Numbered(number=row.number, document=row.document, signature=row.signature))
    last = changes.select(fn.MAX(changes.number)).scalar()
    return Changes(changes=page, more=more, last=int(last or 0))


def hold_numbers(database: HubDatabase, tables: Models) -> int:
    """Nobody else publishes until the transaction ends; returns the last number that was given."""
    counters = tables.counters
    counters.insert(name=_COUNTER, value=0).on_conflict_ignore().execute()
    row: Any = database.lock(counters.select().where(counters.name == _COUNTER)).get()
    return int(row.value)


def _next_number(database: HubDatabase, tables: Models) -> int:
    number = hold_numbers(database, tables) + 1
    counters = tables.counters
    counters.update(value=number).where(counters.name == _COUNTER).execute()
    return number
