"""The four compilers: flash, coding, restore, recovery. Pure functions; nothing here reaches a car.

Each takes what was read live from the ECU and gives the whole write as one document. A wish that
does not fit the profile is a `PlanError`, before any bus traffic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.containers.image import Image, Segment
from appliance.plans.compiled import CompiledPlan, PlanError, compiled
from appliance.plans.layout import EraseRange, lay_out
from appliance.plans.risk import risk_of
from appliance.plans.sequence import Wish, expand, restore_steps, unfill
from appliance.plans.values import (
    change_coding,
    check_length,
    live_values,
    needed,
    raw_of,
    shown,
)
from appliance.profiles.loader import LoadedProfile, check_link
from appliance.profiles.schema import (
    CodeSequence,
    CodeStep,
    EraseStep,
    FlashSequence,
    FlashStep,
    Profile,
)
from hw.agreement import sensitive_classes
from hw.plan import (
    CheckDid,
    Download,
    IdentityValue,
    Payload,
    RiskClass,
    Routine,
    Target,
    WriteDid,
    WritePlan,
    decode_plan,
    digest_of,
)

NO_CONTAINER = "none"
_OTHER_PROFILE = "Choose a profile that describes it."


@dataclass(frozen=True)
class _Work:
    """What one plan does, before it is put together."""

    loaded: LoadedProfile
    link: str
    job: str
    risk_class: RiskClass
    title: str
    what: str
    target: Target
    expected: dict[int, bytes]
    name: str
    flash: FlashSequence | None = None
    ranges: Sequence[EraseRange] = ()
    code: CodeSequence | None = None
    coding: dict[int, bytes] = field(default_factory=dict)
    recovers: str = ""


def compile_flash(
    loaded: LoadedProfile,
    identity: Sequence[IdentityValue],
    image: Image,
    link: str,
    job: str,
    recovers: str = "",
) -> CompiledPlan:
    """Program the ECU with a container.

    Args:
        loaded: profile of the ECU.
        identity: identification values as read live from the ECU.
        image: the container, read and checked.
        link: URI of the link to the ECU.
        job: id of the job.
        recovers: digest of the unfinished plan that this one finishes, else empty. With it the
            profile's `recover` steps are used instead of `flash`.

    Raises:
        PlanError: the file or the ECU does not fit the profile; nothing was sent.
    """
    profile = loaded.profile
    sequence = _sequence(profile, profile.recover if recovers else profile.flash)
    live = live_values(identity)
    demanded = _demanded(profile, live, image)
    ranges = lay_out(profile, image.segments, image.erase)
    work = _Work(
        loaded=loaded,
        link=link,
        job=job,
        risk_class="programming",
        title=f"Program {profile.ecu} with {image.name}",
        what=_flash_text(image.name, ranges),
        target=_target(profile, live, link, enters_boot=True),
        expected=_identifying(profile, live) | _set_by(profile, image),
        name=image.name,
        flash=sequence,
        ranges=ranges,
        recovers=recovers,
    )
    checks = (*image.checks, f"SHA-256 of {image.name}", "blocks inside the profile's regions")
    return _assemble(work, image.kind, image.sha256, checks, demanded)


def compile_coding(
    loaded: LoadedProfile,
    identity: Sequence[IdentityValue],
    current: Mapping[int, bytes],
    changes: Sequence[str],
    link: str,
    job: str,
) -> CompiledPlan:
    """Change coding: read-modify-write of labelled fields.

    Args:
        loaded: profile of the ECU.
        identity: identification values as read live.
        current: coding DIDs as read live; every bit that no change names stays as it is here.
        changes: `DID.FIELD=VALUE` each, or `DID.raw=HEX`.
        link: URI of the link to the ECU.
        job: id of the job.

    Raises:
        PlanError: an unknown DID, field or value (what exists is listed), or nothing to change.
    """
    profile = loaded.profile
    sequence = _code_sequence(profile)
    live = live_values(identity)
    demanded = _demanded(profile, live, None)
    coding = change_coding(profile, dict(current), changes)
    demanded |= {did: current[did].hex() for did in coding}
    work = _Work(
        loaded=loaded,
        link=link,
        job=job,
        risk_class="coding",
        title=f"Code {profile.ecu}: {', '.join(change.strip() for change in changes)}",
        what=_coding_text(coding, current),
        target=_target(profile, live, link, enters_boot=False),
        expected=_identifying(profile, live),
        name="coding",
        code=sequence,
        coding=coding,
    )
    checks = ("values inside the profile's fields", "every other bit as read from the ECU")
    return _assemble(work, NO_CONTAINER, "", checks, demanded)


def compile_restore(
    loaded: LoadedProfile,
    identity: Sequence[IdentityValue],
    link: str,
    job: str,
    *,
    source: str,
    coding: Mapping[int, bytes] | None = None,
    memory: Mapping[str, bytes] | None = None,
) -> CompiledPlan:
    """Give an ECU back what a backup holds: memory first, then coding.

    Args:
        loaded: profile of the ECU.
        identity: identification values as read live; the caller has compared the backup's.
        link: URI of the link to the ECU.
        job: id of the job.
        source: name of the backup, for title and risk text.
        coding: coding DIDs of the snapshot.
        memory: whole regions of the image by their names in the profile; `writable_regions` says
            which of a backup's regions can be given back.

    Raises:
        PlanError: the backup holds what the profile does not know or does not write.
    """
    profile = loaded.profile
    live = live_values(identity)
    coded = _snapshot(profile, coding or {})
    segments = _region_segments(profile, memory or {})
    if not coded and not segments:
        raise PlanError("There is nothing to restore.", "Choose another backup.")
    ranges = lay_out(profile, segments)
    texts = [_flash_text(f"the backup {source}", ranges)] if ranges else []
    texts += [_coding_text(coded, {})] if coded else []
    work = _Work(
        loaded=loaded,
        link=link,
        job=job,
        risk_class="restore",
        title=f"Restore {profile.ecu} from the backup {source}",
        what=" ".join(texts),
        target=_target(profile, live, link, enters_boot=bool(ranges)),
        expected=_identifying(profile, live),
        name=source,
        flash=_sequence(profile, profile.flash) if ranges else None,
        ranges=ranges,
        code=_code_sequence(profile) if coded else None,
        coding=coded,
    )
    checks = (f"content of the backup {source}", "lengths as in the profile")
    return _assemble(work, NO_CONTAINER, "", checks, _demanded(profile, live, None))


def compile_recovery(
    loaded: LoadedProfile,
    original: bytes,
    payload: bytes,
    boot_identity: Sequence[IdentityValue],
    link: str = "",
) -> CompiledPlan:
    """Finish an interrupted write: enter the boot loader, erase, write the same payload, check.

    Works whether the ECU is in its boot loader or still in the application; an original that only
    coded is coded again. All that is checked at the end is what the original would have checked.

    Args:
        loaded: profile of the ECU.
        original: canonical document of the unfinished plan (or of a recovery that did not finish).
        payload: its payload file.
        boot_identity: the DIDs of the plan's `target.boot_identity` as read live.
        link: URI of the link now, where it differs from the original's.

    Raises:
        PlanError: another ECU is on the cable, or payload or profile are not the original's.
    """
    plan = decode_plan(original)
    profile = loaded.profile
    _check_same(profile, plan, payload, live_values(boot_identity))
    ranges = lay_out(profile, _segments_of(plan, payload), _erased_by(plan, profile))
    coding = {
        step.did: bytes.fromhex(step.data)
        for step in plan.steps
        if isinstance(step, WriteDid) and profile.coding_by_did(step.did) is not None
    }
    target = Target(
        ecu=plan.target.ecu,
        link=link or plan.target.link,
        identity=plan.target.identity,
        boot_identity=plan.target.boot_identity,
    )
    what = [_flash_text("the interrupted write", ranges)] if ranges else []
    what += [_coding_text(coding, {})] if coding else []
    work = _Work(
        loaded=loaded,
        link=target.link,
        job=plan.job,
        risk_class=plan.risk.risk_class,
        title=f"Recover: {plan.title.removeprefix('Recover: ')}",
        what=f"This finishes the interrupted write {digest_of(original)[:16]}. {' '.join(what)}",
        target=target,
        expected=_expected_by(plan, coding),
        name="recovery",
        flash=_sequence(profile, profile.recover) if ranges else None,
        ranges=ranges,
        code=_code_sequence(profile) if coding else None,
        coding=coding,
        # A recovery of a recovery still finishes the first plan, for which the journal waits.
        recovers=plan.recovers or digest_of(original),
    )
    checks = ("payload as in the interrupted plan", "boot identification as in the plan")
    return _assemble(work, NO_CONTAINER, "", checks, {})


def fit_container(profile: Profile, image: Image) -> list[EraseRange]:
    """What a container would erase and write, by the profile alone: no ECU is asked.

    Raises:
        PlanError: it does not fit, so that no plan could be made of it for any ECU.
    """
    _sequence(profile, profile.flash)
    _set_by(profile, image)
    return lay_out(profile, image.segments, image.erase)


def writable_regions(profile: Profile) -> list[str]:
    """Names of the regions that a restore can write."""
    return [region.name for region in profile.memory if region.write] if profile.flash else []


# Putting a plan together --------------------------------------------------------------------------


def _assemble(
    work: _Work,
    container: str,
    container_sha256: str,
    checks: tuple[str, ...],
    demanded: dict[int, str],
) -> CompiledPlan:
    profile = work.loaded.profile
    check_link(profile, work.link)
    if profile.voltage is None:
        raise PlanError(f"The profile {profile.name} is for reading only.", _OTHER_PROFILE)
    payload = b"".join(segment.data for one in work.ranges for segment in one.segments)
    sequences = _profile_steps(work)
    wish = Wish(
        profile=profile,
        job=work.job,
        written_sha256=_sha256(payload or b"".join(work.coding.values())),
        expected=work.expected,
        ranges=work.ranges,
        coding=work.coding,
    )
    steps = [made for sequence in sequences for made in expand(sequence, wish)]
    risk_class = _risk_class(work, sensitive_classes(steps, profile.sensitive))
    plan = WritePlan(
        format="fieldkit-plan/1",
        job=work.job,
        title=work.title,
        risk=risk_of(profile, risk_class, job=work.job, what=work.what, ranges=work.ranges),
        profile=profile.name,
        profile_sha256=work.loaded.sha256,
        target=work.target,
        window=profile.voltage,
        timing=profile.timing,
        payloads=[_payload(work.name, segment) for segment in wish.segments],
        steps=steps,
        restore=restore_steps([step for sequence in sequences for step in sequence]),
        recovers=work.recovers,
    )
    return compiled(
        plan,
        payload,
        container=container,
        container_sha256=container_sha256,
        checks=checks,
        demanded=demanded,
    )


def _risk_class(work: _Work, touched: set[RiskClass]) -> RiskClass:
    """The class whose text is read: that of the sensitive part, where one is touched.

    A restore stays one: its text says what is given back, and hw demands the agreements all the
    same.
    """
    if not touched or work.risk_class == "restore":
        return work.risk_class
    if len(touched) > 1:
        raise PlanError(
            f"This would be {' and '.join(sorted(touched))} in one write, and each has a risk of "
            "its own.",
            "Make a plan for each of them.",
        )
    return touched.pop()


def _profile_steps(work: _Work) -> list[Sequence[FlashStep | CodeStep]]:
    sequences: list[Sequence[FlashStep | CodeStep]] = []
    if work.flash is not None:
        sequences.append(work.flash.steps)
    if work.code is not None:
        sequences.append(work.code.steps)
    return sequences


def _payload(name: str, segment: Segment) -> Payload:
    return Payload(
        name=f"{name} at 0x{segment.address:08X}",
        size=len(segment.data),
        sha256=_sha256(segment.data),
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sequence(profile: Profile, sequence: FlashSequence | None) -> FlashSequence:
    if sequence is None:
        raise PlanError(
            f"The profile {profile.name} does not say how the {profile.ecu} is programmed.",
            _OTHER_PROFILE,
        )
    return sequence


def _code_sequence(profile: Profile) -> CodeSequence:
    if profile.code is None:
        raise PlanError(
            f"The profile {profile.name} does not say how the {profile.ecu} is coded.",
            _OTHER_PROFILE,
        )
    return profile.code


# Identity and compatibility -----------------------------------------------------------------------


def _target(profile: Profile, live: dict[int, bytes], link: str, *, enters_boot: bool) -> Target:
    """The ECU. A write that never enters the boot loader is recovered under the whole identity."""
    identity = _identifying(profile, live)
    boot = {entry.did: needed(entry, live) for entry in profile.boot_identifying}
    return Target(
        ecu=profile.ecu,
        link=link,
        identity=_values(identity),
        boot_identity=_values(boot if enters_boot else identity),
    )


def _values(values: dict[int, bytes]) -> list[IdentityValue]:
    return [IdentityValue(did=did, value=raw.hex()) for did, raw in sorted(values.items())]


def _identifying(profile: Profile, live: dict[int, bytes]) -> dict[int, bytes]:
    if not profile.identifying:
        raise PlanError(
            f"The profile {profile.name} cannot tell one ECU from another.", _OTHER_PROFILE
        )
    return {entry.did: needed(entry, live) for entry in profile.identifying}


def _demanded(profile: Profile, live: dict[int, bytes], image: Image | None) -> dict[int, str]:
    """Compare what profile and container demand with the live values; give the values compared."""
    demanded: dict[int, str] = {}
    for rule in profile.compatibility:
        entry = profile.identification_by_did(rule.did)
        if entry is None:
            continue  # The loader refuses such a profile.
        value = needed(entry, live)
        _demand(entry.label, rule.did, shown(entry, value), rule.allowed)
        demanded[rule.did] = value.hex()
    for entry in profile.identification:
        text = image.software.get(entry.container_demands) if image is not None else None
        if text is not None:
            value = needed(entry, live)
            _demand(entry.label, entry.did, shown(entry, value), [text])
            demanded[entry.did] = value.hex()
    return demanded


def _demand(label: str, did: int, found: str, allowed: Sequence[str]) -> None:
    if found not in allowed:
        raise PlanError(
            f"The ECU's {label} (0x{did:04X}) is {found!r}; this write is for "
            f"{' or '.join(repr(text) for text in allowed)}.",
            "Choose the file and the profile for this ECU.",
        )


def _set_by(profile: Profile, image: Image) -> dict[int, bytes]:
    """What the ECU must answer afterwards because the container says so."""
    return {
        entry.did: raw_of(entry, image.software[entry.container_sets])
        for entry in profile.identification
        if entry.container_sets in image.software
    }


# Restore and recovery -----------------------------------------------------------------------------


def _snapshot(profile: Profile, coding: Mapping[int, bytes]) -> dict[int, bytes]:
    for did, data in coding.items():
        entry = profile.coding_by_did(did)
        if entry is None:
            raise PlanError(
                f"The backup holds coding 0x{did:04X}, which the profile {profile.name} does not "
                "know.",
                _OTHER_PROFILE,
            )
        check_length(entry, data)
    return dict(coding)


def _region_segments(profile: Profile, memory: Mapping[str, bytes]) -> list[Segment]:
    segments = []
    for name, data in memory.items():
        region = next((one for one in profile.memory if one.name == name), None)
        if region is None or len(data) != region.size:
            raise PlanError(
                f"The backup's region {name!r} of {len(data)} bytes is not one of the profile "
                f"{profile.name}.",
                _OTHER_PROFILE,
            )
        segments.append(Segment(region.address, data, region.size))
    return segments


def _check_same(profile: Profile, plan: WritePlan, payload: bytes, live: dict[int, bytes]) -> None:
    if plan.profile != profile.name or plan.target.ecu != profile.ecu:
        raise PlanError(
            f"The interrupted plan was made with the profile {plan.profile}.",
            "Recover with that profile.",
        )
    position = 0
    for part in plan.payloads:
        if _sha256(payload[position : position + part.size]) != part.sha256:
            raise PlanError(
                f"The payload {part.name!r} is not the one of the interrupted plan.",
                "Take the payload that the kit kept with the plan.",
            )
        position += part.size
    if position != len(payload):
        raise PlanError("The payload is longer than the interrupted plan says.", "Take its own.")
    for item in plan.target.boot_identity:
        if live.get(item.did) != bytes.fromhex(item.value):
            raise PlanError(
                f"The ECU on the cable is not the one of the interrupted write: 0x{item.did:04X} "
                "reads differently or not at all.",
                "Connect the ECU that was being written.",
            )


def _segments_of(plan: WritePlan, payload: bytes) -> list[Segment]:
    starts, position = [], 0
    for part in plan.payloads:
        starts.append(position)
        position += part.size
    return [
        Segment(
            step.address,
            payload[starts[step.payload] : starts[step.payload] + plan.payloads[step.payload].size],
            step.uncompressed_size,
            step.data_format,
        )
        for step in plan.steps
        if isinstance(step, Download)
    ]


def _erased_by(plan: WritePlan, profile: Profile) -> tuple[tuple[int, int], ...]:
    """The ranges that the interrupted plan erased, read back through the profile's own template."""
    if profile.flash is None:
        return ()
    template = next(step.option for step in profile.flash.steps if isinstance(step, EraseStep))
    ranges = []
    for step in plan.steps:
        if isinstance(step, Routine) and step.purpose == "erase":
            values = unfill(template, step.option)
            if "address" in values and "length" in values:
                ranges.append((values["address"], values["length"]))
    return tuple(dict.fromkeys(ranges))


def _expected_by(plan: WritePlan, coding: Mapping[int, bytes]) -> dict[int, bytes]:
    """What the interrupted plan would have checked at its end, apart from the coding itself."""
    checks = [step for step in plan.steps if isinstance(step, CheckDid) and step.did not in coding]
    return {step.did: bytes.fromhex(step.expect) for step in checks}


# Words --------------------------------------------------------------------------------------------


def _flash_text(source: str, ranges: Sequence[EraseRange]) -> str:
    """What is programmed: source, places, sizes and SHA-256 of the payload."""
    payload = b"".join(segment.data for one in ranges for segment in one.segments)
    places = ", ".join(
        f"{one.length} bytes from 0x{one.address:08X} ({one.region.name})" for one in ranges
    )
    return (
        f"From {source}, {len(payload)} bytes with SHA-256 {_sha256(payload)} are written; "
        f"erased before: {places}."
    )


def _coding_text(coding: Mapping[int, bytes], current: Mapping[int, bytes]) -> str:
    """What is coded: each DID, old and new value, and the SHA-256 of the new values."""
    changes = []
    for did, data in sorted(coding.items()):
        before = f" (now {current[did].hex()})" if did in current else ""
        changes.append(f"0x{did:04X} becomes {data.hex()}{before}")
    digest = _sha256(b"".join(data for _, data in sorted(coding.items())))
    return f"{'; '.join(changes)}; SHA-256 of the new values {digest}."
