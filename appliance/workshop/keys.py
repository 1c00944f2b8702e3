"""The workshop's own keys: an authority for TLS, a key that signs receipts, an age identity.

The recovery identity is made here and never stored: it is shown once, and the workshop comes into
being only when somebody has given it back from where they put it and it opened a test file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.age import DecryptionError, decrypt, encrypt, new_identity, parse_identity
from appliance.age import parse_recipient as parse_age_recipient
from appliance.durable import sync_folder, write_durably
from appliance.sync.pairing import authority_fingerprint
from hw.errors import BadInputError, UsageError
from hw.sshsig import public_line

AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority.key"
TLS, TLS_KEY = "tls.pem", "tls.key"
SIGNING_KEY, SIGNING_PUBLIC = "signing.key", "signing.pub"
IDENTITY = "age-identity.txt"
RECIPIENTS = "recipients"
AUTHORITY_YEARS, TLS_DAYS = 20, 825
"""825 days is the most that any browser takes of a certificate from a private authority."""
_RENEW_BEFORE = timedelta(days=90)
_CHALLENGE_BYTES = 32
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST, _LONGEST_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*"), 253
"""RFC 1123, 2.1."""


@dataclass(frozen=True)
class WorkshopKeys:
    """What the hub needs to run.

    Attributes:
        folder: where they lie.
        signing: signs receipts, changes and profiles.
        authority: certificate of the workshop's authority, PEM.
        workshop_recipient, recovery_recipient: who can open backups besides the kit, `age1…`.
    """

    folder: Path
    signing: Ed25519PrivateKey
    authority: str
    workshop_recipient: str
    recovery_recipient: str

    @property
    def addresses(self) -> list[str]:
        """Names and IP addresses under which the hub is reached, as they were given."""
        return _names(self.folder)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the authority's certificate, lower-case hex: what a kit is told to trust."""
        return authority_fingerprint(self.authority)


def init_workshop(
    folder: Path, addresses: Sequence[str], prove: Callable[[str], str]
) -> WorkshopKeys:
    """Make a workshop's keys.

    Args:
        folder: where; it must not hold a workshop yet.
        addresses: names and IP addresses under which kits and browsers reach the hub.
        prove: is shown the recovery identity and returns it as it was read back from where it is
            kept from now on.

    Raises:
        UsageError: there is a workshop in this folder already, or no address was given that can be.
        BadInputError: what was read back does not open the test file. Nothing was made.
        OSError: the folder cannot be written.
    """
    keys = folder / "keys"
    if keys.exists():
        raise UsageError(
            f"There is a workshop in {folder} already.", "Use it, or name another folder."
        )
    if not addresses:
        raise UsageError(
            "A workshop needs an address.", "Give the name or IP address that kits will use."
        )
    for address in addresses:
        _general_name(address)
    recovery_identity, recovery_recipient = new_identity()
    _prove_recovery(recovery_recipient, prove(recovery_identity))
    identity, recipient = new_identity()
    stage = folder / ".init"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage.mkdir(mode=0o700, exist_ok=True)
    _make_authority(stage)
    _make_tls(stage, addresses)
    signing = Ed25519PrivateKey.generate()
    write_durably(stage / SIGNING_KEY, _pem(signing))
    # For kits that are to take this workshop's profiles: fieldkit init --workshop-key.
    write_durably(stage / SIGNING_PUBLIC, f"{public_line(signing)}\n".encode(), 0o644)
    write_durably(stage / IDENTITY, f"# public key: {recipient}\n{identity}\n".encode())
    text = f"# workshop\n{recipient}\n# recovery\n{recovery_recipient}\n"
    write_durably(stage / RECIPIENTS, text.encode(), 0o644)
    stage.rename(keys)
    sync_folder(folder)
    return load_keys(folder)


def load_keys(folder: Path) -> WorkshopKeys:
    """The keys of a workshop; a TLS certificate that ends soon is made anew.

    Raises:
        UsageError: there is no workshop in this folder.
        BadInputError: a key is missing or damaged.
    """
    keys = folder / "keys"
    if not keys.is_dir():
        raise UsageError(
            f"There is no workshop in {folder}.", "Make one with 'fieldkit workshop init'."
        )
    try:
        _renew_tls(keys)
        signing = serialization.load_pem_private_key((keys / SIGNING_KEY).read_bytes(), None)
        authority = (keys / AUTHORITY).read_text()
        recipients = (keys / RECIPIENTS).read_text().split()
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _damaged(keys, str(error)) from error
    if not isinstance(signing, Ed25519PrivateKey) or len(recipients) != 6:
        raise _damaged(keys, "they are of another kind")
    return WorkshopKeys(keys, signing, authority, recipients[2], recipients[5])


def _prove_recovery(recipient: str, given: str) -> None:
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    sealed = encrypt(challenge, [parse_age_recipient(recipient, "recovery")])
    try:
        opened = decrypt(sealed, parse_identity(given))
    except DecryptionError as error:
        raise BadInputError(
            "The recovery identity that was read back does not open the test file.",
            "Start again; write down the new identity, and compare every letter.",
        ) from error
    if opened != challenge:
        raise BadInputError("The test file came back changed.", "Start again.")


def _make_authority(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fieldkit workshop authority")])
    now = datetime.now(UTC)
    certificate = (
        _certificate(name, name, key, now, timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_durably(folder / AUTHORITY_KEY, _pem(key))
    write_durably(folder / AUTHORITY, _public_pem(certificate), 0o644)


def _make_tls(folder: Path, addresses: Sequence[str]) -> None:
    issuer = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
    issuer_key = serialization.load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise _damaged(folder, "the authority's key is of another kind")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fieldkit workshop")])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _certificate(subject, issuer.subject, key, datetime.now(UTC), timedelta(days=TLS_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(one) for one in addresses]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    write_durably(folder / TLS_KEY, _pem(key))
    write_durably(folder / TLS, _public_pem(certificate), 0o644)


def _renew_tls(folder: Path) -> None:
    old = x509.load_pem_x509_certificate((folder / TLS).read_bytes())
    if old.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE:
        return
    _make_tls(folder, _names(folder))


def _names(folder: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate((folder / TLS).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    for_: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + for_)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text) is None or len(text) > _LONGEST_HOST:
            raise UsageError(
                f"'{text}' is no name or IP address.",
                "Give one as kits will use it, such as workshop.example or 192.168.0.5.",
            ) from None
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    # The hub must start by itself after a power cut: the keys are guarded by the file's rights.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _damaged(keys: Path, why: str) -> BadInputError:
    return BadInputError(
        f"The workshop's keys in {keys} cannot be used: {why}.", "Put them back from your backup."
    )


def workshop_dir() -> Path:
    """The workshop's folder: `FIELDKIT_WORKSHOP`, else one in the person's own data."""
    if given := os.environ.get("FIELDKIT_WORKSHOP"):
        return Path(given)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "fieldkit-workshop"
