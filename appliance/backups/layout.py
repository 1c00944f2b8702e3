"""The files of a backup's folder, `fieldkit-backup/1`, and what makes each of them good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.identity.trust import KIT, signer_line
from hw.errors import UNDECODABLE, BadInputError
from hw.sshsig import AllowedSigners, SignatureError, fingerprint, public_key_of, verify
from hw.statements import NAMESPACE_BACKUP, BackupManifest, BackupObject

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
GUIDE = "OPEN-ME.txt"
SIGNERS = "allowed_signers"


class BackupDamagedError(BadInputError):
    """A backup is damaged on both media, or is none; the sentence says what can still be saved."""

    code = "backup_damaged"


@dataclass(frozen=True)
class TrustedManifest:
    """A manifest whose signature by the kit was verified, with the exact files that must exist."""

    manifest: BackupManifest
    fixed: dict[str, bytes]
    """Content of every file but the encrypted ones, by name."""

    @property
    def sha256(self) -> str:
        """Names the manifest: SHA-256 of its bytes."""
        return hashlib.sha256(self.fixed[MANIFEST]).hexdigest()

    @property
    def objects(self) -> dict[str, BackupObject]:
        """The encrypted files by name."""
        return {object_name(item): item for item in self.manifest.objects}

    @property
    def names(self) -> list[str]:
        """All files of the folder."""
        return [*self.fixed, *self.objects]

    def is_good(self, name: str, data: bytes) -> bool:
        """Whether `data` is exactly what the file must hold."""
        if name in self.fixed:
            return data == self.fixed[name]
        item = self.objects[name]
        return len(data) == item.size and hashlib.sha256(data).hexdigest() == item.sha256

    def good_objects(self, copies: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
        """Content of each encrypted file that at least one copy still has intact, by name."""
        found: dict[str, bytes] = {}
        for files in copies:
            for name in self.objects:
                if name not in found and name in files and self.is_good(name, files[name]):
                    found[name] = files[name]
        return found


def object_name(item: BackupObject) -> str:
    """File name of an encrypted object."""
    return f"{item.sha256}.age"


def trust_manifest(
    document: bytes, signature: bytes, signers: AllowedSigners, backup: str
) -> TrustedManifest:
    """Verify and decode a manifest.

    Args:
        document: `manifest.json`.
        signature: `manifest.json.sig`.
        signers: the kit's allowed signers.
        backup: the id that it must carry, since a manifest copied from another folder is signed
            too.

    Raises:
        SignatureError: not signed by the kit for this.
        BackupDamagedError: signed, but not a manifest of this backup.
    """
    if verify(document, signature, NAMESPACE_BACKUP, signers) != KIT:
        raise SignatureError(
            "The backup's manifest is signed, but not by this kit.",
            "Verify it on the kit that made it.",
        )
    try:
        manifest = msgspec.json.decode(document, type=BackupManifest)
    except UNDECODABLE as error:
        raise BackupDamagedError(
            f"The backup's manifest is of a kind that this version does not know: {error}.",
            "Open the backup with the stock commands in OPEN-ME.txt, or update the kit.",
        ) from error
    if manifest.backup != backup:
        raise BackupDamagedError(
            f"The folder of backup {backup} holds the manifest of {manifest.backup}.",
            "Put the folders back under their own names.",
        )
    return TrustedManifest(
        manifest, _fixed_files(manifest, document, signature, public_key_of(signature))
    )


def guide(manifest: BackupManifest, kit_key: Ed25519PublicKey) -> str:
    """`OPEN-ME.txt`.

    Part of the format: only an exact text can be checked and repaired, so new words need a new
    format number, or every older copy would look damaged.
    """
    made = manifest.made
    check = f"ssh-keygen -Y verify -f {SIGNERS} -I {KIT} -n {NAMESPACE_BACKUP} -s {SIGNATURE}"
    lines = [
        "This folder is a backup of one control unit (ECU) of a vehicle.",
        f"Format {manifest.format}, backup {manifest.backup},",
        f"made {made.wall} (clock {made.wall_quality}).",
        "It opens with ssh-keygen (OpenSSH 8.1 or later), age (age-encryption.org/v1) and tar;",
        "the program that made it is not needed. Run the commands inside this folder.",
        "",
        "1. Check that nothing was changed:",
        "",
        f"    {check} < {MANIFEST}",
        "    sha256sum *.age",
        "",
        "   Each .age file's name must be its SHA-256 and stand in manifest.json. The key must be",
        f"   the kit's, {fingerprint(kit_key)}: compare it with the",
        "   workshop's records, since a key that lies beside a signature proves nothing by itself.",
        "",
        "2. Open it with one of the three age identities (kit, workshop, offline recovery). Put",
        "   it into a file named identity.txt, or name yours in the command:",
        "",
        *(
            f"    age -d -i identity.txt {object_name(item)} | tar -x -f -"
            for item in manifest.objects
        ),
        "",
        "   Each command makes a folder; inside it, 'sha256sum -c SHA256SUMS' checks the content.",
    ]
    return "\n".join(lines) + "\n"


def _fixed_files(
    manifest: BackupManifest, document: bytes, signature: bytes, kit_key: Ed25519PublicKey
) -> dict[str, bytes]:
    return {
        MANIFEST: document,
        SIGNATURE: signature.rstrip(b"\n") + b"\n",
        SIGNERS: signer_line(KIT, kit_key).encode(),
        GUIDE: guide(manifest, kit_key).encode(),
    }
