"""What kits and the hub say to each other besides records, blobs and changes."""

from __future__ import annotations

from msgspec import Struct


class Enrol(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a kit shows to be let in: the office's word, and its own public key."""

    token: str
    key: str


class Enrolled(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a kit is told then: its name here, and the key that signs receipts."""

    name: str
    workshop_key: str


class Greeted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a kit that greets is told.

    Attributes:
        time: the workshop's clock, in seconds since 1970.
        last: the highest number of this kit's records here, 0 for none; a kit that has receipts for
            higher ones knows that the workshop was set back.
    """

    time: int
    last: int


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is answered where something was not done; `missing` names blobs (424)."""

    code: str
    what: str
    next_step: str
    missing: list[str] = []
