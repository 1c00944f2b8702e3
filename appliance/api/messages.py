"""What goes over the API: bodies of requests and replies, as strict types.

The client and the screen import this module, so it needs nothing but msgspec and the messages that
hw tells by itself. Files cross as bytes (base64 in JSON): the appliance reads and writes no file of
the person who asks. Bytes of the ECU are lower-case hex.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from hw.messages import GateResult, RunInfo, Status

VERSION = "v1"
MAX_BODY = 256 * 1024 * 1024
"""Bytes of one request: the largest firmware container, in base64, with room to spare."""

Text = Annotated[str, Meta(min_length=1, max_length=4096)]


class _Body(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A misspelt field is refused instead of being silently without effect."""


# Requests -----------------------------------------------------------------------------------------


class Unlock(_Body, frozen=True):
    """Open the kit with a technician's own passphrase."""

    technician: Text
    passphrase: Text


class OnLink(_Body, frozen=True):
    """An ECU: the link that leads to it and the profile that describes it."""

    link: Text
    profile: Text
    job: str = ""
    """Also put what is found on this job's record; empty: on none."""


class DiscoverOn(_Body, frozen=True):
    """A DoIP link on which ECUs are looked for."""

    link: Text


class RecoverOn(_Body, frozen=True):
    """Where the ECU of an unfinished write is now; empty: on the link of the interrupted plan."""

    link: str = ""


class OpenBackup(_Body, frozen=True):
    """The technician's passphrase once more: what is decrypted leaves the kit."""

    passphrase: Text


class ReadValue(_Body, frozen=True):
    """Read either one DID or one memory region of the profile."""

    link: Text
    profile: Text
    did: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    region: str = ""


class PlanFlash(_Body, frozen=True):
    """Compile a flash of one container. `manifest` belongs to a raw binary."""

    link: Text
    profile: Text
    job: Text
    name: Text
    content: bytes
    manifest: bytes | None = None


class PlanCode(_Body, frozen=True):
    """Compile a change of coding. Each setting reads `DID.FIELD=VALUE`."""

    link: Text
    profile: Text
    job: Text
    settings: Annotated[list[Text], Meta(min_length=1)]


class PlanRestore(_Body, frozen=True):
    """Compile a restore of an ECU from a backup."""

    link: Text
    profile: Text
    job: Text
    backup: Text
    what: Literal["coding", "image", "all"] = "all"


class BackupMake(_Body, frozen=True):
    """Back up coding and memory. `known_good` stands in where the ECU refuses memory readout."""

    link: Text
    profile: Text
    job: Text
    known_good: bytes | None = None
    known_good_name: str = ""


class JobNew(_Body, frozen=True):
    """Open a job."""

    customer: Text
    vehicle: Text
    complaint: str = ""


class CheckPlan(_Body, frozen=True):
    """A plan's file, to be described or to have its gates checked without a permit."""

    plan: bytes


class RunPlan(_Body, frozen=True):
    """Run a plan. `risk_digest` says which risk text was read; the passphrase signs it."""

    plan: bytes
    risk_digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    passphrase: Text


class Acknowledge(_Body, frozen=True):
    """A new acknowledgment for a write that is cut, or for a recovery plan."""

    risk_digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    passphrase: Text


class SignProfile(_Body, frozen=True):
    """Sign a profile with the workshop's key, where this kit holds it."""

    name: Text
    content: bytes
    passphrase: Text
    install: bool = False


# Replies ------------------------------------------------------------------------------------------


class Problem(_Body, frozen=True):
    """What every refused or failed request answers; `gate` is set where a gate refused."""

    code: str
    what: str
    next_step: str
    exit_status: int
    gate: str = ""


class Okay(_Body, frozen=True):
    """It was done; `what` says so in one sentence."""

    what: str


class KitStatus(_Body, frozen=True):
    """The kit in one moment. `hw` is None while that process does not answer."""

    locked: bool
    technician: str
    role: str
    hw: Status | None
    hw_problem: Problem | None
    runs: list[RunInfo]
    """Runs that are under way or unfinished."""
    simulated: list[str]


class Check(_Body, frozen=True):
    """One thing that `doctor` looked at. `ok` is None where it could not be judged."""

    name: str
    ok: bool | None
    what: str
    next_step: str = ""


class Doctor(_Body, frozen=True):
    """Everything that a write needs, each with a verdict."""

    ready: bool
    checks: list[Check]


class FoundOnLink(_Body, frozen=True):
    """An ECU that announced itself (ISO 13400-2 vehicle identification)."""

    link: str
    logical_address: int
    vin: str
    eid: str


class Discovered(_Body, frozen=True):
    """All ECUs that announced themselves."""

    ecus: list[FoundOnLink]


class Value(_Body, frozen=True):
    """One identification or coding value, or why it could not be read."""

    did: int
    name: str
    label: str
    hex: str
    text: str
    fields: dict[str, str] = {}
    refused: str = ""


class Identity(_Body, frozen=True):
    """What an ECU answered to every DID that its profile names."""

    ecu: str
    title: str
    profile: str
    link: str
    values: list[Value]


class ReadReply(_Body, frozen=True):
    """A DID's value, or a region's content."""

    name: str
    hex: str
    text: str
    sha256: str = ""


class PlanView(_Body, frozen=True):
    """A compiled plan: what it will do, the risk to be read, and the file to keep."""

    digest: str
    job: str
    title: str
    ecu: str
    link: str
    risk_class: str
    risk_text: str
    risk_digest: str
    lines: list[str]
    payload_bytes: int
    file: bytes


class GateView(_Body, frozen=True):
    """All four gates, in order, with what each looked at."""

    plan_digest: str
    passed: bool
    results: list[GateResult]


class Started(_Body, frozen=True):
    """The write runs: follow the job's events after `after` to its outcome.

    `run` is empty where a gate refused; `gates` then says which and why, and nothing was sent.
    """

    run: str
    job: str
    plan_digest: str
    after: int
    gates: list[GateResult]


class BackupView(_Body, frozen=True):
    """One backup and its two copies."""

    backup: str
    job: str
    ecu: str
    profile: str
    made: str
    objects: list[str]
    refused: list[str]
    folders: list[str]
    simulated: bool


class Backups(_Body, frozen=True):
    """Backups on the two media."""

    backups: list[BackupView]


class CopyState(_Body, frozen=True):
    """One copy after verification: `whole`, `repaired` or `damaged`, and what was found."""

    folder: str
    state: Literal["whole", "repaired", "damaged"]
    found: list[str]


class BackupVerified(_Body, frozen=True):
    """Both copies after verification."""

    backup: str
    whole: bool
    copies: list[CopyState]


class File(_Body, frozen=True):
    """One file, by its relative path."""

    name: str
    content: bytes


class Files(_Body, frozen=True):
    """A folder's worth of files."""

    what: str
    files: list[File]


class JobView(_Body, frozen=True):
    """A job as the list shows it."""

    job: str
    customer: str
    vehicle: str
    complaint: str
    made: str
    state: str
    what: str
    next_step: str
    run: str
    """The write that is under way or unfinished, empty for none."""
    plans: list[str]
    backups: list[str]
    events: int
    head: str


class Jobs(_Body, frozen=True):
    """A page of jobs, the newest first. With `more` the next one is asked for with `before` the
    last job's id.
    """

    jobs: list[JobView]
    more: bool = False


class ChainVerified(_Body, frozen=True):
    """What the chain of a job holds, once every hash and signature was computed again."""

    job: str
    events: int
    head: str


class JobEvent(_Body, frozen=True):
    """One event of a job's chain, as the stream tells it, one to a line."""

    seq: int
    kind: str
    wall: str
    run: str
    body: dict[str, Any]


class RecoveryView(_Body, frozen=True):
    """A recovery plan for an unfinished run: to be read and acknowledged."""

    recovers: str
    plan: PlanView


class ProfileView(_Body, frozen=True):
    """A profile that the kit can use, or why it cannot."""

    name: str
    title: str
    ecu: str
    writes: list[str]
    problem: str = ""


class Profiles(_Body, frozen=True):
    """Profiles on this kit."""

    profiles: list[ProfileView]


class ProfileSigned(_Body, frozen=True):
    """A profile's signature, to be put beside it as `NAME.toml.sig`."""

    name: str
    signature: bytes
    installed: bool
