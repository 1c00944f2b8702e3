"""Work orders of the office: what is to be done, and the job that is opened for one."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from appliance.client import messages
from ui.models import words
from ui.models.shared import Asking, AskingState, Shared


class OrderRow(Struct, frozen=True, kw_only=True):
    """A work order. `appointment` as the office wrote it, empty for none; `job` is empty before
    one was opened for it on this kit.
    """

    reference: str
    state_word: str
    customer: str
    phone: str
    address: str
    appointment: str
    vehicle: str
    vin: str
    complaint: str
    photos: int
    job: str


def order_row(order: messages.OrderView) -> OrderRow:
    """An order as the screen shows it."""
    return OrderRow(
        reference=order.reference,
        state_word=words.order_state(order.state, order.way),
        customer=order.customer,
        phone=order.phone,
        address=order.address,
        appointment=order.appointment.replace("T", " "),
        vehicle=order.vehicle,
        vin=order.vin,
        complaint=order.complaint,
        photos=order.photos,
        job=order.job,
    )


class OrdersState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    orders: all of this kit, those with an appointment first.
    fetched: they were asked for, so that an empty list says something.
    scanned: what a scanner has typed so far.
    """

    orders: tuple[OrderRow, ...] = ()
    fetched: bool = False
    scanned: str = ""


class OrdersModel(Asking[OrdersState]):
    """Lists orders and opens their jobs.

    Args:
        shared: the screen's parts.
        resume: takes up a job where it is; called with its id.
    """

    def __init__(self, shared: Shared, resume: Callable[[str], None]) -> None:
        super().__init__(OrdersState(), shared)
        self._resume = resume

    def open(self) -> None:
        """The screen is shown: fetch the orders."""
        self._change(orders=(), fetched=False, scanned="")
        self._ask(lambda client: client.orders(), self._listed)

    def scanning(self, text: str) -> None:
        """A scanner is typing."""
        self._change(scanned=text)

    def take(self, reference: str) -> None:
        """Take up the job for an order as it was touched, typed or scanned."""
        self._change(scanned="")
        if reference.strip() and not self.state.busy:
            self._ask(
                lambda client: client.order_open(reference), lambda job: self._resume(job.job)
            )

    def _listed(self, reply: messages.Orders) -> None:
        self._change(orders=tuple(order_row(one) for one in reply.orders), fetched=True)
