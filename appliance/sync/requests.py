"""Signed requests (RFC 9421): every request of a kit names its key and cannot be sent twice.

Covered are the method, the path, the query and, by its digest, the body. `created` is the hub's
time, which a kit learns from the `Date` of any answer: a kit whose clock stands at 1970 or at 2038
signs as well as any other. A nonce makes each request one of its own; the hub keeps those it saw
for as long as it would accept their `created`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from appliance.errors import NotPermittedError
from hw.sshsig import fingerprint

TAG = "fieldkit-sync"
COVERED = ("@method", "@path", "@query")
MAX_AGE_S = 300
NONCE_BYTES = 18
_HOST = "https://hub"
"""Only path and query are covered: a hub has more than one name and address."""


class NotSigned(NotPermittedError):
    """A request is not signed, not by a kit of this workshop, too old, or was sent before."""

    code = "not_signed"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The request is not signed as it must be: {reason}.",
            "Check that this kit is enrolled, and enrol it again if it is not.",
        )


@dataclass
class _Message:
    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Caller:
    """Who signed a request, and the nonce that makes it one of its own."""

    kit: str
    nonce: str
    created: int


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, find: Callable[[str], Ed25519PublicKey | Ed25519PrivateKey | None]) -> None:
        self._find = find

    def resolve_public_key(self, key_id: str) -> Any:
        return self._find(key_id)

    def resolve_private_key(self, key_id: str) -> Any:
        return self._find(key_id)


def kit_id(key: Ed25519PublicKey) -> str:
    """By what a kit is known: its key's fingerprint, as `ssh-keygen -l` prints it."""
    return fingerprint(key)


def sign_request(
    key: Ed25519PrivateKey, method: str, target: str, body: bytes, hub_time: float
) -> dict[str, str]:
    """The headers that sign a request.

    Args:
        key: the kit's.
        method: upper case.
        target: path and query.
        body: exactly as it is sent.
        hub_time: the hub's clock, in seconds since 1970.
    """
    message = _Message(method, _HOST + target, {})
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519, key_resolver=_Keys(lambda _id: key)
    )
    signer.sign(
        message,
        key_id=kit_id(key.public_key()),
        created=datetime.fromtimestamp(int(hub_time), UTC),
        nonce=secrets.token_urlsafe(NONCE_BYTES),
        tag=TAG,
        label="kit",
        covered_component_ids=COVERED,
        body=body,
    )
    return message.headers


def check_request(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    key_of: Callable[[str], Ed25519PublicKey | None],
) -> Caller:
    """Who signed this request?

    That the nonce was not seen before is the caller's to see to.

    Args:
        method, target, headers, body: as they came.
        key_of: the key of a kit by its id, None for one that is not known.

    Raises:
        NotSigned: nobody whom this workshop knows did, or not for this.
    """
    wanted = ("signature-input", "signature", "content-digest")
    message = _Message(
        method, _HOST + target, {name: headers[name] for name in wanted if name in headers}
    )
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519, key_resolver=_Keys(key_of)
    )
    verifier.max_clock_skew = timedelta(seconds=MAX_AGE_S)
    try:
        (found,) = verifier.verify(
            message,
            max_age=timedelta(0),  # and the skew, on either side
            expect_tag=TAG,
            require_components=(*COVERED, "content-digest"),
            body=body,
        )
    except (InvalidSignature, HTTPMessageSignaturesException, ValueError) as error:
        reason = str(error).rstrip(".") or "the signature does not fit the request"
        raise NotSigned(reason) from error
    parameters = found.parameters
    nonce = str(parameters.get("nonce") or "")
    if len(nonce) < NONCE_BYTES:
        raise NotSigned("it has no nonce")
    return Caller(str(parameters["keyid"]), nonce, int(parameters["created"]))
