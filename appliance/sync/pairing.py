"""Which workshop this kit belongs to: learnt at enrolment, kept beside the kit's other trust."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from appliance.durable import write_durably
from appliance.sync.change import NAMESPACE_CHANGE
from appliance.sync.enrolcode import read_code
from appliance.sync.hubclient import COMES_AGAIN, ComeAgain, HubClient, tls_for
from appliance.sync.receipt import NAMESPACE_RECEIPT
from hw.errors import UNDECODABLE, BadInputError
from hw.sshsig import AllowedSigners, Signer, parse_public_line

PAIRING = "workshop.json"
FETCH_LIMIT_S = 20.0
_MOST_BYTES = 16 << 10


class Pairing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The workshop's address, what its TLS is checked with, and whose receipts count.

    Attributes:
        address: `https://host:port`.
        authority: certificate of the workshop's authority, PEM.
        workshop_key: OpenSSH line of the key that signs receipts and changes.
        name: what the office calls this kit.
    """

    address: str
    authority: str
    workshop_key: str
    name: str

    def client(self, key: Ed25519PrivateKey, address: str = "") -> HubClient:
        """A connection to the hub; at another address it must prove to be the same all the same."""
        name = httpx.URL(self.address).host if address else ""
        return HubClient(address or self.address, tls_for(self.authority), key, name)

    def signers(self) -> AllowedSigners:
        """Whose receipts and changes count."""
        key = parse_public_line(self.workshop_key).public_bytes_raw()
        namespaces = frozenset({NAMESPACE_RECEIPT, NAMESPACE_CHANGE})
        return AllowedSigners((Signer(("workshop",), namespaces, key),))


def load_pairing(state: Path) -> Pairing | None:
    """The workshop of the kit in this state folder, None where it has none.

    Raises:
        BadInputError: the file is damaged.
    """
    path = state / "trust" / PAIRING
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pairing)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        raise BadInputError(
            f"What is known of the workshop cannot be read: {path}: {error}.",
            "Enrol this kit again with a new code of the office.",
        ) from error


def enrol(state: Path, key: Ed25519PrivateKey, code: str) -> Pairing:
    """Let this kit in at a workshop, and keep which one it is.

    Raises:
        UsageError: the code is none.
        BadInputError: who answers there is not the workshop that the code names.
        ComeAgain: nobody answers there.
        Paused: the word in the code is not good any more.
    """
    word = read_code(code)
    address = f"https://{word.host}:{word.port}"
    authority = _fetch_authority(address)
    if authority_fingerprint(authority) != word.authority:
        raise BadInputError(
            f"Who answers at {address} is not the workshop that the code names.",
            "Enrol inside the workshop's own network, with a new code.",
        )
    with HubClient(address, tls_for(authority), key) as hub:
        told = hub.enrol(word.token)
    parse_public_line(told.workshop_key)
    pairing = Pairing(
        address=address, authority=authority, workshop_key=told.workshop_key, name=told.name
    )
    document = msgspec.json.format(msgspec.json.encode(pairing))
    write_durably(state / "trust" / PAIRING, document, 0o644)
    return pairing


def authority_fingerprint(pem: str) -> str:
    """SHA-256 of a certificate's DER, lower-case hex.

    Raises:
        BadInputError: it is no certificate.
    """
    try:
        der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise BadInputError(
            "What should be the workshop's certificate is none.", "Check the workshop's address."
        ) from error
    return hashlib.sha256(der).hexdigest()


def _fetch_authority(address: str) -> str:
    """The certificate that the hub shows; the code's fingerprint decides whether it is trusted."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        answer = httpx.get(f"{address}/v1/authority", verify=blind, timeout=FETCH_LIMIT_S)
    except httpx.HTTPError as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise ComeAgain(f"The workshop was not reached: {reason}.", COMES_AGAIN) from error
    if not answer.is_success or len(answer.content) > _MOST_BYTES:
        raise BadInputError(
            f"No workshop answers at {address}.", "Check the code, and the network of this kit."
        )
    return answer.text
