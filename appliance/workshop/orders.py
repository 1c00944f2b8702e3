"""Work orders at the workshop: booked in the office or by the customer, and told to kits.

An order goes `booked -> on_the_way -> at_the_bench -> done`, each step of which may be left out, or
is withdrawn on the way. Each change goes to the kit that it is for, or to all, in the same
transaction; a kit that has nothing more to do with it is told to forget it, with all that is known
of the customer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from peewee import IntegrityError

from appliance.identity.wallclock import rfc3339
from appliance.ids import uuid7
from appliance.records.view import folded
from appliance.reference import ALPHABET, LETTERS, reference_of
from appliance.sync.change import EVERY_KIT
from appliance.sync.order import OPEN, Booking, Order, OrderGone, OrderState
from appliance.workshop.audit import note
from appliance.workshop.errors import Conflict, HubUnavailable, NotThere
from appliance.workshop.feed import publish
from appliance.workshop.tables import HubDatabase, Models

TOKEN_BYTES = 24
PAGE = 50
NEXT: Mapping[OrderState, tuple[OrderState, ...]] = {
    "booked": ("on_the_way", "at_the_bench", "done", "withdrawn"),
    "on_the_way": ("at_the_bench", "done", "withdrawn"),
    "at_the_bench": ("done", "withdrawn"),
    "done": (),
    "withdrawn": (),
}
"""Where an order can go from a state."""
_TRIES = 20
_STAYS = frozenset({"photos", "agreed"})
"""What somebody who corrects an order does not fill in again."""


@dataclass(frozen=True)
class Kept:
    """An order as it lies at the workshop.

    Attributes:
        kit: whose it is, `EVERY_KIT` for whoever comes first.
        job: what a kit opened for it, empty for none.
        token: opens its status page to the customer.
        changed: when it was last changed (RFC 3339).
    """

    order: Order
    kit: str
    job: str
    token: str
    changed: str


@dataclass(frozen=True)
class OrderFilter:
    """Which orders a list shows; what is empty does not filter.

    Attributes:
        states: any of these.
        words: each must occur in customer, car, VIN or reference.
        before: only those booked before this one (its id): the next page.
    """

    states: Sequence[OrderState] = ()
    words: str = ""
    before: str = ""
    limit: int = PAGE


@dataclass(frozen=True)
class Orders:
    """See the module. Thread-safe; several processes may share the database.

    Attributes:
        database: the hub's.
        key: the workshop's, which signs what kits are told.
        now: the hub's clock, in seconds since 1970.
    """

    database: HubDatabase
    key: Ed25519PrivateKey
    now: Callable[[], float]

    def book(self, booking: Booking, once: str, kit: str = EVERY_KIT, by: str = "") -> Kept:
        """Book an order.

        Args:
            booking: what is known.
            once: a word of the form that was filled in; sent twice, it books once.
            kit: whose it is.
            by: who does it, for the audit; empty for the customer.
        """
        for _ in range(_TRIES):
            order = Order(
                order=uuid7(),
                reference=_new_reference(),
                state="booked",
                made=rfc3339(int(self.now())),
                **structs.asdict(booking),
            )
            try:
                return self.database.write(partial(self._book, order, once, kit, by))
            except IntegrityError:
                continue  # The reference is taken, or the same form came twice at this moment.
        raise HubUnavailable("No free reference was found for the order.", "Book it again.")

    def _book(self, order: Order, once: str, kit: str, by: str, tables: Models) -> Kept:
        if (there := tables.orders.get_or_none(tables.orders.once == once)) is not None:
            return _kept(there)
        row = {
            **self._row(order, kit),
            "id": order.order,
            "reference": order.reference,
            "once": once,
            "token": secrets.token_urlsafe(TOKEN_BYTES),
            "job": "",
        }
        tables.orders.insert(row).execute()
        self._publish(tables, order, kit)
        self._note(tables, by, "booked an order", order)
        return _kept(tables.orders.get_by_id(order.order))

    def get(self, order: str) -> Kept:
        """An order by its id.

        Raises:
            NotThere: there is none.
        """
        with self.database.reading() as tables:
            return _kept(_found(tables, tables.orders.id == order))

    def by_reference(self, text: str) -> Kept:
        """An order by its reference, as it was typed.

        Raises:
            NotThere: there is none.
        """
        with self.database.reading() as tables:
            return _kept(_found(tables, tables.orders.reference == reference_of(text)))

    def of_job(self, job: str) -> Kept | None:
        """The order that a kit opened a job for, None where it was for none."""
        with self.database.reading() as tables:
            row = tables.orders.get_or_none(tables.orders.job == job)
            return _kept(row) if row is not None else None

    def by_token(self, token: str) -> Kept:
        """An order by the customer's token.

        Raises:
            NotThere: there is none.
        """
        with self.database.reading() as tables:
            return _kept(_found(tables, tables.orders.token == token))

    def find(self, wanted: OrderFilter | None = None) -> list[Kept]:
        """Orders, those booked last first."""
        asked = wanted or OrderFilter()
        with self.database.reading() as tables:
            orders = tables.orders
            query = orders.select().order_by(orders.id.desc()).limit(asked.limit)
            if asked.states:
                query = query.where(orders.state.in_(list(asked.states)))
            if asked.before:
                query = query.where(orders.id < asked.before)
            for word in folded(asked.words).split():
                query = query.where(orders.search.contains(word))
            return [_kept(row) for row in query]

    def change(self, order: str, booking: Booking, by: str = "") -> Kept:
        """Put right what is known of an order; its photos and what was agreed to stay.

        Raises:
            NotThere: there is none.
            Conflict: it is done or withdrawn.
        """

        def work(tables: Models) -> Kept:
            kept = _kept(self._locked(tables, order))
            _check_open(kept.order)
            changed = {
                name: value for name, value in structs.asdict(booking).items() if name not in _STAYS
            }
            new = structs.replace(kept.order, **changed)
            self._note(tables, by, "changed an order", new)
            return self._keep(tables, new, kept.kit)

        return self.database.write(work)

    def move(self, order: str, state: OrderState, by: str = "") -> Kept:
        """Take an order to another state.

        Raises:
            NotThere: there is none.
            Conflict: it cannot go there from where it is.
        """

        def work(tables: Models) -> Kept:
            kept = _kept(self._locked(tables, order))
            if state not in NEXT[kept.order.state]:
                raise Conflict(
                    f"The order {kept.order.reference} is {said(kept.order.state)}; "
                    f"it cannot become {said(state)}.",
                    "Look at it again: somebody else may have changed it.",
                )
            self._note(tables, by, f"set an order to {said(state)}", kept.order)
            return self._keep(tables, structs.replace(kept.order, state=state), kept.kit)

        return self.database.write(work)

    def assign(self, order: str, kit: str, by: str = "") -> Kept:
        """Give an order to a kit, or with `EVERY_KIT` to whoever comes first.

        Raises:
            NotThere: there is no such order or kit.
            Conflict: it is done or withdrawn.
        """

        def work(tables: Models) -> Kept:
            kept = _kept(self._locked(tables, order))
            if kit and not tables.kits.select().where(tables.kits.id == kit).exists():
                raise NotThere(f"There is no kit {kit}.", "Look at the list of kits.")
            _check_open(kept.order)
            if kept.kit == kit:
                return kept
            self._note(tables, by, "gave an order to another kit", kept.order)
            gone = OrderGone(order=order, state="elsewhere")
            self._tell(tables, order, gone, kept.kit)
            return self._keep(tables, kept.order, kit)

        return self.database.write(work)

    def note_job(self, tables: Models, order: str, job: str, kit: str) -> None:
        """A kit opened a job for an order: it is at the bench now, and other kits see that.

        What a kit says of an order that is not here or another kit's changes nothing.
        """
        orders = tables.orders
        row = next(iter(self.database.lock(orders.select().where(orders.id == order))), None)
        if row is None or row.kit not in (EVERY_KIT, kit) or row.job:
            return
        orders.update(job=job).where(orders.id == order).execute()
        kept = _kept(row)
        if "at_the_bench" in NEXT[kept.order.state]:
            self._keep(tables, structs.replace(kept.order, state="at_the_bench"), kept.kit)

    def _locked(self, tables: Models, order: str) -> Any:
        """The order's row, held until the transaction ends."""
        query = tables.orders.select().where(tables.orders.id == order)
        row = next(iter(self.database.lock(query)), None)
        if row is None:
            raise _not_there()
        return row

    def _keep(self, tables: Models, order: Order, kit: str) -> Kept:
        orders = tables.orders
        orders.update(self._row(order, kit)).where(orders.id == order.order).execute()
        self._publish(tables, order, kit)
        return _kept(orders.get_by_id(order.order))

    def _row(self, order: Order, kit: str) -> dict[str, Any]:
        parts = (order.reference, order.customer, order.phone, order.car, order.vin, order.email)
        return {
            "state": order.state,
            "kit": kit,
            "search": folded(" ".join(parts)),
            "changed": int(self.now()),
            "document": msgspec.json.encode(order),
        }

    def _publish(self, tables: Models, order: Order, kit: str) -> None:
        match order.state:
            case "done" | "withdrawn":
                self._tell(
                    tables, order.order, OrderGone(order=order.order, state=order.state), kit
                )
            case _:
                self._tell(tables, order.order, order, kit)

    def _note(self, tables: Models, by: str, did: str, order: Order) -> None:
        if by:
            note(tables, self.now(), by, did, order.reference)

    def _tell(self, tables: Models, order: str, body: Order | OrderGone, kit: str) -> None:
        publish(self.database, tables, self.key, "order", order, body, kit)


def said(state: OrderState) -> str:
    """A state in words."""
    return state.replace("_", " ")


def _check_open(order: Order) -> None:
    if order.state not in OPEN:
        raise Conflict(f"The order {order.reference} is {said(order.state)}.", "Book a new one.")


def _new_reference() -> str:
    return "W-" + "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))


def _found(tables: Models, condition: Any) -> Any:
    row = tables.orders.get_or_none(condition)
    if row is None:
        raise _not_there()
    return row


def _kept(row: Any) -> Kept:
    return Kept(
        order=msgspec.json.decode(row.document, type=Order),
        kit=row.kit,
        job=row.job,
        token=row.token,
        changed=rfc3339(row.changed),
    )


def _not_there() -> NotThere:
    return NotThere("There is no such order.", "Look at the list of orders.")
