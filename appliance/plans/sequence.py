"""From a profile's steps to a plan's: every placeholder filled in, every range and block named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from appliance.containers.image import Segment
from appliance.plans.compiled import PlanError
from appliance.plans.layout import EraseRange
from appliance.profiles.schema import (
    PLACEHOLDER,
    CheckCodingStep,
    CheckDependenciesStep,
    CheckIdentityStep,
    CheckMemoryStep,
    CodeStep,
    CommunicationControlStep,
    DownloadStep,
    DtcSettingStep,
    EraseStep,
    FlashStep,
    Profile,
    ReadBackStep,
    ResetStep,
    RoutineStep,
    SessionStep,
    UnlockStep,
    WaitStep,
    WriteCodingStep,
    WriteDidStep,
)
from hw.plan import (
    CheckDid,
    CommunicationControl,
    Download,
    DtcSetting,
    ReadBack,
    Reset,
    RestoreStep,
    Routine,
    Session,
    Step,
    TransferExit,
    Unlock,
    Wait,
    WriteDid,
)

_PROFILE_WRONG = "Ask the workshop for a corrected profile."


@dataclass(frozen=True)
class Wish:
    """What a sequence is filled in with.

    `expected` holds what identification DIDs must answer at the end; `written_sha256` is the digest
    of everything that is written, for the fingerprint.
    """

    profile: Profile
    job: str
    written_sha256: str
    expected: dict[int, bytes]
    ranges: Sequence[EraseRange] = ()
    coding: dict[int, bytes] = field(default_factory=dict)

    @property
    def segments(self) -> list[Segment]:
        """All blocks, in the order in which they are written: that of the payload file."""
        return [segment for one in self.ranges for segment in one.segments]


def expand(steps: Sequence[FlashStep | CodeStep], wish: Wish) -> list[Step]:
    """The plan's steps for a sequence of the profile.

    Raises:
        PlanError: a step needs what the profile or the file does not give.
    """
    kinds = [type(step) for step in steps]
    if EraseStep not in kinds:
        return [made for step in steps for made in _expand(step, wish, ())]
    first, last = kinds.index(EraseStep), kinds.index(CheckMemoryStep)
    numbered = _numbered(wish.ranges)
    plan = [made for step in steps[:first] for made in _expand(step, wish, numbered)]
    for one in numbered:
        # Range by range: an ECU checks what it has before the next part is erased.
        plan += [made for step in steps[first : last + 1] for made in _expand(step, wish, (one,))]
    return plan + [made for step in steps[last + 1 :] for made in _expand(step, wish, numbered)]


Numbered = tuple[EraseRange, int]
"""A range, and the index of its first block among the payloads."""


def _numbered(ranges: Sequence[EraseRange]) -> tuple[Numbered, ...]:
    numbered, index = [], 0
    for one in ranges:
        numbered.append((one, index))
        index += len(one.segments)
    return tuple(numbered)


RangeStep = EraseStep | CheckMemoryStep | DownloadStep | ReadBackStep
DidStep = WriteCodingStep | CheckCodingStep | CheckIdentityStep
AccessStep = SessionStep | UnlockStep
SilenceStep = DtcSettingStep | CommunicationControlStep


def _expand(step: FlashStep | CodeStep, wish: Wish, ranges: Sequence[Numbered]) -> list[Step]:
    if isinstance(step, RangeStep):
        return [made for one, first in ranges for made in _of_range(step, one, first)]
    if isinstance(step, DidStep):
        return _of_dids(step, wish)
    return [_single(step, wish)]


def _of_range(step: RangeStep, one: EraseRange, first: int) -> Iterator[Step]:
    match step:
        case EraseStep() | CheckMemoryStep():
            yield _range_routine(step, one)
        case DownloadStep():
            yield from _downloads(step, one, first)
        case ReadBackStep():
            yield from _read_back(one)


def _of_dids(step: DidStep, wish: Wish) -> list[Step]:
    values = wish.expected if isinstance(step, CheckIdentityStep) else wish.coding
    if isinstance(step, WriteCodingStep):
        return [WriteDid(did=did, data=data.hex()) for did, data in sorted(values.items())]
    return [CheckDid(did=did, expect=data.hex()) for did, data in sorted(values.items())]


def _single(
    step: AccessStep
    | SilenceStep
    | WriteDidStep
    | CheckDependenciesStep
    | RoutineStep
    | ResetStep
    | WaitStep,
    wish: Wish,
) -> Step:
    if isinstance(step, AccessStep):
        return _access(step, wish.profile)
    if isinstance(step, SilenceStep):
        return _silence(step)
    match step:
        case WriteDidStep():
            return WriteDid(did=step.did, data=_fill(step.data, _job_values(wish)))
        case CheckDependenciesStep() | RoutineStep():
            return _plain_routine(step)
        case ResetStep():
            return Reset(reset_type=step.reset_type)
        case WaitStep():
            return Wait(min_s=step.min_s, max_s=step.max_s)


def _access(step: AccessStep, profile: Profile) -> Session | Unlock:
    return _session(step, profile) if isinstance(step, SessionStep) else _unlock(step, profile)


def _silence(step: SilenceStep) -> RestoreStep:
    if isinstance(step, DtcSettingStep):
        return DtcSetting(setting=step.setting)
    return CommunicationControl(
        control_type=step.control_type, communication_type=step.communication_type
    )


def _session(step: SessionStep, profile: Profile) -> Session:
    value = profile.sessions.value(step.session)
    if value is None:
        raise PlanError(f"The profile has no {step.session} session.", _PROFILE_WRONG)
    return Session(session=value)


def _unlock(step: UnlockStep, profile: Profile) -> Unlock:
    security = profile.security_for(step.purpose)
    if security is None:
        raise PlanError(f"The profile cannot unlock for {step.purpose}.", _PROFILE_WRONG)
    return Unlock(level=security.level, provider=security.provider, params=security.params)


def _plain_routine(step: CheckDependenciesStep | RoutineStep) -> Routine:
    is_check = isinstance(step, CheckDependenciesStep)
    return Routine(
        sub_function=step.sub_function,
        rid=step.rid,
        option=step.option,
        expect=step.expect,
        purpose="check_dependencies" if is_check else "other",
        timeout_s=step.timeout_s,
    )


def _range_routine(step: EraseStep | CheckMemoryStep, one: EraseRange) -> Routine:
    values: dict[str, int | None] = {
        "address": one.address,
        "length": one.length,
        "crc32": one.crc32,
    }
    return Routine(
        sub_function=step.sub_function,
        rid=step.rid,
        option=_fill(step.option, values),
        expect=step.expect,
        purpose="erase" if isinstance(step, EraseStep) else "check_memory",
        timeout_s=step.timeout_s,
    )


def _downloads(step: DownloadStep, one: EraseRange, first: int) -> Iterator[Step]:
    region = one.region
    for index, segment in enumerate(one.segments, start=first):
        yield Download(
            payload=index,
            address=segment.address,
            address_width=region.address_width,
            length_width=region.length_width,
            data_format=segment.data_format,
            uncompressed_size=segment.uncompressed_size,
            max_block_length=region.write.max_block_length if region.write else 0,
        )
        yield TransferExit(option=step.exit_option)


def _read_back(one: EraseRange) -> Iterator[ReadBack]:
    """Only what can be read by address and is known byte by byte is compared."""
    read = one.region.read
    if read.method == "read_memory_by_address" and one.sha256 is not None:
        yield ReadBack(
            address=one.address,
            length=one.length,
            address_width=one.region.address_width,
            length_width=one.region.length_width,
            block_length=read.block_length,
            sha256=one.sha256,
        )


def _job_values(wish: Wish) -> dict[str, int | None]:
    digests = {"job": hashlib.sha256(wish.job.encode()).hexdigest(), "payload": wish.written_sha256}
    return {name: int(digest, 16) for name, digest in digests.items()}


def _fill(template: str, values: dict[str, int | None]) -> str:
    """Fill in `{name:N}`: a number in N bytes, big-endian; of a digest the N leading bytes."""
    filled, position = "", 0
    for found in PLACEHOLDER.finditer(template):
        name, width = found[1], int(found[2])
        filled += template[position : found.start()] + _placed(name, width, values.get(name))
        position = found.end()
    return filled + template[position:]


def _placed(name: str, width: int, value: int | None) -> str:
    if value is None:
        raise PlanError(
            f"The profile's check needs {{{name}}} of what the ECU will hold, and a block of the "
            "file is compressed or encrypted, so only the ECU knows it.",
            "Use the uncompressed file.",
        )
    if name in ("job", "payload"):
        return f"{value:064x}"[: 2 * width]
    if value >= 1 << 8 * width:
        raise PlanError(f"{{{name}:{width}}} is too narrow for 0x{value:X}.", _PROFILE_WRONG)
    return value.to_bytes(width, "big").hex()


def unfill(template: str, filled: str) -> dict[str, int]:
    """The numbers that `filled` holds in the places of the template's placeholders.

    Raises:
        PlanError: `filled` was not made from this template.
    """
    pattern, position = "", 0
    for found in PLACEHOLDER.finditer(template):
        pattern += template[position : found.start()]
        pattern += f"(?P<{found[1]}>[0-9a-f]{{{2 * int(found[2])}}})"
        position = found.end()
    matched = re.fullmatch(pattern + template[position:], filled)
    if matched is None:
        raise PlanError(
            "The profile erases in another way than when the plan was made.",
            "Use the profile that the plan was made with.",
        )
    return {name: int(text, 16) for name, text in matched.groupdict().items()}


def restore_steps(steps: Sequence[FlashStep | CodeStep]) -> list[RestoreStep]:
    """What undoes each 0x28 and 0x85 of a sequence, last one first."""
    restore: list[RestoreStep] = []
    for step in reversed(steps):
        undo: RestoreStep
        if isinstance(step, CommunicationControlStep):
            undo = CommunicationControl(
                control_type=step.restore, communication_type=step.communication_type
            )
        elif isinstance(step, DtcSettingStep):
            undo = DtcSetting(setting=step.restore)
        else:
            continue
        if undo not in restore:
            restore.append(undo)
    return restore
