"""Messages on the hw socket: what a client may ask, what hw answers and what it tells by itself.

Transport: `AF_UNIX`/`SOCK_SEQPACKET`, one message in one packet of at most `MAX_PACKET` bytes,
encoded as msgpack by msgspec. A request carries a client-chosen `id`; its reply repeats it. Events
carry no id. The first request must be `Hello`; an unknown type, field or version gets an `Error`.

File descriptors ride with the packet (SCM_RIGHTS): `Arm` brings two sealed memfds, first the plan's
canonical bytes, then the payload file (all payloads back to back). `ReadMemory`'s reply brings one.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from hw.plan import Timing
from hw.statements import TextName

PROTOCOL = 1
MAX_PACKET = 65536
TRACE_S = 0.5

GateName = Literal[
    "VOLTAGE_CHECK",
    "DUAL_BACKUP",
    "CHECKSUM_MATCH",
    "USER_ACKNOWLEDGMENT",
    "CUSTOMER_AGREEMENT",
]
GATES: tuple[GateName, ...] = (
    "VOLTAGE_CHECK",
    "DUAL_BACKUP",
    "CHECKSUM_MATCH",
    "USER_ACKNOWLEDGMENT",
)
"""The gates of every write. `CUSTOMER_AGREEMENT` follows them where the plan needs one."""
GateStateName = Literal["CLOSED", "ARMED", "OPEN", "HELD", "CUT"]
OutcomeName = Literal["verified", "refused", "aborted_recoverable"]
RunState = Literal[
    "running", "verified", "refused", "aborted_recoverable", "interrupted", "recovered", "damaged"
]


class _Message(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    pass


# What a client asks -----------------------------------------------------------------------------


class Hello(_Message, frozen=True, tag="hello"):
    """First message of a client."""

    id: int
    protocol: int
    client: str


class GetStatus(_Message, frozen=True, tag="get_status"):
    """Answered by `Status`."""

    id: int


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """From now on send `Event`s to this client. Answered by `Done`."""

    id: int


class Discover(_Message, frozen=True, tag="discover"):
    """Find ECUs that announce themselves on a link (DoIP vehicle identification). -> `Found`."""

    id: int
    link: str


class Read(_Message, frozen=True, tag="read"):
    """Send one request that is on the read list. Answered by `Answer` or `Error`."""

    id: int
    link: str
    payload: bytes
    timing: Timing


class UnlockForReading(_Message, frozen=True, tag="unlock_for_reading"):
    """SecurityAccess for reading, with a named seed/key provider; no raw key crosses. -> `Done`."""

    id: int
    link: str
    level: int
    provider: str
    params: dict[str, str]
    timing: Timing


class ReadMemory(_Message, frozen=True, tag="read_memory"):
    """Read a memory region; the reply `Memory` brings a sealed memfd with its bytes."""

    id: int
    link: str
    address: int
    length: int
    address_width: int
    length_width: int
    block_length: int
    method: Literal["read_memory_by_address", "request_upload"]
    timing: Timing


class BackupCopies(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the two copies of one backup lie: the folder with `manifest.json` on each medium."""

    folders: tuple[str, str]


class Acknowledgment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A technician's signed statement: `document` (canonical JSON) and its armoured SSHSIG."""

    document: bytes
    signature: bytes


class Agreement(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A customer's agreement: `document` (canonical JSON) and the witness's armoured SSHSIG."""

    document: bytes
    signature: bytes


class Evidence(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the gates are shown. `None` means: not there, so that gate refuses.

    Attributes:
        profile_file: the signed profile (`<file>.sig` beside it) that the plan was made from.
        backup: the two copies of the backup of this ECU.
        checks_document, checks_signature: the kit-signed statement on the container's checksums
            and on compatibility (see `hw.evidence.ChecksStatement`).
        acknowledgment: the technician's statement (see `hw.evidence.AcknowledgmentStatement`).
        agreements: what the customer signed for this job, by the text's name (see
            `hw.statements.AgreementStatement`).
    """

    profile_file: str
    backup: BackupCopies | None
    checks_document: bytes | None
    checks_signature: bytes | None
    acknowledgment: Acknowledgment | None
    agreements: dict[TextName, Agreement] = {}


class Arm(_Message, frozen=True, tag="arm"):
    """Check all gates for a plan (two memfds ride along). -> `GateReport`.

    With `dry` the checks run and no permit is made.
    """

    id: int
    evidence: Evidence
    dry: bool = False


class StartWrite(_Message, frozen=True, tag="start_write"):
    """Use a permit. The write then needs no client. -> `Done`; progress comes as events."""

    id: int
    permit: str


class ResumeWrite(_Message, frozen=True, tag="resume_write"):
    """Resume after CUT with a new acknowledgment. Answered by `Done`."""

    id: int
    acknowledgment: Acknowledgment


class AbortWrite(_Message, frozen=True, tag="abort_write"):
    """End the write at the next safe point (outcome `aborted_recoverable`). -> `Done`."""

    id: int


class GetJournal(_Message, frozen=True, tag="get_journal"):
    """Answered by `Journal`: all runs that hw knows, unfinished ones first."""

    id: int


class GetRunLog(_Message, frozen=True, tag="get_run_log"):
    """Events of one run from `after` on; answered by `RunLog` with at most one packet full."""

    id: int
    run: str
    after: int


Request = (
    Hello
    | GetStatus
    | Subscribe
    | Discover
    | Read
    | UnlockForReading
    | ReadMemory
    | Arm
    | StartWrite
    | ResumeWrite
    | AbortWrite
    | GetJournal
    | GetRunLog
)


# What hw tells by itself (and keeps in the run's log) --------------------------------------------


class _Event(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="event"):
    at: float
    """Seconds of CLOCK_BOOTTIME when it happened."""


class Voltage(_Event, frozen=True, tag="voltage"):
    """Ten times a second. `volts` is None when there is no valid sample: never the last value."""

    volts: float | None
    reason: str = ""


class GateChanged(_Event, frozen=True, tag="gate"):
    """The gate changed its state; `trace`: (boottime, volts) at full rate around the change."""

    state: GateStateName
    reason: str
    next_step: str
    volts: float | None
    trace: list[tuple[float, float | None]] = []


class VoltageTrace(_Event, frozen=True, tag="voltage_trace"):
    """(boottime, volts) at full rate, `TRACE_S` long, just after a change of the gate."""

    samples: list[tuple[float, float | None]]


class StepStarted(_Event, frozen=True, tag="step_started"):
    """The executor begins step `index` of `total`."""

    index: int
    total: int
    step: str


class StepDone(_Event, frozen=True, tag="step_done"):
    """The ECU confirmed step `index`; `detail` says what it answered where that matters."""

    index: int
    detail: str = ""


class Progress(_Event, frozen=True, tag="progress"):
    """Bytes that the ECU confirmed so far, of all payloads."""

    block: int
    blocks: int
    done_bytes: int
    total_bytes: int
    rate: float
    """Bytes per second over the last seconds; 0 while held."""
    remaining_s: float | None


class Outcome(_Event, frozen=True, tag="outcome"):
    """The end of a run. `not_restored` names what could not be restored (0x28, 0x85)."""

    outcome: OutcomeName
    code: str
    what: str
    next_step: str
    step: int
    not_restored: list[str] = []


EventBody = Voltage | VoltageTrace | GateChanged | StepStarted | StepDone | Progress | Outcome


# What hw answers ----------------------------------------------------------------------------------


class HelloReply(_Message, frozen=True, tag="hello_reply"):
    """hw's version of the protocol and of the program."""

    id: int
    protocol: int
    version: str
    boot_id: str


class Done(_Message, frozen=True, tag="done"):
    """The request was carried out."""

    id: int


class Error(_Message, frozen=True, tag="error"):
    """The request was not carried out. `id` is 0 where the request could not be decoded.

    `error` is the class code of `hw.errors`; `exit_status` its sysexits code; `gate` names the gate
    for refusals; `nrc` and the `service` it answers are set for negative responses, else -1.
    """

    id: int
    error: str
    what: str
    next_step: str
    exit_status: int
    gate: str = ""
    nrc: int = -1
    service: int = -1


class Answer(_Message, frozen=True, tag="answer"):
    """The ECU's final positive answer."""

    id: int
    payload: bytes


class FoundEcu(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entity that announced itself."""

    link: str
    logical_address: int
    vin: str
    eid: str


class Found(_Message, frozen=True, tag="found"):
    """Entities found on a link."""

    id: int
    ecus: list[FoundEcu]


class Memory(_Message, frozen=True, tag="memory"):
    """A memory image; its bytes are in the memfd that rides along."""

    id: int
    size: int
    sha256: str


class GateResult(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one gate said. `facts` holds what it looked at, for the record."""

    gate: GateName
    passed: bool
    reason: str
    next_step: str
    facts: dict[str, str] = {}


class GateReport(_Message, frozen=True, tag="gate_report"):
    """All gates, in order. `permit` is empty unless all passed (and the call was not dry)."""

    id: int
    plan_digest: str
    results: list[GateResult]
    permit: str
    expires_in_s: float


class Status(_Message, frozen=True, tag="status"):
    """Everything the status line needs, from one moment."""

    id: int
    at: float
    gate: GateStateName
    gate_reason: str
    gate_next_step: str
    volts: float | None
    voltage_reason: str
    sample_rate: float
    run: str
    write_enable: bool
    wiring: str
    simulated: list[str]
    links: list[str]


class RunInfo(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run in the journal; finished when `verified`, `refused` (nothing was sent) or recovered
    by a later run.
    """

    run: str
    job: str
    plan_digest: str
    backup_manifest_sha256: str
    profile: str
    ecu: str
    state: RunState
    step: int
    done_bytes: int
    total_bytes: int
    what: str


class Journal(_Message, frozen=True, tag="journal"):
    """Runs, unfinished ones first."""

    id: int
    runs: list[RunInfo]


class RunLog(_Message, frozen=True, tag="run_log"):
    """A part of a run's log: `(sequence, event)`, sequence rising from 1. Empty when at the end."""

    id: int
    run: str
    events: list[tuple[int, EventBody]]


class Event(_Message, frozen=True, tag="event"):
    """Sent to subscribers. `run` is empty and `seq` 0 for events outside a run (voltage, gate)."""

    run: str
    seq: int
    body: EventBody


Reply = (
    HelloReply
    | Done
    | Error
    | Answer
    | Found
    | Memory
    | GateReport
    | Status
    | Journal
    | RunLog
    | Event
)

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
