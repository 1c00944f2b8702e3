"""What can happen on a job: the closed set of events, each with its own strict body.

An event on the chain is `{format, job, seq, prev_hash, kind, at, body}` in RFC 8785 canonical JSON;
`kind` is one of the tags below and `body` the fields of that type. A record that holds a kind or a
field which is not here was written by a newer program and is refused, not half understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct

from appliance.records.vehicle import Customer, Vehicle
from hw.errors import UsageError
from hw.messages import EventBody, GateResult, OutcomeName
from hw.plan import Hex, Sha256, Word
from hw.statements import AgreementStatement, Moment, ReadoutRefused

EVENT_FORMAT = "fieldkit-event/1"


class _Body(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    pass


class _Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class JobCreated(_Body, frozen=True, tag="job_created"):
    """The first event of every job and of no other place in a chain."""

    customer: Customer
    vehicle: Vehicle
    complaint: str
    technician: str


class MailedAgreement(_Part, frozen=True, kw_only=True):
    """A text that the customer accepted when they sent a part in, with no technician beside them:
    it says what was agreed, and opens no gate.

    Attributes:
        text, version, language, sha256: which; the hash is of the text's UTF-8 bytes.
        name: as the customer typed it.
        strokes: their drawn signature, each stroke a list of points `[x, y]` on a pad of 600 by
            200; empty where they signed by typing alone.
        wall: when, by the workshop's clock (RFC 3339).
    """

    text: str
    version: int
    language: str
    sha256: Sha256
    name: str
    strokes: list[list[tuple[int, int]]] = []
    wall: str


class OrderTaken(_Body, frozen=True, tag="order_taken"):
    """The job was opened for a work order of the workshop; right after its creation. With what
    the customer agreed to when the order was made.
    """

    order: str
    reference: str
    agreed: list[MailedAgreement] = []

    @property
    def told(self) -> str:
        """The reference, and what was agreed to, in one line."""
        texts = [
            f"{one.text} version {one.version} ({one.language}), accepted by {one.name} {one.wall}"
            for one in self.agreed
        ]
        return "; ".join([self.reference, *texts])


class DidValue(_Part, frozen=True):
    """One identification or coding value; `refused` says in words why it could not be read."""

    did: Word
    label: str
    value: Hex = ""
    text: str = ""
    refused: str = ""


class Identified(_Body, frozen=True, tag="identified"):
    """The ECU was read. The report shows the last before the write and the first after it."""

    ecu: str
    profile: str
    link: str
    values: list[DidValue]


class StoredObject(_Part, frozen=True):
    """One encrypted file of a backup; `kind` and `sha256` as in the backup's manifest."""

    kind: str
    sha256: Sha256
    size: int


class BackupMade(_Body, frozen=True, tag="backup_made"):
    """A backup lies on both media. `simulated` where the media only pretend to be two."""

    backup: str
    ecu: str
    manifest_sha256: Sha256
    objects: list[StoredObject]
    refused: list[ReadoutRefused]
    folders: list[str]
    simulated: bool


class CopyFound(_Part, frozen=True):
    """What a verification found of one copy: `whole`, `repaired` or `damaged`."""

    folder: str
    state: str
    found: list[str] = []


class BackupVerified(_Body, frozen=True, tag="backup_verified"):
    """Both copies of a backup were read again."""

    backup: str
    whole: bool
    copies: list[CopyFound]


class BackupOpened(_Body, frozen=True, tag="backup_opened"):
    """A backup was decrypted: what was secret has left the kit, by whom."""

    backup: str
    technician: str


class PlanCompiled(_Body, frozen=True, tag="plan_compiled"):
    """A plan was made. Its document lies in the store under its digest (SHA-256), as does the
    payload file under `payload_sha256`; `container_sha256` is empty where there is no file.
    """

    plan_digest: Sha256
    title: str
    ecu: str
    risk_class: str
    risk_text: str
    container: str
    container_sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    checks: list[str]
    payload_sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    recovers: str = ""
    description: list[str] = []
    """The plan in plain words, one line for each step."""


class GatesChecked(_Body, frozen=True, tag="gates_checked"):
    """All gates spoke. `permit` says whether hw gave one; a dry check never gets one."""

    plan_digest: Sha256
    dry: bool
    permit: bool
    results: list[GateResult]


class Acknowledged(_Body, frozen=True, tag="acknowledged"):
    """The technician signed the risk text; `statement` and `signature` exactly as hw got them."""

    plan_digest: Sha256
    risk_text: str
    statement: str
    signature: str


class AgreementSigned(_Body, frozen=True, tag="agreement_signed"):
    """The customer signed a text before a technician. `text` is the words; `statement` (a
    `hw.statements.AgreementStatement`) and `signature` are exactly what hw gets.
    """

    text: str
    statement: str
    signature: str

    @property
    def agreed(self) -> AgreementStatement:
        """The statement, decoded."""
        return msgspec.json.decode(self.statement, type=AgreementStatement)


class WriteStarted(_Body, frozen=True, tag="write_started"):
    """hw began a run. `simulated` names what is not real in it (car, sensor, media)."""

    run: str
    plan_digest: Sha256
    simulated: list[str] = []


class HwEvent(_Body, frozen=True, tag="hw_event"):
    """What hw told of a run. `seq` is hw's number in that run, recorded once; 0 for an event that
    hw could not number.
    """

    run: str
    seq: Annotated[int, Meta(ge=0)]
    event: EventBody


class Resumed(_Body, frozen=True, tag="resumed"):
    """A run that was cut goes on, with a new acknowledgment."""

    run: str
    plan_digest: Sha256


class AbortAsked(_Body, frozen=True, tag="abort_asked"):
    """The technician asked to end a run at its next safe point."""

    run: str
    technician: str


class WriteEnded(_Body, frozen=True, tag="write_ended"):
    """The outcome of a run, in hw's words."""

    run: str
    outcome: OutcomeName
    code: str
    what: str
    next_step: str
    step: int = 0
    not_restored: list[str] = []


class Recovered(_Body, frozen=True, tag="recovered"):
    """An unfinished run was finished by a later one."""

    run: str
    by_run: str


class Refused(_Body, frozen=True, tag="refused"):
    """Something was asked and not done: `doing` says what; the rest is what the person was told."""

    doing: str
    code: str
    what: str
    next_step: str
    gate: str = ""
    plan_digest: str = ""


class WrongPassphrase(_Body, frozen=True, tag="wrong_passphrase"):
    """Somebody gave a wrong passphrase for this technician."""

    technician: str
    tries: int


class Exported(_Body, frozen=True, tag="exported"):
    """The record was exported up to `head`, which had `length` events."""

    length: int
    head: Sha256
    files_sha256: Sha256
    """SHA-256 of the export's SHA256SUMS."""


class Note(_Body, frozen=True, tag="note"):
    """Something a person wrote down."""

    author: str
    text: Annotated[str, Meta(min_length=1, max_length=10_000)]


Body = (
    JobCreated
    | OrderTaken
    | Identified
    | BackupMade
    | BackupVerified
    | BackupOpened
    | PlanCompiled
    | GatesChecked
    | Acknowledged
    | AgreementSigned
    | WriteStarted
    | HwEvent
    | Resumed
    | AbortAsked
    | WriteEnded
    | Recovered
    | Refused
    | WrongPassphrase
    | Exported
    | Note
)

KINDS: tuple[str, ...] = tuple(str(one.__struct_config__.tag) for one in get_args(Body))
"""Every kind of event there is."""


class Event(Struct, frozen=True, kw_only=True):
    """One event as it stands on a chain.

    Attributes:
        document: the canonical bytes; everything else is read out of them.
        hash: SHA-256 of `document`, lower-case hex.
        signature: armoured SSHSIG of the kit over `hash` as ASCII, namespace `fieldkit-record`.
    """

    job: str
    seq: int
    prev_hash: str
    at: Moment
    body: Body
    document: bytes
    hash: str
    signature: bytes

    @property
    def kind(self) -> str:
        """The event's kind, one of `KINDS`."""
        return kind_of(self.body)


def kind_of(body: Body) -> str:
    """The kind under which a body stands on the chain."""
    return str(type(body).__struct_config__.tag)


def body_of(kind: str, fields: Mapping[str, Any]) -> Body:
    """Make the body of an event from its kind and plain fields.

    Raises:
        UsageError: there is no such kind, or the fields are not those of the kind; names which.
    """
    try:
        body: Body = msgspec.convert({**fields, "kind": kind}, Body)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"An event '{kind}' cannot be recorded: {error}.", "Correct the field that it names."
        ) from error
    return body
