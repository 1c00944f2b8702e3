"""The screen's own words for what the appliance names: states, gates, outcomes, screens."""

from __future__ import annotations

from typing import Literal

from appliance.client import messages
from ui.i18n import _

Screen = Literal[
    "gone",
    "unlock",
    "home",
    "new_job",
    "vehicle",
    "work",
    "plan",
    "agree",
    "gates",
    "acknowledge",
    "write",
    "result",
    "recovery",
    "backups",
    "records",
    "orders",
]

GATES = ("VOLTAGE_CHECK", "DUAL_BACKUP", "CHECKSUM_MATCH", "USER_ACKNOWLEDGMENT")
"""The gates of every write, in the order in which they are asked."""
AGREEMENT = "CUSTOMER_AGREEMENT"
"""The gate that joins them where the plan needs the customer's agreement."""


def job_state(state: str) -> str:
    """A job's state, as a list shows it."""
    return {
        "draft": _("Draft"),
        "ready": _("Planned"),
        "writing": _("Writing"),
        "verified": _("Verified"),
        "refused": _("Refused"),
        "aborted_recoverable": _("Stopped, can be recovered"),
    }.get(state, state)


def order_state(state: str, way: str) -> str:
    """How far a work order is; on the way is the technician, or the part in the mail."""
    if state == "on_the_way":
        return _("In the mail") if way == "mail_in" else _("On the way")
    return {"booked": _("Booked"), "at_the_bench": _("At the bench")}.get(state, state)


def sync_state(state: str) -> str:
    """How the way to the workshop stands."""
    return {
        "not_set_up": _("This kit belongs to no workshop"),
        "locked": _("Locked"),
        "idle": _("Everything is handed over"),
        "sending": _("Handing over"),
        "waiting": _("Waiting"),
        "paused": _("Paused"),
    }.get(state, state)


def run_state(state: str) -> str:
    """Why a write is unfinished."""
    return {
        "running": _("Running"),
        "aborted_recoverable": _("Stopped, can be recovered"),
        "interrupted": _("Interrupted, can be recovered"),
        "damaged": _("Interrupted, its journal is damaged"),
    }.get(state, state)


def step_kind(kind: messages.StepKind) -> str:
    """What a step of a plan does."""
    return {
        "prepare": _("Prepare"),
        "erase": _("Erase"),
        "write": _("Write"),
        "read": _("Read back"),
        "check": _("Check"),
        "restart": _("Restart"),
        "other": _("Run"),
    }[kind]


def step(name: str) -> str:
    """The step that a write is at, by hw's name of it."""
    return {
        "session": _("Enter the session"),
        "unlock": _("Unlock the ECU"),
        "check_did": _("Check a value"),
        "write_did": _("Write a value"),
        "routine": _("Run a routine"),
        "communication_control": _("Normal communication"),
        "dtc_setting": _("Trouble code storage"),
        "download": _("Write memory"),
        "transfer_exit": _("End the transfer"),
        "read_back": _("Read back"),
        "reset": _("Restart the ECU"),
        "wait": _("Wait for the ECU"),
    }.get(name, name.replace("_", " "))


def event(kind: str) -> str:
    """An event of a job's record."""
    return {
        "job_created": _("Job opened"),
        "order_taken": _("For a work order"),
        "identified": _("ECU read"),
        "backup_made": _("Backup made"),
        "backup_verified": _("Backup checked"),
        "backup_opened": _("Backup opened"),
        "plan_compiled": _("Plan made"),
        "gates_checked": _("Gates asked"),
        "acknowledged": _("Risk acknowledged"),
        "agreement_signed": _("Agreement signed"),
        "write_started": _("Write started"),
        "gate": _("Gate"),
        "step_started": _("Step begun"),
        "step_done": _("Step done"),
        "outcome": _("Outcome"),
        "resumed": _("Write resumed"),
        "abort_asked": _("End of the write asked for"),
        "write_ended": _("Write ended"),
        "recovered": _("Write recovered"),
        "refused": _("Refused"),
        "wrong_passphrase": _("Wrong passphrase"),
        "exported": _("Exported"),
        "note": _("Note"),
    }.get(kind, kind.replace("_", " "))


def gate_state(state: str) -> str:
    """The gate's state in one word; none while it is not known."""
    return {
        "CLOSED": _("Closed"),
        "ARMED": _("Armed"),
        "OPEN": _("Open"),
        "HELD": _("Held"),
        "CUT": _("Cut"),
    }.get(state, _("Unknown"))


def medium_state(state: str) -> str:
    """How a backup medium is."""
    return {
        "present": _("Present"),
        "missing": _("Missing"),
        "read_only": _("Protected"),
        "full": _("Full"),
    }.get(state, state)


def gate_title(gate: str) -> str:
    """What a gate looks at."""
    return {
        "VOLTAGE_CHECK": _("Battery voltage"),
        "DUAL_BACKUP": _("Two backups"),
        "CHECKSUM_MATCH": _("Checksums and ECU"),
        "USER_ACKNOWLEDGMENT": _("Your acknowledgment"),
        AGREEMENT: _("Agreement of the customer"),
    }.get(gate, gate)


def outcome(name: str) -> str:
    """How a write ended."""
    return {
        "verified": _("Verified"),
        "refused": _("Refused: nothing was sent"),
        "aborted_recoverable": _("Stopped: it can be recovered"),
    }.get(name, name)


def role(name: str) -> str:
    """What a technician may do."""
    return {"owner": _("Owner"), "technician": _("Technician")}.get(name, name)


def simulated(part: str) -> str:
    """A part of the kit that is not real, by hw's name of it."""
    return {"voltage sensor": _("voltage sensor"), "media": _("media")}.get(part, part)


def clock(quality: str) -> str:
    """How good the kit's clock is."""
    return {
        "synchronised": _("Synchronised"),
        "unsynchronised": _("Not synchronised; records say so"),
    }.get(quality, quality)


def supply(told: messages.Supply) -> str:
    """The kit's own supply, now and since it was switched on."""
    if told.state == "ok" and told.was_low:
        return _("Enough; it was too low since the kit was switched on")
    return {"ok": _("Enough"), "low": _("Too low"), "unknown": _("Unknown")}[told.state]


def did(number: int) -> str:
    """A DID as it is written."""
    return f"0x{number:04X}"


def size(count: int | None) -> str:
    """A number of bytes as people read it; none for None."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
