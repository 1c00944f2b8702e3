"""A work order, as the workshop and its kits know it: whose car, what is wrong, what was agreed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from appliance.records.events import MailedAgreement
from appliance.reference import PATTERN
from appliance.sync.record import Uuid7
from hw.plan import Sha256

Way = Literal["visit", "mail_in"]
OrderState = Literal["booked", "on_the_way", "at_the_bench", "done", "withdrawn"]
OPEN: tuple[OrderState, ...] = ("booked", "on_the_way", "at_the_bench")
"""States of an order that somebody still has to work on."""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Booking(_Strict, frozen=True, kw_only=True):
    """What is known when an order is booked.

    Attributes:
        way: the technician visits the car, or its part comes by mail.
        address: where the technician goes, or where the part is sent back to.
        appointment: local date and time as the office wrote it, empty for none.
        no_vin: why there is no VIN; empty where there is one.
        photos: SHA-256 of each, which lies in the workshop's store.
    """

    way: Way
    customer: str
    phone: str
    email: str = ""
    address: str = ""
    appointment: str = ""
    make: str = ""
    model: str = ""
    year: int | None = None
    vin: str = ""
    no_vin: str = ""
    fault_codes: str = ""
    symptoms: str = ""
    tried: str = ""
    photos: list[Sha256] = []
    agreed: list[MailedAgreement] = []


class Order(Booking, frozen=True, kw_only=True, tag_field="about", tag="order"):
    """See the module.

    Attributes:
        order: its id.
        reference: what people say to each other, such as `W-7K3F2`.
        made: when it was booked (RFC 3339).
    """

    order: Uuid7
    reference: Annotated[str, Meta(pattern=PATTERN)]
    state: OrderState
    made: str

    @property
    def car(self) -> str:
        """Make, model and year in one line."""
        return " ".join(str(part) for part in (self.make, self.model, self.year) if part)


class OrderGone(_Strict, frozen=True, tag_field="about", tag="gone"):
    """An order that this kit has nothing more to do with: done, withdrawn, or another kit's."""

    order: Uuid7
    state: Literal["done", "withdrawn", "elsewhere"]
