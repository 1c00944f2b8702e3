"""What goes over the API: bodies of requests and replies, as strict types.

The client and the screen import this module, so it needs nothing but msgspec and the messages that
hw tells by itself. Files cross as bytes (base64 in JSON): the appliance reads and writes no file of
the person who asks, except on a USB stick that is plugged into the kit. Bytes of the ECU are
lower-case hex.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

# hw's own messages that stand inside replies are part of this module's: `messages.RunInfo`.
from hw.messages import GateResult as GateResult  # noqa: PLC0414 - exported again
from hw.messages import RunInfo as RunInfo  # noqa: PLC0414 - exported again
from hw.messages import Status as Status  # noqa: PLC0414 - exported again
from hw.plan import VoltageWindow
from hw.statements import Stroke, TextName

VERSION = "v1"
MAX_BODY = 256 * 1024 * 1024
"""Bytes of one request: the largest firmware container, in base64, with room to spare."""

Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Short = Annotated[str, Meta(max_length=4096)]


class _Body(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A misspelt field is refused instead of being silently without effect."""


# Requests -----------------------------------------------------------------------------------------


class Unlock(_Body, frozen=True):
    """Open the kit with a technician's own passphrase."""

    technician: Text
    passphrase: Text


class TechnicianNew(_Body, frozen=True):
    """Add a technician to the kit, by the owner who has it and gives their `passphrase` once more.

    `new_passphrase` is what the new technician chose; `role` is `technician` or `owner`.
    """

    name: Text
    role: Text
    new_passphrase: Text
    passphrase: Text


class PassphraseNew(_Body, frozen=True):
    """Change the passphrase of the technician who has the kit; `passphrase` is the old one."""

    passphrase: Text
    new_passphrase: Text


class JoinNetwork(_Body, frozen=True):
    """Join a Wi-Fi network; a known or open one needs no passphrase."""

    ssid: Text
    passphrase: Short = ""


class ForgetNetwork(_Body, frozen=True):
    """Leave a Wi-Fi network for good."""

    ssid: Text


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
    """Compile a flash of one container: either its `name` and `content`, or its `path` on a stick.

    `manifest` belongs to a raw binary's `content`; for a `path` it lies beside the file.
    """

    link: Text
    profile: Text
    job: Text
    name: str = ""
    content: bytes | None = None
    manifest: bytes | None = None
    path: str = ""


class InspectContainer(_Body, frozen=True):
    """A container on a stick, to be looked at; with a profile, also held against its regions."""

    path: Text
    profile: str = ""


class ExportOnto(_Body, frozen=True):
    """A stick to write onto, named by its folder (`Stick.folder`)."""

    stick: Text


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
    """Back up coding and memory. Where the ECU refuses memory readout a known-good file stands in:
    either `known_good` with its name, or its `known_good_path` on a stick.
    """

    link: Text
    profile: Text
    job: Text
    known_good: bytes | None = None
    known_good_name: str = ""
    known_good_path: str = ""


class JobNew(_Body, frozen=True):
    """Open a job. The car is told by `vehicle`, a line of free text, by the fields below, or both.

    A 17-character word in `vehicle` is taken for the VIN where `vin` is empty.
    """

    customer: Text
    vehicle: Short = ""
    complaint: Short = ""
    phone: Short = ""
    email: Short = ""
    vin: Short = ""
    plate: Short = ""
    make: Short = ""
    model: Short = ""
    year: Annotated[int, Meta(ge=1886, le=2200)] | None = None
    odometer_km: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None


class OrderView(_Body, frozen=True):
    """A work order of the workshop.

    `way`: the technician visits the car, or its part comes by mail. `appointment` is the local date
    and time as the office wrote it, empty for none; `made` when it was booked. `photos` lie at the
    workshop. `job` was opened for it on this kit, empty for none.
    """

    reference: str
    way: Literal["visit", "mail_in"]
    state: Literal["booked", "on_the_way", "at_the_bench", "done", "withdrawn"]
    customer: str
    phone: str
    address: str
    appointment: str
    vehicle: str
    vin: str
    complaint: str
    photos: int
    made: str
    job: str


class Orders(_Body, frozen=True):
    """Work orders that this kit has, those with an appointment first."""

    orders: list[OrderView]


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


class MediumView(_Body, frozen=True):
    """One of the two backup media.

    `full` means that less is free than a backup should find; `free_bytes` is None while it is
    missing.
    """

    name: Literal["a", "b"]
    folder: str
    state: Literal["present", "missing", "read_only", "full"]
    free_bytes: int | None
    simulated: bool
    what: str = ""
    """Why it is not `present`, in one sentence; empty where it is."""
    next_step: str = ""


class MediumUse(_Body, frozen=True):
    """What is on one of the two backup media, as far as it is there now.

    Attributes:
        device: what is mounted there, such as `/dev/sda1`; empty where nobody tells.
        size_bytes: of its filesystem, None while it is missing.
        backups: how many lie on it, None while it is missing.
        verified: when one of those was last read back whole from it, RFC 3339; empty for never.
        verified_backup: which one that was.
    """

    name: Literal["a", "b"]
    device: str
    size_bytes: int | None
    backups: int | None
    verified: str = ""
    verified_backup: str = ""


class Media(_Body, frozen=True):
    """Both media; their state is in `KitStatus.media`."""

    media: list[MediumUse]


class Sensor(_Body, frozen=True):
    """The voltage sensor that the kit's configuration names, and how exact it can be.

    A sensor and a multimeter that are both in order differ by at most
    `(error_part + meter_part) * volts + error_v + meter_v`.

    Attributes:
        uri: where it is.
        divider: battery volts per volt at the sensor.
        rate_hz: how often it is to be looked at.
        simulated: it is part of the simulated car.
        error_part, error_v: of the sensor, as a part of the voltage and in volts.
        meter_part, meter_v: of a handheld multimeter.
    """

    uri: str
    divider: float
    rate_hz: int
    simulated: bool
    error_part: float
    error_v: float
    meter_part: float
    meter_v: float


class WifiNetwork(_Body, frozen=True):
    """A Wi-Fi network.

    Attributes:
        signal: percent; None while it is out of reach.
        secured: it asks for a passphrase.
        usable: the kit can join it now.
        known: the kit has its passphrase.
        joined: the kit is in it.
    """

    ssid: str
    signal: int | None
    secured: bool
    usable: bool
    known: bool
    joined: bool


class Network(_Body, frozen=True):
    """Wi-Fi; `what` says why there is none where it is not `available`. The joined network first,
    then by signal, known ones out of reach last.
    """

    available: bool
    what: str
    networks: list[WifiNetwork]


class Clock(_Body, frozen=True):
    """The kit's wall clock, with the quality that records carry."""

    quality: Literal["synchronised", "unsynchronised"]
    wall: str


class Silence(_Body, frozen=True):
    """How long the workshop was not heard (`appliance.sync.silence`).

    `soon` and `doubted` warn, with `refused` no new programming job is taken. `heard` is the
    workshop's own wall time at the last greeting, empty for none.
    """

    state: Literal["fine", "soon", "doubted", "refused"]
    days: int
    heard: str
    what: str = ""
    next_step: str = ""


class SyncAside(_Body, frozen=True):
    """A record that the workshop refused, and why, in its words."""

    job: str
    why: str


class Sync(_Body, frozen=True):
    """The way to the workshop.

    `not_set_up` until the kit is enrolled, `locked` while its keys are, `idle` with nothing left to
    send, `sending`, `waiting` (for the network, the hub, a medium or the end of a write), `paused`
    where the workshop does not serve this kit. `waiting` and `put_aside` count records, of which
    the workshop refused the latter: they are sent again when somebody hands over by hand. `aside`
    has the newest of them. `what` and `next_step` say what keeps the rest.
    `in_work` counts jobs that are not handed over by themselves yet, since somebody works on them.
    While it is sending, `job` is the one whose record is under way, and `sent_bytes` of
    `total_bytes` of it and of its files are at the workshop. `silence` is None while the kit is
    locked or has no workshop. `retirable` counts jobs that the workshop has whole and whose files
    stay here for a while besides, `retired` those whose files it has instead.
    `handed_over` is the wall time of the last record that the workshop signed for, empty for none
    since the appliance was started.
    """

    state: Literal["not_set_up", "locked", "idle", "sending", "waiting", "paused"]
    workshop: str = ""
    kit: str = ""
    waiting: int = 0
    put_aside: int = 0
    aside: list[SyncAside] = []
    in_work: int = 0
    job: str = ""
    sent_bytes: int = 0
    total_bytes: int = 0
    handed_over: str = ""
    what: str = ""
    next_step: str = ""
    changes_put_aside: list[str] = []
    silence: Silence | None = None
    retirable: int = 0
    retired: int = 0
    """Why what came from the workshop was not taken, a sentence for each; see `sync.changes`."""


class SyncEnrol(_Body, frozen=True):
    """Let this kit in at a workshop, with the code that the office shows."""

    code: str


class Supply(_Body, frozen=True):
    """The kit's own supply, as the Raspberry Pi's firmware sees it: `low` is under-voltage now.

    `unknown` wherever the firmware tells nothing. `was_low`: under-voltage at any time since the
    kit was switched on; None where that is not told.
    """

    state: Literal["ok", "low", "unknown"]
    was_low: bool | None = None


class KitStatus(_Body, frozen=True):
    """The kit in one moment. `hw` is None while that process does not answer."""

    locked: bool
    technician: str
    role: str
    hw: Status | None
    hw_problem: Problem | None
    record_problem: Problem | None
    """Why what hw has done is not on the job's record yet, such as a full disk."""
    runs: list[RunInfo]
    """Runs that are under way or unfinished."""
    simulated: list[str]
    media: list[MediumView]
    """Medium a, then medium b; empty while the kit's configuration cannot be read."""
    clock: Clock
    sync: Sync
    supply: Supply


class TechnicianView(_Body, frozen=True):
    """Who can unlock the kit; `wait_s`: so long no passphrase of theirs is looked at."""

    name: str
    role: str
    wait_s: int


class Technicians(_Body, frozen=True):
    """All technicians of the kit, by name."""

    technicians: list[TechnicianView]


class LinkView(_Body, frozen=True):
    """A link that the kit's configuration names. `discovery`: it leads to a vehicle and not to one
    ECU, so that ECUs can be looked for on it and none can be read.
    """

    name: str
    uri: str
    discovery: bool


class Links(_Body, frozen=True):
    """Links that can be chosen; any other one can still be given by its URI."""

    links: list[LinkView]


class Stick(_Body, frozen=True):
    """A USB stick that is plugged into the kit. `folder` names it."""

    name: str
    folder: str
    free_bytes: int
    size_bytes: int
    read_only: bool
    simulated: bool


class Sticks(_Body, frozen=True):
    """All sticks, without the two backup media."""

    sticks: list[Stick]


class StickEntry(_Body, frozen=True):
    """A folder or file on a stick. `container` names the format that a file's name announces."""

    name: str
    path: str
    folder: bool
    size: int
    modified: str
    """RFC 3339, as the stick says; empty for a time that no calendar has."""
    container: Literal["", "intel-hex", "s-record", "vbf", "binary"] = ""


class StickFolder(_Body, frozen=True):
    """A folder on a stick: folders first, then files, by name. Hidden files are not shown."""

    stick: str
    path: str
    parent: str
    """The folder above it, empty for the stick's own."""
    entries: list[StickEntry]
    left_out: int
    """Links, devices, names that cannot be shown, and whatever is more than one answer holds."""


class Block(_Body, frozen=True):
    """A run of bytes of a container, and where it goes in the ECU's memory."""

    address: int
    size: int


class ChecksumView(_Body, frozen=True):
    """A checksum that a container carries, computed and compared."""

    name: str
    good: bool
    found: str = ""
    """What is wrong, where it is not good."""


class ContainerView(_Body, frozen=True):
    """What a container says of itself.

    `good`: it was read to its end and every checksum in it holds; else `what` and `next_step` say
    why it cannot be planned, and the rest is what could be read all the same. `fits`: every block
    lies in regions that the profile writes; None where there was nothing to compare, else
    `fit_what` and `fit_next_step` say why not. Whether it is for *this* ECU is said by the plan,
    which reads the ECU.
    """

    path: str
    name: str
    size: int
    sha256: str
    format: Literal["", "intel-hex", "s-record", "vbf", "binary"]
    good: bool
    what: str
    next_step: str
    part_numbers: list[str]
    version: str
    software: dict[str, str]
    """Everything that it says of itself in words, under the format's own names."""
    blocks: list[Block]
    checksums: list[ChecksumView]
    profile: str
    fits: bool | None
    fit_what: str
    fit_next_step: str
    regions: list[str]
    """Labels of the regions that would be written, where it fits."""


class CodingOption(_Body, frozen=True):
    """A value that a field can have. `value` is what `PlanCode` takes."""

    value: str
    label: str


class CodingField(_Body, frozen=True):
    """A labelled field. `PlanCode` takes `{setting}={value}`.

    It has either `options` or a range: a number from `min` to `max` in steps of `step`, in `unit`.
    """

    name: str
    label: str
    setting: str
    options: list[CodingOption]
    min: float | None
    max: float | None
    step: float | None
    unit: str


class CodingDid(_Body, frozen=True):
    """A coding DID; its values now are among those of `identify`, under the same DID and names."""

    did: int
    name: str
    label: str
    length: int
    fields: list[CodingField]


class CodingView(_Body, frozen=True):
    """All coding that a profile names. `writable`: the profile says how it is written."""

    profile: str
    title: str
    writable: bool
    dids: list[CodingDid]


class ExportedOnto(_Body, frozen=True):
    """A job's export lies on a stick for good, in `folder`, which is a name on that stick."""

    what: str
    stick: str
    folder: str
    files: int
    size_bytes: int


class SavedOnto(_Body, frozen=True):
    """A file lies on a stick for good, under `name`."""

    what: str
    stick: str
    name: str
    size_bytes: int


class Version(_Body, frozen=True):
    """A library and its version; empty where it is not installed."""

    name: str
    version: str


class About(_Body, frozen=True):
    """What this kit is. `kit` names it: letters of the digest of its public key.

    `libraries` are those that the kit itself asks for; bytes are those of its own storage.
    """

    kit: str
    version: str
    python: str
    kernel: str
    system: str
    libraries: list[Version]
    size_bytes: int
    free_bytes: int


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


StepKind = Literal["prepare", "erase", "write", "read", "check", "restart", "other"]
"""What a step of a plan does to the ECU: `prepare` changes nothing that outlives the session."""


class PlanStep(_Body, frozen=True):
    """One step of a plan, in words."""

    kind: StepKind
    text: str


class Description(_Body, frozen=True):
    """A plan in plain words: what and where, each step in order, what is restored on every way
    out, and how long it takes.
    """

    head: list[str]
    steps: list[PlanStep]
    tail: list[str]
    duration: str

    @property
    def lines(self) -> list[str]:
        """All of it, one line after the other, the steps numbered."""
        width = len(str(len(self.steps)))
        numbered = [f"{n:>{width}}. {step.text}" for n, step in enumerate(self.steps, 1)]
        return [*self.head, *numbered, *self.tail, self.duration]


class Agree(_Body, frozen=True):
    """The customer signs a text on a job; the technician who has the kit witnesses it.

    `sha256` names the words that they read, in the language in which they read them (see
    `AgreementView`); `strokes` is what their finger drew: few enough of them that two points of
    each can be kept (`hw.statements.MAX_POINTS`).
    """

    text: TextName
    sha256: Text
    customer: Annotated[str, Meta(min_length=1, max_length=100)]
    strokes: Annotated[list[Stroke], Meta(min_length=1, max_length=200)]


class AgreementView(_Body, frozen=True):
    """A text that a customer can sign, in one language, and whether it is signed on this job.

    `languages` are those that there are of it; `content` is what is read, `sha256` names it.
    `customer` and `wall` say who signed the words that hold now, and when; empty for nobody.
    """

    text: TextName
    title: str
    version: int
    language: str
    languages: list[str]
    content: str
    sha256: str
    customer: str
    wall: str


class Agreements(_Body, frozen=True):
    """The texts that a plan needs, or all."""

    agreements: list[AgreementView]


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
    window: VoltageWindow
    """Limits of the supply that hold for this plan."""
    description: Description
    payload_bytes: int
    file: bytes
    agreements: list[TextName] = []
    """Texts that the customer must have signed before it is written."""


class GateView(_Body, frozen=True):
    """All gates, in order, with what each looked at."""

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
    phone: str
    email: str
    vin: str
    plate: str
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
