"""Work orders that the office gave to this kit, and the jobs that are opened for them."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.api.messages import JobView, OrderView
from appliance.records import Customer, vehicle
from appliance.records.events import OrderTaken
from appliance.reference import reference_of
from appliance.service.book import Book
from appliance.store import Tables
from appliance.sync.order import Order
from hw.errors import UsageError


def orders_shown(book: Book) -> list[OrderView]:
    """Every order that is to be worked on: appointments in their order, then the rest."""
    found = [_shown(book, order) for order in _orders(book)]
    return sorted(found, key=lambda one: (not one.appointment, one.appointment, one.made))


def order_shown(book: Book, text: str) -> OrderView:
    """One order, by its reference as it was typed or scanned.

    Raises:
        UsageError: this kit has none of that reference.
    """
    return _shown(book, _find(book, text))


def open_order(book: Book, text: str) -> JobView:
    """The job for an order: a new one with what the order says, or the one that there is.

    Raises:
        UsageError: this kit has no order of that reference.
    """
    order = _find(book, text)
    car = vehicle(order.car or f"Order {order.reference}", order.vin)
    job = book.new_job(
        Customer(order.customer, order.phone, order.email),
        car,
        _complaint(order),
        OrderTaken(order=order.order, reference=order.reference, agreed=order.agreed),
    )
    return book.view(job)


def _orders(book: Book) -> list[Order]:
    def work(tables: Tables) -> list[dict[str, Any]]:
        return list(tables.orders.select())

    return [msgspec.json.decode(row["document"], type=Order) for row in book.store.run(work)]


def _find(book: Book, text: str) -> Order:
    wanted = reference_of(text)
    for order in _orders(book):
        if order.reference == wanted:
            return order
    raise UsageError(
        f"This kit has no work order {wanted}.",
        "Compare it with the paper, and let the kit reach the workshop: it may not have come yet.",
    )


def _complaint(order: Order) -> str:
    parts = (
        order.symptoms,
        f"Fault codes: {order.fault_codes}" if order.fault_codes else "",
        f"Tried: {order.tried}" if order.tried else "",
    )
    return "\n".join(part for part in parts if part)


def _shown(book: Book, order: Order) -> OrderView:
    jobs = book.records.jobs_of("order", order.order)
    return OrderView(
        reference=order.reference,
        way=order.way,
        state=order.state,
        customer=order.customer,
        phone=order.phone,
        address=order.address,
        appointment=order.appointment,
        vehicle=order.car,
        vin=order.vin,
        complaint=_complaint(order),
        photos=len(order.photos),
        made=order.made,
        job=jobs[0] if jobs else "",
    )
