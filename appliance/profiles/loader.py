"""Read profiles: signature first, then every field, and an error that points at file, line and key.

A profile lies in `$STATE/profiles/NAME.toml` with `NAME.toml.sig` beside it, an SSHSIG by the
principal `workshop` in the namespace `hw.statements.NAMESPACE_PROFILE`. An unsigned profile is not
read: it decides what is sent to a car.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import msgspec

from appliance.profiles.locate import line_of
from appliance.profiles.schema import KeyPath, Make, Profile, problems
from hw.errors import BadInputError, UsageError
from hw.plan import VoltageWindow
from hw.sshsig import AllowedSigners, SignatureError, verify
from hw.statements import NAMESPACE_PROFILE

WORKSHOP = "workshop"
_DATA = Path(__file__).parent / "data"
_WINDOWS = "voltage-windows"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MAX_PROFILE_SIZE = 4 * 1024 * 1024
_ASK_WORKSHOP = "Ask the workshop for the signed profile and put both files side by side."
_SPELLED_OUT: dict[str, type[msgspec.Struct]] = {"voltage": VoltageWindow}


@dataclass(frozen=True)
class LoadedProfile:
    """A profile whose signature was verified, its file and the SHA-256 of that file."""

    profile: Profile
    path: Path
    sha256: str


class ProfileError(BadInputError):
    """A profile has a wrong field; the sentence names file, line, key and reason."""

    code = "profile"


class ProfileNotSigned(BadInputError):
    """A profile is not signed by the workshop, so nothing in it is used."""

    code = "profile_not_signed"


def shipped_names() -> list[str]:
    """Names of the profiles that come with the kit."""
    return sorted(path.stem for path in _DATA.glob("*.toml") if path.stem != _WINDOWS)


def install_shipped_profiles(state: Path, sign: Callable[[bytes], bytes]) -> list[Path]:
    """Copy the shipped profiles to `$STATE/profiles` and sign them.

    The signature is written before the profile is put in place, so that a crash between the two
    leaves a profile that is refused rather than one that is half trusted.

    Args:
        state: the kit's state folder.
        sign: gives the armoured SSHSIG of the bytes by the workshop's key, in the namespace
            `hw.statements.NAMESPACE_PROFILE`.

    Returns:
        The paths of the installed profiles.
    """
    folder = state / "profiles"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    installed = []
    for name in shipped_names():
        document = (_DATA / f"{name}.toml").read_bytes()
        path = folder / f"{name}.toml"
        _put(signature_path(path), sign(document))
        _put(path, document)
        installed.append(path)
    return installed


def install_profile(state: Path, name: str, document: bytes, signature: bytes) -> Path:
    """Put a signed profile in place of what this kit had under its name.

    Args:
        state: the kit's state folder.
        name: what the profile must be called.
        document: its TOML text.
        signature: the workshop's armoured SSHSIG over it.

    Raises:
        ProfileNotSigned: the workshop that this kit trusts did not sign it.
        ProfileError: a field is wrong, or it has another name.
        OSError: the folder cannot be written.
    """
    path = profile_path(state, name)
    _check_signature(document, signature, path, state)
    _check_name(parse_profile(document, path), name, document, path)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # The signature first, as in `install_shipped_profiles`.
    _put(signature_path(path), signature)
    _put(path, document)
    return path


def remove_profile(state: Path, name: str) -> None:
    """Take a profile off this kit; one that is not there is no error.

    Raises:
        OSError: the folder cannot be written.
    """
    path = profile_path(state, name)
    path.unlink(missing_ok=True)
    signature_path(path).unlink(missing_ok=True)


def profile_path(state: Path, name: str) -> Path:
    """Where the profile of a name lies on a kit.

    Raises:
        BadInputError: no profile can have that name.
    """
    return state / "profiles" / f"{checked_profile_name(name)}.toml"


def checked_profile_name(name: str) -> str:
    """A profile's name.

    Raises:
        BadInputError: no profile can have it.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInputError(
            f"No profile can be called '{name[:80]}'.",
            "Use small letters, digits, dashes and underscores.",
        )
    return name


def _put(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def signature_path(profile: Path) -> Path:
    """Where the signature of a profile lies."""
    return profile.with_name(f"{profile.name}.sig")


def load_profile(name_or_file: str, state: Path) -> LoadedProfile:
    """Read a profile by name from `$STATE/profiles`, or from a file.

    Args:
        name_or_file: a name such as `sim-engine`, or the path of a `.toml` file.
        state: the kit's state folder, whose `trust/allowed_signers` names the workshop's key.

    Raises:
        ProfileNotSigned: no signature, or none by the workshop over exactly this file.
        ProfileError: a field is wrong.
        BadInputError: there is no such profile, or it cannot be read.
    """
    is_name = _NAME.fullmatch(name_or_file) is not None
    path = state / "profiles" / f"{name_or_file}.toml" if is_name else Path(name_or_file)
    document = _read(path, state)
    _verify(document, path, state)
    profile = parse_profile(document, path)
    if is_name:
        _check_name(profile, name_or_file, document, path)
    return LoadedProfile(profile, path, hashlib.sha256(document).hexdigest())


def _check_name(profile: Profile, name: str, document: bytes, path: Path) -> None:
    if profile.name != name:
        line = line_of(document.decode(), ("name",))
        raise _wrong(path, line, ("name",), f"the file is named {name!r}, the profile is not")


def _read(path: Path, state: Path) -> bytes:
    try:
        with path.open("rb") as file:
            document = file.read(_MAX_PROFILE_SIZE + 1)
    except FileNotFoundError as error:
        known = ", ".join(sorted(entry.stem for entry in (state / "profiles").glob("*.toml")))
        raise BadInputError(
            f"There is no profile {path}.",
            f"Name one of these: {known}." if known else "Run 'fieldkit init' to install profiles.",
        ) from error
    except OSError as error:
        raise BadInputError(
            f"The profile {path} cannot be read: {error.strerror}.",
            "Check the file, then try again.",
        ) from error
    if len(document) > _MAX_PROFILE_SIZE:
        raise BadInputError(
            f"The profile {path} is larger than {_MAX_PROFILE_SIZE} bytes.", "Name a profile file."
        )
    return document


def _verify(document: bytes, path: Path, state: Path) -> None:
    signature_file = signature_path(path)
    try:
        signature = signature_file.read_bytes()
    except OSError as error:
        raise ProfileNotSigned(
            f"The profile {path} is not signed: {signature_file.name} {_cannot(error)}.",
            _ASK_WORKSHOP,
        ) from error
    _check_signature(document, signature, path, state)


def _check_signature(document: bytes, signature: bytes, path: Path, state: Path) -> None:
    try:
        signers = AllowedSigners.load(state / "trust" / "allowed_signers")
        principal = verify(document, signature, NAMESPACE_PROFILE, signers)
    except SignatureError as error:
        raise ProfileNotSigned(
            f"The signature of the profile {path} does not hold: {error.what}", _ASK_WORKSHOP
        ) from error
    if principal != WORKSHOP:
        raise ProfileNotSigned(
            f"The profile {path} is signed by {principal!r}, not by the workshop.",
            _ASK_WORKSHOP,
        )


def _cannot(error: OSError) -> str:
    return (
        "is missing"
        if isinstance(error, FileNotFoundError)
        else f"cannot be read ({error.strerror})"
    )


# Fields -------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def parse_profile(document: bytes, path: Path) -> Profile:
    """Decode and check a profile; `path` is only named in errors. No signature is looked at.

    The same bytes are decoded once: each step of a job asks for the profile, and TOML is slow.

    Raises:
        ProfileError: the first wrong field, with file, line, key and reason.
    """
    try:
        text = document.decode()
    except UnicodeDecodeError as error:
        line = document[: error.start].count(b"\n") + 1
        raise _wrong(path, line, (), "the file is not UTF-8 text") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, _toml_line(str(error), text), (), f"not TOML: {error}") from error
    try:
        profile = msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        key, reason = _location(str(error))
        raise _wrong(path, line_of(text, key), key, reason) from error
    for key, reason in _further_problems(profile, values):
        raise _wrong(path, line_of(text, key), key, reason)
    return profile


def _further_problems(profile: Profile, values: dict[str, object]) -> list[tuple[KeyPath, str]]:
    """All rules beyond the types: spelled-out tables, the make's window, ties between parts."""
    found: list[tuple[KeyPath, str]] = []
    for table, struct in _SPELLED_OUT.items():
        given = values.get(table)
        if isinstance(given, dict):
            missing = [name for name in struct.__struct_fields__ if name not in given]
            found += [((table,), f"{name} must be spelled out") for name in missing]
    found += _make_problems(profile)
    return found + [(problem.path, problem.reason) for problem in problems(profile)]


def _make_problems(profile: Profile) -> list[tuple[KeyPath, str]]:
    if profile.make is None or profile.voltage is None:
        return []
    own, published = profile.voltage, make_windows()[profile.make]
    found: list[tuple[KeyPath, str]] = []
    if own.start_min_v < published.start_min_v:
        found.append((("voltage", "start_min_v"), _outside(profile.make, published)))
    if own.start_max_v > published.start_max_v:
        found.append((("voltage", "start_max_v"), _outside(profile.make, published)))
    return found


def _outside(make: str, window: VoltageWindow) -> str:
    return f"{make} publishes {window.start_min_v:g} to {window.start_max_v:g} V"


def _toml_line(message: str, text: str) -> int:
    found = re.search(r"at line (\d+)", message)
    return int(found[1]) if found else text.count("\n") + 1


def _location(message: str) -> tuple[KeyPath, str]:
    """Split msgspec's `reason - at `$.a[0].b`` into the key's path and the reason."""
    reason, _, where = message.partition(" - at `")
    path: list[str | int] = []
    for name, index in re.findall(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]", where):
        path.append(int(index) if index else name)
    if named := re.search(r"(?:unknown|missing required) field `([^`]+)`", reason):
        path.append(named[1])
    return tuple(path), reason[:1].lower() + reason[1:]


def _wrong(path: Path, line: int, key: KeyPath, reason: str) -> ProfileError:
    named = f", key {_dotted(key)}" if key else ""
    return ProfileError(
        f"The profile {path} is wrong at line {line}{named}: {reason}.",
        "Correct that line, have the workshop sign the file again, then try again.",
    )


def _dotted(key: KeyPath) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


# Voltage windows per make -------------------------------------------------------------------------


@cache
def make_windows() -> dict[str, VoltageWindow]:
    """The supply window per make, from `data/voltage-windows.toml`, where the source is named.

    Raises:
        BadInputError: the installed data file is damaged.
    """
    path = _DATA / f"{_WINDOWS}.toml"
    try:
        values = tomllib.loads(path.read_text())
        windows = msgspec.convert(values, dict[Make, VoltageWindow])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInputError(
            f"The voltage windows {path} cannot be read: {error}.", "Install the field kit again."
        ) from error
    if set(windows) != set(get_args(Make)):
        raise BadInputError(
            f"The voltage windows {path} do not name every make.", "Install the field kit again."
        )
    return {str(make): window for make, window in windows.items()}


# Links --------------------------------------------------------------------------------------------


class WrongLink(UsageError):
    """The link leads to another ECU than the one that the profile describes."""


def check_link(profile: Profile, link: str) -> None:
    """Hold a link's own addresses against the profile's, where both name them.

    Raises:
        WrongLink: they differ, so the link leads to another ECU.
        BadInputError: an address in the link is not a number.
    """
    parts = urlsplit(link)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    for name, expected in _expected_addresses(profile, parts.scheme).items():
        if name in query and _number(name, query[name]) != expected:
            raise WrongLink(
                f"The link's {name}={query[name]} is not the address 0x{expected:X} "
                f"that the profile {profile.name} gives for the {profile.ecu}.",
                "Name the link of this ECU, or the profile that belongs to the link.",
            )


def _expected_addresses(profile: Profile, scheme: str) -> dict[str, int]:
    can, doip = profile.addresses.can, profile.addresses.doip
    if scheme == "can" and can is not None:
        return {"tx": can.tx, "rx": can.rx, "ext": int(can.extended)}
    if scheme in ("doip", "doip+tls") and doip is not None:
        return {"target": doip.target}
    return {}


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise BadInputError(
            f"The link's {name}={text} is not a number.", "Write it as in tx=0x7E0."
        ) from error
