"""Jobs and their records: append-only chains of signed events, and what is made of them."""

from appliance.records.chain import Head, SignedHead, Verified, verify_chain
from appliance.records.errors import ChainBroken, JobNotThere
from appliance.records.events import KINDS, Body, Event, body_of
from appliance.records.export import (
    ExportDamaged,
    ExportedJob,
    export_files,
    export_job,
    note_export,
    verify_export,
)
from appliance.records.records import JobFilter, Records
from appliance.records.report import report_pdf
from appliance.records.vehicle import (
    Customer,
    Vehicle,
    checked_vin,
    parse_vehicle,
    vehicle,
)
from appliance.records.view import JobState, JobView
from appliance.vin import check_digit_fits

__all__ = [
    "KINDS",
    "Body",
    "ChainBroken",
    "Customer",
    "Event",
    "ExportDamaged",
    "ExportedJob",
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
    "export_files",
    "export_job",
    "note_export",
    "parse_vehicle",
    "report_pdf",
    "vehicle",
    "verify_chain",
    "verify_export",
]
