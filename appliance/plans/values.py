"""Values of DIDs: identification as text, coding as labelled fields."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.plans.compiled import PlanError
from appliance.profiles.schema import Coding, Field, Identification, Profile, text_of
from hw.plan import IdentityValue

RAW = "raw"


def live_values(identity: Iterable[IdentityValue]) -> dict[int, bytes]:
    """Identification values as read from the ECU, by DID."""
    return {item.did: bytes.fromhex(item.value) for item in identity}


def needed(entry: Identification, live: dict[int, bytes]) -> bytes:
    """The live value of an identification DID.

    Raises:
        PlanError: it was not read.
    """
    value = live.get(entry.did)
    if value is None:
        raise PlanError(
            f"The ECU's {entry.label} (0x{entry.did:04X}) was not read, and a plan needs it.",
            "Identify the ECU again, over the same link.",
        )
    return value


def raw_of(entry: Identification, text: str) -> bytes:
    """An identification value from its text, the other way of `schema.text_of`.

    Raises:
        PlanError: the text is not one of this DID's encoding and length.
    """
    try:
        raw = _encode(entry, text)
    except (ValueError, OverflowError) as error:
        raise _not_a_value(entry, text) from error
    if entry.length and len(raw) != entry.length:
        raise _not_a_value(entry, text)
    return raw


def _encode(entry: Identification, text: str) -> bytes:
    if entry.encoding == "ascii":
        return text.encode("ascii")
    if entry.encoding == "uint":
        return int(text).to_bytes(entry.length, "big")
    return bytes.fromhex(text)


def _not_a_value(entry: Identification, text: str) -> PlanError:
    length = f" of {entry.length} bytes" if entry.length else ""
    return PlanError(
        f"{text!r} is not a value of {entry.label} (0x{entry.did:04X}): {entry.encoding}{length}.",
        "Check the file and the profile.",
    )


def shown(entry: Identification, raw: bytes) -> str:
    """An identification value as a person reads it."""
    return text_of(entry.encoding, raw)


# Coding -------------------------------------------------------------------------------------------


def read_field(field: Field, data: bytes) -> str:
    """A field of a coding DID as a person reads it: its word, or its number with unit.

    A number for which the profile has no word is shown as `0x..`.
    """
    raw = (_window(field, data) & field.mask) >> field.bit
    if field.values:
        return next((word for word, value in field.values.items() if value == raw), f"0x{raw:x}")
    number = f"{raw * field.scale + field.offset:.10g}"
    return f"{number} {field.unit}".strip()


def _window(field: Field, data: bytes) -> int:
    return int.from_bytes(data[field.byte : field.byte + field.byte_count], "big")


def write_field(field: Field, data: bytes, text: str) -> bytes:
    """`data` with one field changed, every other bit as it was.

    Raises:
        PlanError: the field does not know this value; the sentence lists what it knows.
    """
    raw = _raw_value(field, text)
    changed = _window(field, data) & ~field.mask | raw << field.bit
    end = field.byte + field.byte_count
    return data[: field.byte] + changed.to_bytes(field.byte_count, "big") + data[end:]


def _raw_value(field: Field, text: str) -> int:
    if field.values:
        if text not in field.values:
            raise _unknown_value(field, text, f"one of: {', '.join(field.values)}")
        return field.values[text]
    low, high = field.min or 0.0, field.max or 0.0
    allowed = f"a number from {low:g} to {high:g} {field.unit}".rstrip()
    try:
        number = float(text)
    except ValueError as error:
        raise _unknown_value(field, text, allowed) from error
    if not low <= number <= high:
        raise _unknown_value(field, text, allowed)
    steps = (number - field.offset) / field.scale
    raw = round(steps)
    if abs(steps - raw) > 1e-6 or not 0 <= raw < 1 << field.width:
        raise _unknown_value(field, text, f"{allowed}, in steps of {abs(field.scale):g}")
    return raw


def _unknown_value(field: Field, text: str, known: str) -> PlanError:
    return PlanError(f"{field.name} cannot be {text!r}.", f"Name {known}.")


def change_coding(
    profile: Profile, current: dict[int, bytes], changes: Iterable[str]
) -> dict[int, bytes]:
    """Read, modify: the new value of every coding DID that the changes alter.

    Args:
        profile: of the ECU.
        current: live values of the coding DIDs.
        changes: `DID.FIELD=VALUE` each; DID is a name or a number such as 0x0600, FIELD a field's
            name or `raw` for the whole DID in hex.

    Raises:
        PlanError: an unknown DID, field or value, or nothing would change.
    """
    new: dict[int, bytes] = {}
    for change in changes:
        entry, field_name, value = _parse_change(profile, change)
        before = new.get(entry.did, current.get(entry.did))
        if before is None:
            raise PlanError(
                f"The coding 0x{entry.did:04X} was not read from the ECU.",
                "Read it, then try again.",
            )
        check_length(entry, before)
        new[entry.did] = _changed(entry, field_name, before, value)
    altered = {did: data for did, data in new.items() if data != current[did]}
    if not altered:
        raise PlanError("The ECU is coded in this way already.", "Nothing has to be written.")
    return altered


def _changed(entry: Coding, field_name: str, before: bytes, value: str) -> bytes:
    if field_name == RAW:
        return _raw_coding(entry, value)
    field = next((one for one in entry.fields if one.name == field_name), None)
    if field is None:
        known = ", ".join([one.name for one in entry.fields] + [RAW])
        raise PlanError(
            f"The coding 0x{entry.did:04X} has no field {field_name!r}.", f"Name one of: {known}."
        )
    return write_field(field, before, value)


def _raw_coding(entry: Coding, value: str) -> bytes:
    try:
        data = bytes.fromhex(value)
    except ValueError as error:
        raise PlanError(f"{value!r} is not hexadecimal.", "Write it as in raw=0a1b.") from error
    check_length(entry, data)
    return data


def check_length(entry: Coding, data: bytes) -> None:
    """Hold a coding value against the length in the profile.

    Raises:
        PlanError: it is longer or shorter, so the profile describes another ECU.
    """
    if len(data) != entry.length:
        raise PlanError(
            f"The coding 0x{entry.did:04X} has {entry.length} bytes, not {len(data)}.",
            "Check that the profile is the one of this ECU.",
        )


def _parse_change(profile: Profile, change: str) -> tuple[Coding, str, str]:
    where, equals, value = change.partition("=")
    did_text, dot, field_name = where.strip().partition(".")
    if not equals or not dot or not field_name or not value.strip():
        raise PlanError(f"{change!r} is not a change of coding.", "Write it as DID.FIELD=VALUE.")
    for entry in profile.coding:
        if did_text == entry.name or _number(did_text) == entry.did:
            return entry, field_name, value.strip()
    known = ", ".join(f"0x{entry.did:04X} ({entry.name})" for entry in profile.coding)
    raise PlanError(
        f"The profile {profile.name} has no coding {did_text!r}.",
        f"Name one of: {known}." if known else "Choose a profile with coding DIDs.",
    )


def _number(text: str) -> int | None:
    try:
        return int(text, 16) if text.lower().startswith("0x") else None
    except ValueError:
        return None
