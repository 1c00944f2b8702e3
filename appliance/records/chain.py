"""The chain of a job: making events, and finding out whether anybody changed one.

An event's `prev_hash` is the SHA-256 of the event before it (64 zeros for the first), over exactly
its canonical bytes; the kit signs every event's hash, and a head that says how many events there
are and which is the last. So any byte that is changed, any event that is taken out, put in, or
moved, and any event that is cut off the end while the head stays, is found.

What cannot be found from the record alone: that the end was cut off *and* an older head, which the
kit did sign once, was put back. That shows only against a head kept elsewhere: in an exported
record, on a printed report, at the workshop. `verify_chain` takes such a head as `known`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from appliance.records.errors import ChainBroken
from appliance.records.events import EVENT_FORMAT, Body, Event, JobCreated, kind_of
from hw.plan import Sha256
from hw.sshsig import AllowedSigners, SignatureError, sign, verify
from hw.statements import NAMESPACE_RECORD, Moment

NO_EVENT = "0" * 64
"""`prev_hash` of the first event."""


class _EventDocument(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: Literal["fieldkit-event/1"]
    job: str
    seq: Annotated[int, Meta(ge=1)]
    prev_hash: Sha256
    kind: str
    at: Moment
    body: dict[str, Any]


class Head(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a chain is and which event is its last: the shortest word for a whole record."""

    format: Literal["fieldkit-head/1"]
    job: str
    length: Annotated[int, Meta(ge=1)]
    head: Sha256


@dataclass(frozen=True)
class SignedHead:
    """A head as the kit signed it: canonical JSON and its armoured SSHSIG."""

    head: Head
    document: bytes
    signature: bytes


@dataclass(frozen=True)
class Verified:
    """A chain that was computed again and found whole.

    Attributes:
        head: its head.
        signer: the principal who signed every event and the head.
        events: all events, in order.
    """

    head: Head
    signer: str
    events: tuple[Event, ...]


def make_event(
    job: str, seq: int, prev_hash: str, at: Moment, body: Body, key: Ed25519PrivateKey
) -> Event:
    """Write and sign the next event of a chain."""
    fields = msgspec.to_builtins(body)
    del fields["kind"]  # it stands beside the body, not in it
    document = rfc8785.dumps(
        {
            "format": EVENT_FORMAT,
            "job": job,
            "seq": seq,
            "prev_hash": prev_hash,
            "kind": kind_of(body),
            "at": msgspec.to_builtins(at),
            "body": fields,
        }
    )
    name = hashlib.sha256(document).hexdigest()
    signature = sign(name.encode(), key, NAMESPACE_RECORD)
    return Event(
        job=job,
        seq=seq,
        prev_hash=prev_hash,
        at=at,
        body=body,
        document=document,
        hash=name,
        signature=signature,
    )


def make_head(last: Event, key: Ed25519PrivateKey) -> SignedHead:
    """Sign a chain up to its last event."""
    head = Head(format="fieldkit-head/1", job=last.job, length=last.seq, head=last.hash)
    document = rfc8785.dumps(msgspec.to_builtins(head))
    return SignedHead(head, document, sign(document, key, NAMESPACE_RECORD))


def read_event(job: str, seq: int, document: bytes, signature: bytes) -> Event:
    """Decode one event as it was written; `verify_chain` is what proves it.

    Args:
        job: whose event it must be.
        seq: which event it must be.
        document: its canonical bytes.
        signature: the armoured signature that belongs to it.

    Raises:
        ChainBroken: the bytes are no event of this program, or another event.
    """
    try:
        raw = msgspec.json.decode(document, type=_EventDocument)
        body: Body = msgspec.convert({**raw.body, "kind": raw.kind}, Body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ChainBroken(job, seq, f"it cannot be read: {error}") from error
    if "kind" in raw.body:
        raise ChainBroken(job, seq, "it is not in canonical form")
    if raw.job != job or raw.seq != seq:
        raise ChainBroken(job, seq, f"here stands event {raw.seq} of job {raw.job}")
    return Event(
        job=job,
        seq=seq,
        prev_hash=raw.prev_hash,
        at=raw.at,
        body=body,
        document=document,
        hash=hashlib.sha256(document).hexdigest(),
        signature=signature,
    )


def read_head(job: str, document: bytes, signature: bytes) -> SignedHead:
    """Decode a head; its signature is not checked here.

    Raises:
        ChainBroken: the bytes are no head of this job.
    """
    try:
        head = msgspec.json.decode(document, type=Head)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ChainBroken(job, 0, f"its head cannot be read: {error}") from error
    if head.job != job:
        raise ChainBroken(job, 0, f"its head is that of job {head.job}")
    return SignedHead(head, document, signature)


def verify_chain(
    job: str,
    rows: Iterable[tuple[bytes, bytes]],
    head: SignedHead,
    signers: AllowedSigners,
    known: Sequence[Head] = (),
) -> Verified:
    """Compute a chain again: form, order, every hash, every signature, the head.

    Args:
        job: the job.
        rows: `(document, signature)` of every event, in order.
        head: the signed head that is kept beside them.
        signers: who may sign records.
        known: heads kept elsewhere, which this chain must contain or have grown from.

    Raises:
        ChainBroken: anything does not fit; names the first event.
    """
    verified = verify_part(job, 1, NO_EVENT, rows, head, signers)
    for one in known:
        _check_known(job, verified.events, one)
    return verified


def verify_part(
    job: str,
    first: int,
    previous: str,
    rows: Iterable[tuple[bytes, bytes]],
    head: SignedHead,
    signers: AllowedSigners,
) -> Verified:
    """As `verify_chain`, for the end of a chain whose beginning was proven before.

    Args:
        job: the job.
        first: number of the first event of the part.
        previous: hash of the event before it, `NO_EVENT` where there is none.
        rows: `(document, signature)` of every event from there on, in order.
        head: the signed head that is kept beside them.
        signers: who may sign records.

    Raises:
        ChainBroken: anything does not fit; names the first event.
    """
    events: list[Event] = []
    signer = _check_signature(job, 0, head.document, head.signature, signers)
    for seq, (document, signature) in enumerate(rows, start=first):
        event = read_event(job, seq, document, signature)
        _check_canonical(job, seq, document)
        if event.prev_hash != previous:
            raise ChainBroken(job, seq, "it does not follow the event before it")
        if isinstance(event.body, JobCreated) != (seq == 1):
            raise ChainBroken(job, seq, "a job begins with its creation and only there")
        by = _check_signature(job, seq, event.hash.encode(), signature, signers)
        if by != signer:
            raise ChainBroken(job, seq, f"it is signed by '{by}', its head by '{signer}'")
        previous = event.hash
        events.append(event)
    _check_end(job, first, events, head.head)
    return Verified(head.head, signer, tuple(events))


def _check_canonical(job: str, seq: int, document: bytes) -> None:
    """One event has one form: two documents that say the same would have two hashes."""
    try:
        canonical = rfc8785.dumps(msgspec.json.decode(document))
    except rfc8785.CanonicalizationError as error:
        raise ChainBroken(job, seq, f"it cannot be read: {error}") from error
    if canonical != document:
        raise ChainBroken(job, seq, "it is not in canonical form")


def _check_signature(
    job: str, seq: int, message: bytes, signature: bytes, signers: AllowedSigners
) -> str:
    try:
        return verify(message, signature, NAMESPACE_RECORD, signers)
    except SignatureError as error:
        what = error.what.rstrip(".")
        raise ChainBroken(job, seq, f"{'' if seq else 'its head: '}{what}") from error


def _check_end(job: str, first: int, events: Sequence[Event], head: Head) -> None:
    length = first - 1 + len(events)
    if length != head.length or not events:
        reason = f"there are {length} events, its head says {head.length}"
        raise ChainBroken(job, min(length, head.length) + 1, reason)
    if events[-1].hash != head.head:
        raise ChainBroken(job, head.length, "it is not the last event that its head names")


def _check_known(job: str, events: Sequence[Event], known: Head) -> None:
    if known.job != job:
        raise ChainBroken(job, 0, f"the head kept elsewhere is that of job {known.job}")
    if known.length > len(events):
        reason = f"a head kept elsewhere has {known.length} events, here are {len(events)}"
        raise ChainBroken(job, len(events) + 1, f"the end was cut off: {reason}")
    if events[known.length - 1].hash != known.head:
        raise ChainBroken(job, known.length, "a head kept elsewhere names another event here")
