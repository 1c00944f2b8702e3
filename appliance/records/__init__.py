"""Jobs and their records: append-only chains of signed events, and what is made of them."""

from appliance.records.chain import Head, SignedHead, Verified, verify_chain
from appliance.records.errors import ChainBroken, JobNotThere
from appliance.records.events import KINDS, Body, Event, body_of
from appliance.records.records import JobFilter, Records
from appliance.records.vehicle import (
    Customer,
    Vehicle,
    check_digit_fits,
    checked_vin,
    parse_vehicle,
    vehicle,
)
from appliance.records.view import JobState, JobView

__all__ = [
    "KINDS",
    "Body",
    "ChainBroken",
    "Customer",
    "Event",
    "Head",
    "JobFilter",
    "JobNotThere",
    "JobState",
    "JobView",
    "Records",
    "SignedHead",
    "Vehicle",
    "Verified",
    "body_of",
    "check_digit_fits",
    "checked_vin",
    "parse_vehicle",
    "vehicle",
    "verify_chain",
]
