"""Opening the kit with a technician's passphrase, and looking after the technicians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.age import Identity, parse_identity
from appliance.durable import sync_folder, write_durably
from appliance.errors import NotPermittedError, PassphraseError
from appliance.identity.issued import (
    AnySlot,
    IssuedSlot,
    IssuedTechnician,
    issued_slot,
    open_issued,
)
from appliance.identity.kit import (
    DATABASE_KEY,
    KIT_AGE_IDENTITY,
    KIT_SIGNING_KEY,
    WORKSHOP_SIGNING_KEY,
    checked_name,
    checked_role,
    slot_path,
)
from appliance.identity.seal import (
    Role,
    SealedSecrets,
    make_slot,
    normal_passphrase,
    open_slot,
    read_keys_file,
    secret_purpose,
    unseal,
    waste_a_try,
)
from appliance.identity.tries import UNKNOWN, one_try
from appliance.identity.trust import older_technician_line, signer_line, technician_principal
from hw.errors import BadInputError, UnavailableError, UsageError
from hw.sshsig import parse_public_line


@dataclass(frozen=True)
class Technician:
    """Who holds the kit, with their own signing key."""

    name: str
    role: Role
    signing_key: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True)
class Unlocked:
    """An opened kit. Keep it in memory only, and no longer than the technician is there.

    Attributes:
        state: the kit's state folder.
        technician: who opened it.
        kit_key: signs backups, checks and records.
        kit_identity: opens backups.
        database_key: 32 bytes that encrypt the kit's database.
        workshop_key: signs profiles; only a standalone kit holds it.
        master_key: wraps all of these; needed to add a technician.
    """

    state: Path
    technician: Technician
    kit_key: Ed25519PrivateKey = field(repr=False)
    kit_identity: Identity = field(repr=False)
    database_key: bytes = field(repr=False)
    workshop_key: Ed25519PrivateKey | None = field(repr=False)
    master_key: bytes = field(repr=False)


def unlock(state: Path, name: str, passphrase: str) -> Unlocked:
    """Open the kit.

    Args:
        state: the kit's state folder.
        name: the technician.
        passphrase: theirs.

    Raises:
        PassphraseError: name and passphrase do not fit together. The try is counted.
        TooManyTriesError: too many wrong tries; the sentence says how long to wait.
        BadInputError: a key file is missing or damaged.
        UnavailableError: there is no kit, or another passphrase is being looked at.
    """
    slot = _find_slot(state, name)
    if slot is None:
        with one_try(state / "keys", UNKNOWN):
            waste_a_try(_attempt(passphrase))
            raise _wrong()
    with one_try(state / "keys", slot.technician):
        try:
            master_key, seed = _opened(slot, _attempt(passphrase))
        except InvalidTag as error:
            raise _wrong() from error
    return _unseal_all(state, slot, master_key, seed)


def add_technician(unlocked: Unlocked, name: str, role: str, passphrase: str) -> None:
    """Give another technician a slot and a signing key.

    Raises:
        NotPermittedError: the kit was not opened by an owner.
        UsageError: there is a technician of that name.
        BadInputError: name, role or passphrase is unusable.
        UnavailableError: the state folder cannot be written; nobody was added.
    """
    if unlocked.technician.role != "owner":
        raise NotPermittedError(
            "Only an owner can add a technician.", "Ask an owner of this kit to do it."
        )
    new_name, new_role = checked_name(name), checked_role(role)
    path = slot_path(unlocked.state / "keys", new_name)
    if path.exists():
        raise UsageError(f"There is a technician '{new_name}' already.", "Choose another name.")
    key = Ed25519PrivateKey.generate()
    secret = normal_passphrase(passphrase)
    slot = make_slot(new_name, new_role, secret, unlocked.master_key, key.private_bytes_raw())
    _let_in(unlocked.state, slot, key.public_key())


def take_technician(state: Path, issued: IssuedTechnician, master_key: bytes) -> None:
    """Let a technician of the workshop use this kit; one whom the kit has already stays as they
    are, with the passphrase that they may have chosen here.

    Raises:
        UsageError: the kit has somebody else of that name.
        BadInputError: what is known of them cannot be used.
        UnavailableError: the state folder cannot be written; it can be done again.
    """
    slot, key = issued_slot(issued, master_key), parse_public_line(issued.key)
    path = slot_path(state / "keys", issued.name)
    if path.exists():
        if _has_one_of(state, issued.name, [issued.key]):
            return
        if not _has_one_of(state, issued.name, issued.before):
            raise UsageError(
                f"This kit has another technician '{issued.name}', with keys of their own.",
                "Let the workshop use another name for this one.",
            )
        # Before the new key is trusted: beside an old slot it would look as if all was done.
        _drop_slot(state, issued.name)
    _let_in(state, slot, key)


def remove_technician(state: Path, name: str, keys: Sequence[str] | None = None) -> None:
    """Take a technician off this kit: they cannot unlock it, and nothing that they sign counts.

    What they signed before stays readable; one who is not here is no error.

    Args:
        keys: only if it is one of these (OpenSSH public lines) that the kit trusts under the name;
            None for whoever has the name.

    Raises:
        NotPermittedError: they are the last owner, without whom nobody could add another one.
        BadInputError: nobody can have that name, or a slot file is damaged.
        UnavailableError: the state folder cannot be written.
    """
    gone = checked_name(name)
    if keys is not None and _trusted(state, gone) and not _has_one_of(state, gone, keys):
        return
    people = list_technicians(state)
    owners = [one for one, role in people if role == "owner"]
    if owners == [gone]:
        raise NotPermittedError(
            f"'{gone}' is the only owner of this kit.", "Add another owner on the kit first."
        )
    # Trust first: after a power cut in between they can unlock, but nothing they sign is taken.
    _set_trust(state, gone, "")
    _drop_slot(state, gone)


def renew_trust(unlocked: Unlocked) -> None:
    """Let the technician of a kit that an older version set up witness agreements, too.

    Only a line that is there is renewed: whoever was taken off the list stays off it.

    Raises:
        BadInputError: the list of allowed signers cannot be read.
        UnavailableError: the state folder cannot be written.
    """
    who = unlocked.technician
    path, key = unlocked.state / "trust" / "allowed_signers", who.signing_key.public_key()
    lines = _read_trust(path)
    older = older_technician_line(who.name, key)
    if older in lines:
        new = signer_line(technician_principal(who.name), key)
        _keep(path, "".join(new if line == older else line for line in lines).encode(), 0o644)


def change_passphrase(state: Path, name: str, old: str, new: str) -> None:
    """Change a technician's own passphrase; their signing key stays.

    Raises:
        As `unlock`, for the old passphrase.
        BadInputError: the new passphrase is too short.
        UnavailableError: the state folder cannot be written; the old passphrase holds.
    """
    secret = normal_passphrase(new)
    unlocked = unlock(state, name, old)
    who = unlocked.technician
    seed = who.signing_key.private_bytes_raw()
    slot = make_slot(who.name, who.role, secret, unlocked.master_key, seed)
    _keep(slot_path(state / "keys", who.name), msgspec.json.encode(slot), 0o600)


def list_technicians(state: Path) -> list[tuple[str, Role]]:
    """Names and roles as the slot files state them, sorted by name.

    Raises:
        BadInputError: a slot file is damaged.
    """
    paths = sorted((state / "keys" / "technicians").glob("[!.]*.json"))
    slots = [_read_slot(path) for path in paths]
    return [(slot.technician, slot.role) for slot in slots]


def _opened(slot: AnySlot, passphrase: bytes) -> tuple[bytes, bytes]:
    """Master key and signing seed."""
    if isinstance(slot, IssuedSlot):
        return open_issued(slot, passphrase)
    return open_slot(slot, passphrase)


def _read_slot(path: Path) -> AnySlot:
    # mypy takes a union for no type; msgspec decodes it by its tags.
    slot: AnySlot = read_keys_file(path, AnySlot)  # type: ignore[arg-type]
    return slot


def _find_slot(state: Path, name: str) -> AnySlot | None:
    try:
        path = slot_path(state / "keys", checked_name(name))
    except BadInputError:
        return None  # no technician can have such a name; the answer is the same as for any other
    if not path.exists():
        return None
    slot = _read_slot(path)
    return slot if slot.technician == path.stem else None


def _attempt(passphrase: str) -> bytes:
    """The bytes to try; one that could never be chosen costs the same time as any other."""
    try:
        return normal_passphrase(passphrase)
    except BadInputError:
        return b""


def _wrong() -> PassphraseError:
    return PassphraseError(
        "Name and passphrase do not fit together.",
        "Check both and enter them again; wrong tries are recorded and slow down the next one.",
    )


def _unseal_all(state: Path, slot: AnySlot, master_key: bytes, seed: bytes) -> Unlocked:
    path = state / "keys" / "secrets.json"
    boxes = read_keys_file(path, SealedSecrets).secrets
    try:
        opened = {
            name: unseal(master_key, box, secret_purpose(name)) for name, box in boxes.items()
        }
        workshop = opened.get(WORKSHOP_SIGNING_KEY)
        return Unlocked(
            state=state,
            technician=Technician(
                slot.technician, slot.role, Ed25519PrivateKey.from_private_bytes(seed)
            ),
            kit_key=Ed25519PrivateKey.from_private_bytes(opened[KIT_SIGNING_KEY]),
            kit_identity=parse_identity(opened[KIT_AGE_IDENTITY].decode()),
            database_key=opened[DATABASE_KEY],
            workshop_key=Ed25519PrivateKey.from_private_bytes(workshop) if workshop else None,
            master_key=master_key,
        )
    except (InvalidTag, KeyError, ValueError) as error:
        raise BadInputError(
            f"The kit's sealed secrets in {path} are damaged.",
            "Restore that file from the kit's own backup; the passphrase was right.",
        ) from error


def _let_in(state: Path, slot: AnySlot, key: Ed25519PublicKey) -> None:
    # Trust first: after a power cut in between, a key that nobody holds is trusted, which harms
    # nothing and is replaced at the next try. The other way round, their signatures would be
    # refused for a reason nobody could see.
    name = slot.technician
    _set_trust(state, name, signer_line(technician_principal(name), key))
    _keep(slot_path(state / "keys", name), msgspec.json.encode(slot), 0o600)


def _drop_slot(state: Path, name: str) -> None:
    try:
        slot_path(state / "keys", name).unlink(missing_ok=True)
        sync_folder(state / "keys" / "technicians")
    except OSError as error:
        raise _cannot_keep(name, error) from error


def _has_one_of(state: Path, name: str, keys: Sequence[str]) -> bool:
    """Is it one of these keys that the kit trusts under this name?"""
    principal = technician_principal(name)
    lines = {signer_line(principal, parse_public_line(key)) for key in keys}
    trusted = _trusted(state, name)
    return bool(trusted) and lines.issuperset(trusted)


def _trusted(state: Path, name: str) -> list[str]:
    """A technician's lines among the allowed signers."""
    lines = _read_trust(state / "trust" / "allowed_signers")
    return [line for line in lines if _is_of(line, name)]


def _is_of(line: str, name: str) -> bool:
    return line.split(maxsplit=1)[:1] == [technician_principal(name)]


def _set_trust(state: Path, name: str, signer: str) -> None:
    """Put a technician's line among the allowed signers, or take it out with an empty one."""
    path = state / "trust" / "allowed_signers"
    kept = [line for line in _read_trust(path) if not _is_of(line, name)]
    _keep(path, "".join([*kept, signer]).encode(), 0o644)


def _read_trust(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"The list of allowed signers {path} cannot be read: {error}.",
            "Run 'fieldkit doctor'; without that list no signature can be trusted.",
        ) from error


def _keep(path: Path, data: bytes, mode: int) -> None:
    try:
        write_durably(path, data, mode)
    except OSError as error:
        raise _cannot_keep(path.name, error) from error


def _cannot_keep(what: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The kit cannot write down {what}: {error.strerror}.",
        "Free space in the state folder or mend its medium, then try again.",
    )
