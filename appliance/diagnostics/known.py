"""What the records know: heads of jobs without their customers, and whom to take out of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from appliance.diagnostics.mask import Mask
from appliance.records.view import JobView


class RecordHead(Struct, frozen=True, kw_only=True):
    """A job's record without anything of its customer and car."""

    job: str
    made: str
    state: str
    length: int
    head: str
    run: str
    plans: list[str]
    backups: list[str]


def head_of(view: JobView) -> RecordHead:
    """The head of a job's record."""
    return RecordHead(**{name: getattr(view, name) for name in RecordHead.__struct_fields__})


def mask_of(views: Sequence[JobView], people: Iterable[str]) -> Mask:
    """Takes out whatever these records know of customers and cars.

    Args:
        views: all jobs of the kit.
        people: further names, such as the technicians'.
    """
    names = {view.customer.name for view in views} | set(people)
    return Mask({text for view in views for text in _told(view)}, names)


def _told(view: JobView) -> Iterator[str]:
    yield from (view.customer.phone, view.customer.email, view.complaint)
    yield from (view.vehicle.description, view.vehicle.plate, view.vehicle.vin)
