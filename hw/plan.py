"""The write plan: every request that may change an ECU, fixed before anything reaches the car.

A plan is a JSON document in RFC 8785 canonical form. Its digest is the SHA-256 of exactly those
bytes and names the plan everywhere: evidence, permit, journal and record are bound to it. `hw`
never re-encodes a plan; it hashes and decodes the bytes that it was given.

Bytes are lower-case hexadecimal strings (`Hex`). Addresses, DIDs and RIDs are integers. All
identifiers come from the profile: nothing here has a default that reaches the car.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hw.errors import UNDECODABLE, BadInputError

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Byte = Annotated[int, Meta(ge=0, le=0xFF)]
SubFunction = Annotated[int, Meta(ge=0, le=0x7F)]
"""Without the suppress bit: each step of a write waits for its answer."""
Word = Annotated[int, Meta(ge=0, le=0xFFFF)]
Address = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Width = Annotated[int, Meta(ge=1, le=4)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]

PLAN_FORMAT = "fieldkit-plan/1"

RiskClass = Literal["coding", "programming", "restore", "immobiliser", "dtc_modification"]
"""What kind of harm a write can do.

`immobiliser`: keys are learned or lost, or the immobiliser is changed: whoever asks for it must be
entitled to the car. `dtc_modification`: which trouble codes the ECU stores or shows is changed for
good: the customer loses a warning, and the car perhaps its approval for the road. Reading codes, or
clearing them at the end of a service, is not meant: a code whose fault is still there comes back.
Nor is ControlDTCSetting (0x85) around a write, which every plan takes back.
"""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown fields are refused: what this version does not understand it does not do."""


class VoltageWindow(_Strict, frozen=True):
    """Supply limits of one write, in volts at the vehicle battery and seconds.

    `start_min_v..start_max_v` for `settle_s` before the write; below `hold_v` HELD; below `cut_v`
    or above `over_v` CUT; back to OPEN after `resume_after_s` above `resume_v`. `divider` is the
    ratio battery voltage / sensor voltage (1 without a divider); the INA219 ends at 26 V.
    """

    start_min_v: float
    start_max_v: float
    settle_s: Seconds
    hold_v: float
    cut_v: float
    resume_v: float
    resume_after_s: Seconds
    over_v: float
    stale_s: Seconds = 0.05
    divider: Annotated[float, Meta(ge=1.0)] = 1.0

    def __post_init__(self) -> None:
        ordered = (
            0 < self.cut_v < self.hold_v < self.resume_v < self.over_v
            and self.hold_v < self.start_min_v < self.start_max_v <= self.over_v
        )
        if not ordered or not 0 < self.stale_s <= 0.5:
            raise ValueError(
                "voltage window must satisfy cut < hold < resume < over, "
                "hold < start_min < start_max <= over and 0 < stale_s <= 0.5"
            )


class Timing(_Strict, frozen=True):
    """How long an answer may take (ISO 14229-2): P2, P2* and the limits that the profile sets.

    `pending_limit_s` ends a chain of 0x78 answers; `busy_limit_s` ends the retries after 0x21;
    `s3_s` is the ECU's session time-out, TesterPresent goes out at less than half of it.
    """

    p2_s: Seconds
    p2_star_s: Seconds
    pending_limit_s: Seconds
    busy_limit_s: Seconds
    s3_s: Seconds = 5.0


class IdentityValue(_Strict, frozen=True):
    """One identification DID and the exact value that the target must answer."""

    did: Word
    value: Hex


class Target(_Strict, frozen=True):
    """The one ECU that the plan is for.

    `identity` is read live and compared before the permit; `boot_identity` is what the boot
    loader still answers and is compared instead when the plan recovers an unfinished write.
    """

    ecu: str
    link: str
    identity: Annotated[list[IdentityValue], Meta(min_length=1)]
    boot_identity: list[IdentityValue]


class Payload(_Strict, frozen=True):
    """One run of bytes to be written. Payloads lie back to back in the plan's payload file."""

    name: str
    size: Annotated[int, Meta(gt=0)]
    sha256: Sha256


class Risk(_Strict, frozen=True):
    """What can go wrong, in the words shown to the technician; its digest is what they sign."""

    risk_class: RiskClass
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the UTF-8 text, lower-case hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Session(_Strict, frozen=True, tag="session", tag_field="step"):
    """DiagnosticSessionControl (0x10)."""

    session: SubFunction


class Unlock(_Strict, frozen=True, tag="unlock", tag_field="step"):
    """SecurityAccess (0x27): `level` is the requestSeed sub-function (odd)."""

    level: Annotated[int, Meta(ge=0x01, le=0x7D)]
    provider: str
    params: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.level % 2 == 0:
            raise ValueError(f"0x{self.level:02X} is no requestSeed sub-function: those are odd")


class WriteDid(_Strict, frozen=True, tag="write_did", tag_field="step"):
    """WriteDataByIdentifier (0x2E)."""

    did: Word
    data: Hex


class Routine(_Strict, frozen=True, tag="routine", tag_field="step"):
    """RoutineControl (0x31): the status record after the RID must equal `expect` exactly."""

    sub_function: SubFunction
    rid: Word
    option: Hex
    expect: Hex
    purpose: Literal["erase", "check_memory", "check_dependencies", "other"]
    timeout_s: Seconds


class CommunicationControl(_Strict, frozen=True, tag="communication_control", tag_field="step"):
    """CommunicationControl (0x28)."""

    control_type: SubFunction
    communication_type: Byte


class DtcSetting(_Strict, frozen=True, tag="dtc_setting", tag_field="step"):
    """ControlDTCSetting (0x85): 0x01 on, 0x02 off."""

    setting: SubFunction


def _check_fits(name: str, value: int, width: int) -> None:
    """Found before the permit; found while the request is made it would be after the erase."""
    if value >= 1 << 8 * width:
        raise ValueError(f"{name} names 0x{value:X}, which does not fit {width} bytes")


class Download(_Strict, frozen=True, tag="download", tag_field="step"):
    """RequestDownload (0x34) and every TransferData (0x36) of one payload.

    The block length is the ECU's answer (maxNumberOfBlockLength counts the service and counter
    bytes, ISO 14229-1:2020, 14.2), lowered to `max_block_length` where that is not zero.
    """

    payload: Annotated[int, Meta(ge=0)]
    address: Address
    address_width: Width
    length_width: Width
    data_format: Byte
    uncompressed_size: Annotated[int, Meta(gt=0)]
    max_block_length: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        _check_fits("a download", self.address + self.uncompressed_size - 1, self.address_width)
        _check_fits("a download", self.uncompressed_size, self.length_width)


class TransferExit(_Strict, frozen=True, tag="transfer_exit", tag_field="step"):
    """RequestTransferExit (0x37), sent only if the SHA-256 of what went out is the payload's."""

    option: Hex = ""


class ReadBack(_Strict, frozen=True, tag="read_back", tag_field="step"):
    """ReadMemoryByAddress (0x23) over a region; the SHA-256 of what is read must equal `sha256`."""

    address: Address
    length: Annotated[int, Meta(gt=0)]
    address_width: Width
    length_width: Width
    block_length: Annotated[int, Meta(gt=0)]
    sha256: Sha256

    def __post_init__(self) -> None:
        _check_fits("a read-back", self.address + self.length - 1, self.address_width)
        _check_fits("a read-back", min(self.block_length, self.length), self.length_width)


class CheckDid(_Strict, frozen=True, tag="check_did", tag_field="step"):
    """ReadDataByIdentifier (0x22); the answer must equal `expect` exactly."""

    did: Word
    expect: Hex


class Reset(_Strict, frozen=True, tag="reset", tag_field="step"):
    """ECUReset (0x11)."""

    reset_type: SubFunction


class Wait(_Strict, frozen=True, tag="wait", tag_field="step"):
    """Wait until the ECU answers TesterPresent again, at least `min_s`, at most `max_s`."""

    min_s: Seconds
    max_s: Seconds


Step = (
    Session
    | Unlock
    | WriteDid
    | Routine
    | CommunicationControl
    | DtcSetting
    | Download
    | TransferExit
    | ReadBack
    | CheckDid
    | Reset
    | Wait
)
RestoreStep = CommunicationControl | DtcSetting


class WritePlan(_Strict, frozen=True):
    """All that will be sent to one ECU, in order.

    `restore` holds the requests that undo `communication_control` and `dtc_setting` steps; they go
    out on every path on which the gate still lets a write pass. `recovers` is the digest of the
    unfinished plan that this one finishes, empty otherwise. `kit_wiring` of the write-enable line
    is not part of the plan: it belongs to the kit.
    """

    format: Literal["fieldkit-plan/1"]
    job: str
    title: str
    risk: Risk
    profile: str
    profile_sha256: Sha256
    target: Target
    window: VoltageWindow
    timing: Timing
    payloads: list[Payload]
    steps: Annotated[list[Step], Meta(min_length=1)]
    restore: list[RestoreStep]
    recovers: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""

    def __post_init__(self) -> None:
        for step in self.steps:
            if isinstance(step, Download) and step.payload >= len(self.payloads):
                raise ValueError(f"a download names payload {step.payload}, which does not exist")

    @property
    def payload_size(self) -> int:
        """Size in bytes of the payload file: all payloads, back to back."""
        return sum(payload.size for payload in self.payloads)


def digest_of(document: bytes) -> str:
    """Name a plan: SHA-256 of its canonical bytes, lower-case hex."""
    return hashlib.sha256(document).hexdigest()


def decode_plan(document: bytes) -> WritePlan:
    """Decode a plan strictly.

    Raises:
        BadInputError: the bytes are not a plan of this version; the sentence names the field.
    """
    try:
        return msgspec.json.decode(document, type=WritePlan)
    except UNDECODABLE as error:
        raise BadInputError(f"The plan cannot be read: {error}.", "Make the plan again.") from error
