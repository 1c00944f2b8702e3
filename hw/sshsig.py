"""SSH signatures (SSHSIG, Ed25519), as `ssh-keygen -Y sign` makes and `-Y verify` checks them.

The format is OpenSSH's PROTOCOL.sshsig. A signature carries the namespace it was made for, so that
one made for a backup is worthless as an acknowledgment. Only Ed25519 keys and SHA-512 message
hashes are made and accepted; everything else is refused, never guessed at.

Who may sign for what stands in an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS) of which a
plain part is understood: exact principals, exact namespaces, Ed25519 keys. A line with anything
else (a wildcard, a validity time, a certificate authority) would mean more than this module checks,
so it makes the whole file unusable instead of being skipped or half obeyed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hw.errors import BadInputError, FieldKitError

_MAGIC = b"SSHSIG"
_VERSION = 1
_KEY_TYPE = b"ssh-ed25519"
_HASH = b"sha512"
_LINE_LENGTH = 70
_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n?\Z"
)
_SIGNER_LINE = re.compile(
    r'(?P<principals>[^\s"]+)[ \t]+namespaces="(?P<namespaces>[^"\s]+)"[ \t]+'
    r"ssh-ed25519[ \t]+(?P<key>[A-Za-z0-9+/=]+)(?:[ \t]+.*)?"
)
_PLAIN_WORD = re.compile(r"[^\s,\"*?!]+")


class SignatureError(FieldKitError):
    """A signature is damaged, made for something else, or made by a key that may not make it."""

    code = "signature"
    exit_status = 65


@dataclass(frozen=True, slots=True)
class Signer:
    """One line of an allowed_signers file: who, by which key, for which namespaces."""

    principals: tuple[str, ...]
    namespaces: frozenset[str]
    key: bytes
    """The 32 bytes of the Ed25519 public key."""


@dataclass(frozen=True, slots=True)
class AllowedSigners:
    """Who may sign for what."""

    signers: tuple[Signer, ...]

    @classmethod
    def load(cls, path: Path) -> AllowedSigners:
        """Read an allowed_signers file.

        Raises:
            BadInputError: the file is missing, or a line holds anything but exact principals, a
                `namespaces="..."` option and an Ed25519 key; the sentence names the line.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(
                f"The list of allowed signers {path} cannot be read: {error}.",
                "Run 'fieldkit doctor'; without that list no signature can be trusted.",
            ) from error
        signers = [
            _parse_signer(line, f"{path}, line {number}")
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        return cls(tuple(signers))

    def principal_of(self, key: bytes, namespace: str) -> str | None:
        """The first principal whom `key` (32 bytes) may sign for in `namespace`, else None."""
        for signer in self.signers:
            if signer.key == key and namespace in signer.namespaces:
                return signer.principals[0]
        return None


def sign(message: bytes, key: Ed25519PrivateKey, namespace: str) -> bytes:
    """Sign a message for one namespace; the result is what `ssh-keygen -Y sign` writes.

    Args:
        message: the exact bytes.
        key: the signer's key.
        namespace: what the signature is for; it verifies in no other namespace.

    Raises:
        ValueError: the namespace is empty, which PROTOCOL.sshsig forbids.
    """
    signature = key.sign(_to_be_signed(message, namespace))
    blob = (
        _MAGIC
        + _VERSION.to_bytes(4, "big")
        + _string(_public_blob(key.public_key().public_bytes_raw()))
        + _string(namespace.encode())
        + _string(b"")
        + _string(_HASH)
        + _string(_string(_KEY_TYPE) + _string(signature))
    )
    text = base64.b64encode(blob)
    lines = [text[start : start + _LINE_LENGTH] for start in range(0, len(text), _LINE_LENGTH)]
    return b"\n".join(
        [b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""]
    )


def verify(message: bytes, signature: bytes, namespace: str, signers: AllowedSigners) -> str:
    """Check an armoured signature over `message` and say whose it is.

    Args:
        message: the exact bytes that were signed.
        signature: armoured SSHSIG.
        namespace: what the signature must have been made for.
        signers: who may sign for what.

    Returns:
        The principal. The caller still decides whether this principal may do what is asked.

    Raises:
        SignatureError: damaged, of another format, for another namespace, over another message, or
            by a key that is not allowed. Do not use the message.
    """
    key, signed_namespace, raw = _decode(signature)
    if signed_namespace != namespace:
        raise SignatureError(
            f"The signature was made for '{signed_namespace}', not for '{namespace}'.",
            "Use the signature that belongs to this file.",
        )
    principal = signers.principal_of(key, namespace)
    if principal is None:
        raise SignatureError(
            f"The signature's key may not sign for '{namespace}' on this kit: {_fingerprint(key)}.",
            "If you trust that signer, let the workshop add the key to the kit's allowed signers.",
        )
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(raw, _to_be_signed(message, namespace))
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(
            f"The signature of '{principal}' does not fit: the signed bytes were changed.",
            "Do not use this file; fetch it again from where it came.",
        ) from error
    return principal


def public_line(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """A public key as OpenSSH writes it: `ssh-ed25519 AAAA…`, without a comment."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    blob = _public_blob(public.public_bytes_raw())
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def parse_public_line(line: str) -> Ed25519PublicKey:
    """Read an OpenSSH public key line (a comment may follow).

    Raises:
        BadInputError: not an Ed25519 public key line.
    """
    words = line.split(None, 2)
    if len(words) < 2 or words[0] != "ssh-ed25519":
        raise _bad_key("The line is not an 'ssh-ed25519 AAAA…' public key")
    return Ed25519PublicKey.from_public_bytes(_raw_key(words[1], "The public key line"))


def fingerprint(key: Ed25519PublicKey) -> str:
    """A key's fingerprint as `ssh-keygen -l` prints it: `SHA256:…`."""
    return _fingerprint(key.public_bytes_raw())


def public_key_of(signature: bytes) -> Ed25519PublicKey:
    """The key that a signature names. It proves nothing before `verify` accepted the signature.

    Raises:
        SignatureError: the signature is damaged.
    """
    return Ed25519PublicKey.from_public_bytes(_decode(signature)[0])


def _parse_signer(line: str, where: str) -> Signer:
    match = _SIGNER_LINE.fullmatch(line.strip())
    if match is None:
        raise _bad_line(
            where, 'it must read: principal namespaces="…" ssh-ed25519 AAAA…, with no other option'
        )
    principals = tuple(match["principals"].split(","))
    namespaces = match["namespaces"].split(",")
    for word in (*principals, *namespaces):
        if not _PLAIN_WORD.fullmatch(word):
            raise _bad_line(where, f"'{word}' is empty or a pattern; name each one exactly")
    return Signer(principals, frozenset(namespaces), _raw_key(match["key"], where))


def _raw_key(text: str, where: str) -> bytes:
    try:
        blob = _Reader(_canonical_base64(text.encode()))
        key_type, key = blob.string(), blob.string()
        blob.end()
    except ValueError as error:
        raise _bad_key(f"{where}: the key is damaged") from error
    if key_type != _KEY_TYPE or len(key) != 32:
        raise _bad_key(f"{where}: the key is not an Ed25519 key")
    return key


def _decode(armoured: bytes) -> tuple[bytes, str, bytes]:
    """Take an armoured signature apart: (public key, namespace, signature)."""
    match = _ARMOUR.match(armoured)
    if match is None:
        raise _damaged()
    try:
        return _decode_blob(_canonical_base64(match[1].replace(b"\n", b"")))
    except ValueError as error:
        raise _damaged() from error


def _decode_blob(blob: bytes) -> tuple[bytes, str, bytes]:
    reader = _Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or int.from_bytes(reader.take(4), "big") != _VERSION:
        raise ValueError("not an SSHSIG version 1")
    key_blob = _Reader(reader.string())
    namespace, reserved, hash_name = reader.string(), reader.string(), reader.string()
    signature_blob = _Reader(reader.string())
    key_type, key = key_blob.string(), key_blob.string()
    signature_type, signature = signature_blob.string(), signature_blob.string()
    for part in (reader, key_blob, signature_blob):
        part.end()
    # PROTOCOL.sshsig lets a verifier ignore `reserved`; nothing writes it, so anything but empty
    # is refused. The same holds for SHA-256, which OpenSSH can make but the kit never does.
    if reserved or hash_name != _HASH or {key_type, signature_type} != {_KEY_TYPE}:
        raise ValueError("not an Ed25519 signature over a SHA-512 hash")
    if len(key) != 32 or len(signature) != 64:
        raise ValueError("wrong length of key or signature")
    return key, namespace.decode(), signature


class _Reader:
    """Reads SSH wire format (RFC 4251, section 5) and raises ValueError where it ends early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("ends early")
        self._at += size
        return part

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("bytes left over")


def _canonical_base64(text: bytes) -> bytes:
    """Decode base64, refusing the spellings that decode alike (unused bits set, padding inside)."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data) != text:
        raise ValueError("not canonical base64")
    return data


def _to_be_signed(message: bytes, namespace: str) -> bytes:
    if not namespace:
        raise ValueError("a signature needs a namespace")
    return (
        _MAGIC
        + _string(namespace.encode())
        + _string(b"")
        + _string(_HASH)
        + _string(hashlib.sha512(message).digest())
    )


def _public_blob(key: bytes) -> bytes:
    return _string(_KEY_TYPE) + _string(key)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _fingerprint(key: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(_public_blob(key)).digest()).rstrip(b"=")
    return f"SHA256:{digest.decode()}"


def _damaged() -> SignatureError:
    return SignatureError(
        "The signature is damaged or not an Ed25519 SSH signature.",
        "Fetch the file and its signature again from where they came.",
    )


def _bad_line(where: str, why: str) -> BadInputError:
    return BadInputError(
        f"{where}: this signer cannot be used: {why}.",
        "Correct that line; until then no signature is trusted.",
    )


def _bad_key(why: str) -> BadInputError:
    return BadInputError(f"{why}.", "Give an Ed25519 public key as 'ssh-keygen -t ed25519' makes.")
