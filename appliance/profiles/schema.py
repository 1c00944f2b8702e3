"""What a profile says about one ECU: strict types, and the rules that tie its parts together.

A profile is data: TOML, signed by the workshop, read by `appliance.profiles.loader`. `SCHEMA.md`
beside this file is the reference for people who write one. No identifier has a default: what a
profile does not name is not done. Numbers are in SI units unless the name says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hw.plan import Address, Byte, Hex, RiskClass, Seconds, Timing, VoltageWindow, Width, Word
from hw.trust import Sensitive

PROFILE_FORMAT = "fieldkit-profile/1"

Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
SessionName = Literal["default", "extended", "programming"]
Purpose = Literal["reading", "coding", "programming"]
Make = Literal["Audi", "BMW", "Mini", "FCA", "GM", "Ford", "Mercedes", "Porsche", "Honda"]
Template = Annotated[str, Meta(pattern="^([0-9a-f]{2}|[{][a-z0-9]+:[1-8][}])*$")]
"""Hex bytes with placeholders `{name:N}`: N bytes, big-endian, filled in by the compiler."""

PLACEHOLDER = re.compile(r"\{([a-z0-9]+):([1-8])\}")
RANGE_PLACEHOLDERS = frozenset({"address", "length", "crc32"})
"""What `erase` and `check_memory` options may name: one erased range, and CRC-32 of its content."""
JOB_PLACEHOLDERS = frozenset({"job", "payload"})
"""What `write_did` data may name: the leading bytes of SHA-256 of the job's id, of the payload."""
RISK_WORD = re.compile(r"\{([a-z_]*)\}")
RISK_WORDS = frozenset({"job", "ecu", "profile", "what", "gaps", "window"})
RISK_WORDS_NEEDED = frozenset({"job", "ecu", "what"})


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unknown key is refused, so that a misspelt one is not silently without effect."""


# Addresses, sessions, security --------------------------------------------------------------------


class CanAddress(_Strict, frozen=True):
    """ISO 15765-2 normal addressing: `tx` carries requests to the ECU, `rx` its answers."""

    tx: Annotated[int, Meta(ge=0, le=0x1FFF_FFFF)]
    rx: Annotated[int, Meta(ge=0, le=0x1FFF_FFFF)]
    extended: bool
    """True: 29 bit identifiers."""

    def __post_init__(self) -> None:
        if self.tx == self.rx:
            raise ValueError("tx and rx are the same identifier")
        if not self.extended and max(self.tx, self.rx) > 0x7FF:
            raise ValueError("an 11 bit identifier ends at 0x7FF; set extended = true")


class DoipAddress(_Strict, frozen=True):
    """The ECU's logical address behind the DoIP entity (ISO 13400-2)."""

    target: Word


class Addresses(_Strict, frozen=True):
    """Where the ECU answers. A link whose own addresses differ from these is refused."""

    can: CanAddress | None = None
    doip: DoipAddress | None = None


class Sessions(_Strict, frozen=True):
    """Session values for DiagnosticSessionControl (0x10); an unnamed one is never asked for."""

    default: Byte
    extended: Byte | None = None
    programming: Byte | None = None

    def value(self, name: SessionName) -> int | None:
        """The value of a named session, None where the profile does not name it."""
        return {
            "default": self.default,
            "extended": self.extended,
            "programming": self.programming,
        }[name]


class Security(_Strict, frozen=True, kw_only=True):
    """SecurityAccess for one purpose: `level` is the requestSeed sub-function, so it is odd."""

    purpose: Purpose
    level: Annotated[int, Meta(ge=0x01, le=0x7D)]
    provider: str
    """Name of a seed/key provider that hw knows."""
    params: dict[str, str] = {}
    session: SessionName
    """The session in which the ECU grants it."""


# What can be read and coded -----------------------------------------------------------------------


class Identification(_Strict, frozen=True):
    """One identification DID.

    `identifies`: it tells this ECU from every other one and stays the same when software or coding
    changes; the target of a write is compared by exactly these. `boot`: the boot loader answers it
    too. `container_demands`/`container_sets` name a field of a container: the first must equal the
    live value before a write, the second is what the ECU must answer after it.
    """

    did: Word
    name: Name
    label: str
    encoding: Literal["ascii", "hex", "bcd", "uint"]
    length: Annotated[int, Meta(ge=0, le=4095)] = 0
    """Bytes in the answer; 0 where it varies."""
    identifies: bool = False
    boot: bool = False
    role: Literal["vin", "serial_number", "hardware_number", "software_number", ""] = ""
    container_demands: str = ""
    container_sets: str = ""


class Field(_Strict, frozen=True):
    """One labelled bit field of a coding DID.

    The field lies in the fewest bytes from `byte` on that hold `bit + width` bits; these are one
    big-endian unsigned number and `bit` counts from its least significant bit. A field has either
    `values` (word -> number) or a range; then shown value = number * scale + offset.
    """

    name: Name
    label: str
    byte: Annotated[int, Meta(ge=0, le=4094)]
    bit: Annotated[int, Meta(ge=0, le=7)]
    width: Annotated[int, Meta(ge=1, le=32)]
    values: dict[Name, Annotated[int, Meta(ge=0)]] = {}
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    min: float | None = None
    max: float | None = None

    @property
    def byte_count(self) -> int:
        """Bytes from `byte` on in which the field lies."""
        return (self.bit + self.width + 7) // 8

    @property
    def mask(self) -> int:
        """The field's bits in the big-endian number made of its bytes."""
        return ((1 << self.width) - 1) << self.bit

    def __post_init__(self) -> None:
        if self.values:
            self._check_words()
        elif self.min is None or self.max is None:
            raise ValueError(f"field {self.name} needs either values or min and max")
        elif self.min > self.max or self.scale == 0:
            raise ValueError(f"field {self.name} needs min <= max and a scale other than 0")

    def _check_words(self) -> None:
        if self.min is not None or self.max is not None or self.unit:
            raise ValueError(f"field {self.name} has values, so it has no unit, min or max")
        if len(set(self.values.values())) != len(self.values):
            raise ValueError(f"field {self.name} gives one number two words")
        if max(self.values.values()) >= 1 << self.width:
            raise ValueError(f"field {self.name} has a value that does not fit {self.width} bits")


class Coding(_Strict, frozen=True):
    """One coding DID: it is read into every backup and written as a whole, `length` bytes."""

    did: Word
    name: Name
    label: str
    length: Annotated[int, Meta(ge=1, le=4095)]
    fields: list[Field] = []

    def __post_init__(self) -> None:
        used = 0
        for field in self.fields:
            end = field.byte + field.byte_count
            if end > self.length:
                raise ValueError(f"field {field.name} ends after byte {self.length} of the DID")
            bits = field.mask << 8 * (self.length - end)
            if used & bits:
                raise ValueError(f"field {field.name} overlaps another field")
            used |= bits


class Live(_Strict, frozen=True):
    """One live value: `size` bytes of a DID, a big-endian number times `scale` plus `offset`."""

    did: Word
    name: Name
    label: str
    unit: str
    byte: Annotated[int, Meta(ge=0, le=4094)]
    size: Annotated[int, Meta(ge=1, le=8)]
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0


# Memory -------------------------------------------------------------------------------------------


class MemoryRead(_Strict, frozen=True):
    """How a region is read.

    With `refused` the ECU is known not to give this region; the kit asks by ReadMemoryByAddress
    all the same, so that the ECU's negative response is on record.
    """

    method: Literal["read_memory_by_address", "request_upload", "refused"]
    block_length: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
    """Most data bytes in one answer."""
    session: SessionName
    unlock: Purpose | Literal["none"]
    """Security entry to be passed before."""


class MemoryWrite(_Strict, frozen=True):
    """How a region is written. Erasing and checking are steps of `flash` and `recover`."""

    sector_size: Annotated[int, Meta(ge=1)]
    """Erase granularity in bytes, counted from the region's start."""
    erased_value: Byte
    """What an erased byte reads as."""
    data_formats: Annotated[list[Byte], Meta(min_length=1)]
    """Data format identifiers (ISO 14229-1:2020, 14.2.2) that the ECU can unpack."""
    max_block_length: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
    """Upper limit to the block length that the ECU names; 0: none."""


class Region(_Strict, frozen=True):
    """One memory region. Without `write` it is never written; `backup`: it is part of the image."""

    name: Name
    label: str
    address: Address
    size: Annotated[int, Meta(ge=1, le=0x1_0000_0000)]
    address_width: Width
    length_width: Width
    backup: bool
    read: MemoryRead
    write: MemoryWrite | None = None

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.address + self.size

    def __post_init__(self) -> None:
        if self.end > 1 << 8 * self.address_width or self.size >= 1 << 8 * self.length_width:
            raise ValueError(f"region {self.name} does not fit its address or length width")
        if self.write is not None and self.size % self.write.sector_size:
            raise ValueError(f"region {self.name} is not a whole number of sectors")


# Sequences ----------------------------------------------------------------------------------------


class SessionStep(_Strict, frozen=True, tag="session", tag_field="step"):
    """DiagnosticSessionControl."""

    session: SessionName


class UnlockStep(_Strict, frozen=True, tag="unlock", tag_field="step"):
    """SecurityAccess with the entry for `purpose`."""

    purpose: Purpose


class WriteDidStep(_Strict, frozen=True, tag="write_did", tag_field="step"):
    """WriteDataByIdentifier of fixed data, such as the fingerprint."""

    did: Word
    data: Template


class DtcSettingStep(_Strict, frozen=True, tag="dtc_setting", tag_field="step"):
    """ControlDTCSetting; `restore` is the setting that undoes it."""

    setting: Byte
    restore: Byte


class CommunicationControlStep(_Strict, frozen=True, tag="communication_control", tag_field="step"):
    """CommunicationControl; `restore` is the control type that undoes it."""

    control_type: Byte
    communication_type: Byte
    restore: Byte


class EraseStep(_Strict, frozen=True, tag="erase", tag_field="step"):
    """RoutineControl that erases, once for each range of whole sectors that the file touches."""

    sub_function: Byte
    rid: Word
    option: Template
    expect: Hex
    timeout_s: Seconds


class DownloadStep(_Strict, frozen=True, tag="download", tag_field="step"):
    """RequestDownload, TransferData and RequestTransferExit, once for each block of the file."""

    exit_option: Hex


class CheckMemoryStep(_Strict, frozen=True, tag="check_memory", tag_field="step"):
    """RoutineControl by which the ECU checks what it holds, once for each erased range."""

    sub_function: Byte
    rid: Word
    option: Template
    expect: Hex
    timeout_s: Seconds


class ReadBackStep(_Strict, frozen=True, tag="read_back", tag_field="step"):
    """ReadMemoryByAddress over each erased range of the regions that are read in this way."""


class CheckDependenciesStep(_Strict, frozen=True, tag="check_dependencies", tag_field="step"):
    """RoutineControl by which the ECU checks that its software parts fit each other."""

    sub_function: Byte
    rid: Word
    option: Hex
    expect: Hex
    timeout_s: Seconds


class RoutineStep(_Strict, frozen=True, tag="routine", tag_field="step"):
    """Any other RoutineControl that the ECU demands, such as checking preconditions."""

    sub_function: Byte
    rid: Word
    option: Hex
    expect: Hex
    timeout_s: Seconds


class WriteCodingStep(_Strict, frozen=True, tag="write_coding", tag_field="step"):
    """WriteDataByIdentifier, once for each coding DID that changes."""


class CheckCodingStep(_Strict, frozen=True, tag="check_coding", tag_field="step"):
    """ReadDataByIdentifier of each coding DID that was written; it must answer what was written."""


class ResetStep(_Strict, frozen=True, tag="reset", tag_field="step"):
    """ECUReset."""

    reset_type: Byte


class WaitStep(_Strict, frozen=True, tag="wait", tag_field="step"):
    """Wait until the ECU answers again, at least `min_s`, at most `max_s`."""

    min_s: Seconds
    max_s: Seconds

    def __post_init__(self) -> None:
        if self.min_s > self.max_s:
            raise ValueError("min_s is longer than max_s")


class CheckIdentityStep(_Strict, frozen=True, tag="check_identity", tag_field="step"):
    """Every identifying DID must answer as before; `container_sets` DIDs as the container says."""


FlashStep = (
    SessionStep
    | UnlockStep
    | WriteDidStep
    | DtcSettingStep
    | CommunicationControlStep
    | RoutineStep
    | ResetStep
    | WaitStep
    | CheckIdentityStep
    | EraseStep
    | DownloadStep
    | CheckMemoryStep
    | ReadBackStep
    | CheckDependenciesStep
)
CodeStep = (
    SessionStep
    | UnlockStep
    | WriteDidStep
    | DtcSettingStep
    | CommunicationControlStep
    | RoutineStep
    | ResetStep
    | WaitStep
    | CheckIdentityStep
    | WriteCodingStep
    | CheckCodingStep
)


class FlashSequence(_Strict, frozen=True):
    """The steps of programming, in order. `erase`, `download`, `check_memory` each once.

    From `erase` to `check_memory` the steps are gone through range by range, as ECUs expect that
    check each logical block on its own before the next one is erased.
    """

    steps: Annotated[list[FlashStep], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _in_order(self.steps, (EraseStep, DownloadStep, CheckMemoryStep), "steps")


class CodeSequence(_Strict, frozen=True):
    """The steps of coding, in order. `write_coding` and `check_coding` each once."""

    steps: Annotated[list[CodeStep], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _in_order(self.steps, (WriteCodingStep, CheckCodingStep), "steps")


def _in_order(steps: Iterable[Struct], wanted: tuple[type[Struct], ...], key: str) -> None:
    found = [type(step) for step in steps if isinstance(step, wanted)]
    if found != list(wanted):
        words = ", then ".join(str(kind.__struct_config__.tag) for kind in wanted)
        raise ValueError(f"{key} must hold, once each and in this order: {words}")


class Compatibility(_Strict, frozen=True):
    """Only an ECU that answers one of `allowed` (in the DID's own encoding) may be written."""

    did: Word
    allowed: Annotated[list[str], Meta(min_length=1)]


class RiskTexts(_Strict, frozen=True):
    """What the technician reads and signs, by risk class; words in braces are filled in."""

    coding: str = ""
    programming: str = ""
    restore: str = ""
    immobiliser: str = ""
    dtc_modification: str = ""

    def template(self, risk_class: RiskClass) -> str:
        """The text of a risk class, empty where the profile has none."""
        return {
            "coding": self.coding,
            "programming": self.programming,
            "restore": self.restore,
            "immobiliser": self.immobiliser,
            "dtc_modification": self.dtc_modification,
        }[risk_class]


# The profile --------------------------------------------------------------------------------------


class Profile(_Strict, frozen=True, kw_only=True):
    """All that is known of one ECU. Without `voltage` it can be read and never written."""

    format: Literal["fieldkit-profile/1"]
    name: Name
    ecu: Name
    title: str
    make: Make | None = None
    addresses: Addresses
    timing: Timing
    sessions: Sessions
    voltage: VoltageWindow | None = None
    security: list[Security] = []
    identification: Annotated[list[Identification], Meta(min_length=1)]
    coding: list[Coding] = []
    live: list[Live] = []
    memory: list[Region] = []
    compatibility: list[Compatibility] = []
    sensitive: list[Sensitive] = []
    code: CodeSequence | None = None
    flash: FlashSequence | None = None
    recover: FlashSequence | None = None
    risk: RiskTexts = RiskTexts()

    @property
    def identifying(self) -> list[Identification]:
        """The DIDs by which a target, a backup and a plan are compared."""
        return [entry for entry in self.identification if entry.identifies]

    @property
    def boot_identifying(self) -> list[Identification]:
        """The DIDs by which the ECU is known while only its boot loader answers."""
        return [entry for entry in self.identification if entry.boot and entry.identifies]

    def security_for(self, purpose: Purpose) -> Security | None:
        """The security entry for a purpose, None where the profile has none."""
        return next((entry for entry in self.security if entry.purpose == purpose), None)

    def identification_by_did(self, did: int) -> Identification | None:
        """The entry of an identification DID, None for an unknown one."""
        return next((entry for entry in self.identification if entry.did == did), None)

    def identification_by_role(self, role: str) -> Identification | None:
        """The entry with a role such as `vin` or `software_number`, None where there is none."""
        return next((entry for entry in self.identification if entry.role == role), None)

    def coding_by_did(self, did: int) -> Coding | None:
        """The entry of a coding DID, None for an unknown one."""
        return next((entry for entry in self.coding if entry.did == did), None)


# Rules that tie parts together --------------------------------------------------------------------

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One rule that a profile breaks: the key's path in the document, and why."""

    path: KeyPath
    reason: str


def problems(profile: Profile) -> Iterator[Problem]:
    """Check the rules that need more than one part of the profile, in document order."""
    yield from _duplicate_problems(profile)
    yield from _security_problems(profile)
    yield from _region_problems(profile)
    yield from _compatibility_problems(profile)
    yield from _sequence_problems(profile)
    yield from _write_problems(profile)
    yield from _sensitive_problems(profile)
    yield from _risk_problems(profile)


def _duplicate_problems(profile: Profile) -> Iterator[Problem]:
    lists: dict[str, list[tuple[str, object]]] = {
        "security": [("purpose", entry.purpose) for entry in profile.security],
        "identification": [("did", entry.did) for entry in profile.identification],
        "coding": [("did", entry.did) for entry in profile.coding],
        "live": [("name", entry.name) for entry in profile.live],
        "memory": [("name", entry.name) for entry in profile.memory],
        "compatibility": [("did", entry.did) for entry in profile.compatibility],
    }
    for table, entries in lists.items():
        counted: Counter[object] = Counter()
        for index, (key, value) in enumerate(entries):
            counted[value] += 1
            if counted[value] > 1:
                yield Problem((table, index, key), "an entry above already has this value")


def _security_problems(profile: Profile) -> Iterator[Problem]:
    for index, entry in enumerate(profile.security):
        if entry.level % 2 == 0:
            reason = f"level 0x{entry.level:02X} is even; name the requestSeed sub-function"
            yield Problem(("security", index, "level"), reason)
        yield from _session_problems(profile, ("security", index, "session"), entry.session)


def _session_problems(profile: Profile, path: KeyPath, name: SessionName) -> Iterator[Problem]:
    if profile.sessions.value(name) is None:
        yield Problem(path, f"[sessions] does not name a value for {name!r}")


def _region_problems(profile: Profile) -> Iterator[Problem]:
    for index, region in enumerate(profile.memory):
        path: KeyPath = ("memory", index)
        for other in profile.memory[:index]:
            if region.address < other.end and other.address < region.end:
                yield Problem((*path, "address"), f"the region overlaps {other.name!r}")
        if region.write is not None and not region.backup:
            # hw would refuse the write: said here, it is said at the workshop and not at the car.
            yield Problem((*path, "backup"), "a region that is written must be backed up")
        yield from _session_problems(profile, (*path, "read", "session"), region.read.session)
        unlock = region.read.unlock
        if unlock != "none" and profile.security_for(unlock) is None:
            yield Problem((*path, "read", "unlock"), f"no security entry is for {unlock!r}")


def _compatibility_problems(profile: Profile) -> Iterator[Problem]:
    for index, entry in enumerate(profile.compatibility):
        if profile.identification_by_did(entry.did) is None:
            reason = f"0x{entry.did:04X} is not among the identification DIDs"
            yield Problem(("compatibility", index, "did"), reason)


def _sequence_problems(profile: Profile) -> Iterator[Problem]:
    sequences = {
        "code": profile.code,
        "flash": profile.flash,
        "recover": profile.recover,
    }
    for table, sequence in sequences.items():
        for index, step in enumerate(sequence.steps if sequence else ()):
            yield from _step_problems(profile, (table, "steps", index), step)


def _step_problems(
    profile: Profile, path: KeyPath, step: FlashStep | CodeStep
) -> Iterator[Problem]:
    match step:
        case SessionStep():
            yield from _session_problems(profile, (*path, "session"), step.session)
        case UnlockStep() if profile.security_for(step.purpose) is None:
            yield Problem((*path, "purpose"), f"no security entry is for {step.purpose!r}")
        case WriteDidStep():
            yield from _template_problems((*path, "data"), step.data, JOB_PLACEHOLDERS)
        case EraseStep():
            allowed = RANGE_PLACEHOLDERS - {"crc32"}
            yield from _template_problems((*path, "option"), step.option, allowed)
        case CheckMemoryStep():
            yield from _template_problems((*path, "option"), step.option, RANGE_PLACEHOLDERS)


def _template_problems(path: KeyPath, template: str, allowed: frozenset[str]) -> Iterator[Problem]:
    for name, _ in PLACEHOLDER.findall(template):
        if name not in allowed:
            known = ", ".join(sorted(allowed))
            yield Problem(path, f"{{{name}}} is not known here; known are: {known}")


def _write_problems(profile: Profile) -> Iterator[Problem]:
    writes = [name for name in ("code", "flash", "recover") if getattr(profile, name) is not None]
    if writes and profile.voltage is None:
        yield Problem((writes[0],), "a profile that writes needs its own [voltage]")
    if writes and not profile.identifying:
        yield Problem((writes[0],), "a profile that writes needs an identifying DID")
    if profile.code is not None and not profile.coding:
        yield Problem(("code",), "there is no coding DID to write")
    if (profile.flash is None) != (profile.recover is None):
        known = "flash" if profile.flash else "recover"
        yield Problem((known,), "[flash] and [recover] belong together")
    if profile.flash is not None:
        yield from _flash_problems(profile)


def _flash_problems(profile: Profile) -> Iterator[Problem]:
    if not any(region.write for region in profile.memory):
        yield Problem(("flash",), "no memory region can be written")
    if not profile.boot_identifying:
        yield Problem(("flash",), "no identifying DID is answered by the boot loader")


def _sensitive_problems(profile: Profile) -> Iterator[Problem]:
    """A part that nothing could ever write is a misspelt one, and the real one is unprotected."""
    sequences = (profile.code, profile.flash, profile.recover)
    steps = [step for sequence in sequences if sequence for step in sequence.steps]
    dids = {entry.did for entry in profile.coding}
    dids |= {step.did for step in steps if isinstance(step, WriteDidStep)}
    rids = {getattr(step, "rid", None) for step in steps} - {None}
    for index, part in enumerate(profile.sensitive):
        path: KeyPath = ("sensitive", index)
        if part.did is not None and part.did not in dids:
            yield Problem((*path, "did"), f"nothing of this profile writes 0x{part.did:04X}")
        if part.rid is not None and part.rid not in rids:
            yield Problem((*path, "rid"), f"nothing of this profile runs 0x{part.rid:04X}")
        if part.address is not None and not any(
            region.write and region.address <= part.address and part.end <= region.end
            for region in profile.memory
        ):
            yield Problem((*path, "address"), "it lies in no region that is written")


def _risk_problems(profile: Profile) -> Iterator[Problem]:
    needed: dict[RiskClass, bool] = {
        "coding": profile.code is not None,
        "programming": profile.flash is not None,
        "restore": profile.code is not None or profile.flash is not None,
        "immobiliser": any(part.risk == "immobiliser" for part in profile.sensitive),
        "dtc_modification": any(part.risk == "dtc_modification" for part in profile.sensitive),
    }
    for risk_class, is_needed in needed.items():
        text = profile.risk.template(risk_class)
        words = set(RISK_WORD.findall(text))
        path: KeyPath = ("risk", risk_class)
        if is_needed and not words >= RISK_WORDS_NEEDED:
            missing = ", ".join(f"{{{word}}}" for word in sorted(RISK_WORDS_NEEDED - words))
            yield Problem(path, f"the text must say {missing}")
        if unknown := words - RISK_WORDS:
            listed = ", ".join(f"{{{word}}}" for word in sorted(unknown))
            yield Problem(
                path,
                f"{listed} is not known; known are: {', '.join(sorted(RISK_WORDS))}",
            )


def text_of(encoding: str, raw: bytes) -> str:
    """Show an identification value: ASCII with its padding stripped, BCD or hex digits, a number.

    ASCII that holds unprintable bytes is shown as hex, so that nothing is lost.
    """
    if encoding == "ascii":
        text = raw.rstrip(b"\x00 ").decode("latin-1")
        return text if text.isascii() and text.isprintable() else raw.hex()
    if encoding == "uint":
        return str(int.from_bytes(raw, "big"))
    return raw.hex()
