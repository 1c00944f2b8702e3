"""A kit's birth: its keys, its technicians, its lists of trust and its configuration."""

from __future__ import annotations

import json
import secrets
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.age import new_identity
from appliance.durable import sync_folder, write_durably
from appliance.identity.seal import (
    KEY_SIZE,
    Box,
    Role,
    SealedSecrets,
    Slot,
    make_slot,
    normal_passphrase,
    seal,
    secret_purpose,
)
from appliance.identity.trust import (
    KIT,
    WORKSHOP,
    Recipients,
    signer_line,
    technician_principal,
)
from appliance.profiles.loader import install_shipped_profiles
from hw.config import KitConfig
from hw.errors import BadInputError, UsageError
from hw.sshsig import parse_public_line, public_line, sign
from hw.statements import NAMESPACE_PROFILE

KIT_SIGNING_KEY = "kit-signing-key"
KIT_AGE_IDENTITY = "kit-age-identity"
DATABASE_KEY = "database-key"
WORKSHOP_SIGNING_KEY = "workshop-signing-key"
DEMO_FILE = "demo-calibration.hex"
_MAX_NAME = 32
_NAME_MARKS = "._-"
_TABLES = ("voltage", "outputs", "media", "sticks", "agreements")


@dataclass(frozen=True)
class NewKit:
    """What a new kit tells the world: public keys, and the profiles that it signed for itself.

    `standalone` kits hold the workshop's signing key, sealed like their own.
    """

    kit_key: str
    kit_recipient: str
    workshop_key: str
    standalone: bool
    profiles: list[Path]


@dataclass(frozen=True)
class _Secrets:
    kit: Ed25519PrivateKey
    age_identity: str
    database: bytes
    workshop: Ed25519PrivateKey | None


def init_kit(
    state: Path,
    *,
    technicians: Sequence[tuple[str, str, str]],
    workshop_recipient: str,
    recovery_recipient: str,
    config: Mapping[str, object],
    workshop_key: str | None = None,
) -> NewKit:
    """Create a kit in its state folder: keys, trust, shipped profiles, `kit.toml`.

    Args:
        state: the state folder (`hw.config.state_dir()`); made if it is not there.
        technicians: name, role (`technician` or `owner`) and passphrase of each; one is an owner.
        workshop_recipient: age recipient `age1…` of the workshop.
        recovery_recipient: age recipient of the identity that is kept offline.
        config: tables of `kit.toml` as `hw.config` describes them.
        workshop_key: OpenSSH public key line of the workshop. None makes a standalone kit, which
            signs its own profiles; only then the shipped ones are installed.

    Raises:
        UsageError: there is a kit in this folder already. Nothing was changed.
        BadInputError: a name, role, passphrase, key or configuration value is wrong.
        OSError: the folder cannot be written.
    """
    _refuse_existing(state)
    kit_config = _checked_config(config)
    people = _checked_technicians(technicians)
    own_workshop = Ed25519PrivateKey.generate() if workshop_key is None else None
    workshop = own_workshop.public_key() if own_workshop else parse_public_line(workshop_key or "")
    age_secret, kit_recipient = new_identity()
    recipients = Recipients(kit_recipient, workshop_recipient.strip(), recovery_recipient.strip())
    recipients.checked()
    held = _Secrets(
        Ed25519PrivateKey.generate(), age_secret, secrets.token_bytes(KEY_SIZE), own_workshop
    )
    master_key = secrets.token_bytes(KEY_SIZE)
    slots, technician_lines = _make_people(people, master_key)
    signers = [signer_line(KIT, held.kit.public_key()), signer_line(WORKSHOP, workshop)]

    stage = _fresh_stage(state)
    _write_keys(stage / "keys", _seal_all(master_key, held), slots)
    _write_trust(stage / "trust", "".join(signers + technician_lines), recipients)
    _install_profiles(stage, own_workshop)
    write_durably(stage / "kit.toml", _toml(kit_config).encode(), 0o644)
    _make_simulated_folders(kit_config)
    _put_in_place(stage, state)
    return NewKit(
        kit_key=public_line(held.kit),
        kit_recipient=kit_recipient,
        workshop_key=public_line(workshop),
        standalone=own_workshop is not None,
        profiles=sorted((state / "profiles").glob("*.toml")),
    )


def checked_name(name: str) -> str:
    """A technician's name in the form that signatures and files carry.

    Raises:
        BadInputError: it is empty, too long, or holds what an allowed_signers line cannot.
    """
    normal = unicodedata.normalize("NFC", name)
    plain = normal and all(mark.isalnum() or mark in _NAME_MARKS for mark in normal)
    if not plain or len(normal) > _MAX_NAME or not normal[0].isalnum():
        raise BadInputError(
            "A technician's name must be 1 to 32 letters, digits, dots, dashes or underscores, "
            "beginning with a letter or digit.",
            "Choose a short name without spaces, such as 'maria' or 'h.klein'.",
        )
    return normal


def checked_role(role: str) -> Role:
    """A role's name as a role.

    Raises:
        BadInputError: it is neither `technician` nor `owner`.
    """
    for known in get_args(Role):
        if role == known:
            found: Role = known
            return found
    raise BadInputError(f"There is no role '{role}'.", "Give 'technician' or 'owner'.")


def slot_path(keys: Path, name: str) -> Path:
    """Where a technician's slot lies."""
    return keys / "technicians" / f"{name}.json"


def _refuse_existing(state: Path) -> None:
    configuration, keys = state / "kit.toml", state / "keys"
    if configuration.exists() and keys.exists():
        raise UsageError(
            f"There is a kit in {state} already.",
            "Use it, or set FIELDKIT_STATE to another folder for a new one.",
        )
    if configuration.exists() or keys.exists():
        there = configuration if configuration.exists() else keys
        raise UsageError(
            f"{there} is left from another or an interrupted set-up.",
            "Move it away if nothing was ever done with that kit, then run 'fieldkit init' again.",
        )


def _checked_config(config: Mapping[str, object]) -> KitConfig:
    try:
        return msgspec.convert(config, KitConfig)
    except msgspec.ValidationError as error:
        raise BadInputError(
            f"The kit's configuration is wrong: {error}.", "Correct that value and start again."
        ) from error


def _checked_technicians(given: Sequence[tuple[str, str, str]]) -> list[tuple[str, Role, bytes]]:
    people = [
        (checked_name(name), checked_role(role), normal_passphrase(passphrase))
        for name, role, passphrase in given
    ]
    if len({name for name, _, _ in people}) != len(people):
        raise BadInputError("Two technicians have the same name.", "Give each their own name.")
    if not any(role == "owner" for _, role, _ in people):
        raise BadInputError(
            "No technician is an owner, so nobody could ever add another one.",
            "Give at least one technician the role 'owner'.",
        )
    return people


def _make_people(
    people: Sequence[tuple[str, Role, bytes]], master_key: bytes
) -> tuple[list[Slot], list[str]]:
    slots, lines = [], []
    for name, role, passphrase in people:
        key = Ed25519PrivateKey.generate()
        slots.append(make_slot(name, role, passphrase, master_key, key.private_bytes_raw()))
        lines.append(signer_line(technician_principal(name), key.public_key()))
    return slots, lines


def _seal_all(master_key: bytes, held: _Secrets) -> SealedSecrets:
    values = {
        KIT_SIGNING_KEY: held.kit.private_bytes_raw(),
        KIT_AGE_IDENTITY: held.age_identity.encode(),
        DATABASE_KEY: held.database,
    }
    if held.workshop is not None:
        values[WORKSHOP_SIGNING_KEY] = held.workshop.private_bytes_raw()
    boxes: dict[str, Box] = {
        name: seal(master_key, value, secret_purpose(name)) for name, value in values.items()
    }
    return SealedSecrets(secrets=boxes)


def _fresh_stage(state: Path) -> Path:
    """A folder to put the kit together in; what an interrupted set-up left there never counted."""
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    stage = state / ".init"
    if stage.exists():
        shutil.rmtree(stage)
    stage.mkdir(mode=0o700)
    return stage


def _write_keys(keys: Path, sealed: SealedSecrets, slots: Sequence[Slot]) -> None:
    keys.mkdir(mode=0o700)
    (keys / "technicians").mkdir(mode=0o700)
    write_durably(keys / "secrets.json", msgspec.json.encode(sealed))
    for slot in slots:
        write_durably(slot_path(keys, slot.technician), msgspec.json.encode(slot))
    sync_folder(keys)


def _write_trust(trust: Path, allowed_signers: str, recipients: Recipients) -> None:
    trust.mkdir(mode=0o755)
    write_durably(trust / "allowed_signers", allowed_signers.encode(), 0o644)
    write_durably(trust / "recipients", recipients.text().encode(), 0o644)


def _install_profiles(stage: Path, workshop: Ed25519PrivateKey | None) -> None:
    (stage / "profiles").mkdir(mode=0o755)
    if workshop is not None:
        install_shipped_profiles(stage, lambda data: sign(data, workshop, NAMESPACE_PROFILE))


def _make_simulated_folders(config: KitConfig) -> None:
    """The folders that stand for the two media, and for a stick with a file for the ECU on it."""
    if config.media.simulated:
        for folder in (config.media.a, config.media.b):
            Path(folder).mkdir(parents=True, exist_ok=True)
    if config.sticks.simulated:
        stick = Path(config.sticks.roots[0]) / "demo-stick"
        stick.mkdir(parents=True, exist_ok=True)
        sample = resources.files("appliance") / "data" / DEMO_FILE
        (stick / DEMO_FILE).write_bytes(sample.read_bytes())


def _put_in_place(stage: Path, state: Path) -> None:
    """Move what was put together; `kit.toml` last, since a kit without it is none."""
    for name in ("profiles", "trust"):
        if (state / name).exists():  # of an interrupted set-up: a kit would have stopped us before
            shutil.rmtree(state / name)
    for name in ("profiles", "trust", "keys", "kit.toml"):
        (stage / name).rename(state / name)
        sync_folder(state)
    stage.rmdir()
    sync_folder(state)


def _toml(config: KitConfig) -> str:
    tables = msgspec.to_builtins(config)
    text = []
    named = [(f"[{name}]", tables[name]) for name in _TABLES]
    for head, table in [*named, *(("[[links]]", link) for link in tables["links"])]:
        text.append(f"{head}\n")
        text.extend(f"{key} = {_toml_value(value)}\n" for key, value in table.items())
        text.append("\n")
    return "".join(text)


def _toml_value(value: object) -> str:
    # JSON spells strings, numbers and booleans as TOML does, but for one character: TOML wants
    # DEL escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
