"""What a compiler gives: the canonical document of a plan, its payload and what was checked."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import rfc8785

from hw.errors import BadInputError
from hw.plan import IdentityValue, WritePlan, decode_plan, digest_of


class PlanError(BadInputError):
    """What is wished for cannot be made into a plan; nothing was sent to the car."""

    code = "plan"


@dataclass(frozen=True)
class CompiledPlan:
    """A plan ready for evidence and permit.

    Attributes:
        document: the plan in RFC 8785 canonical form; exactly these bytes are hashed and sent.
        digest: SHA-256 of `document`, which names the plan.
        plan: the document, decoded.
        payload: all payloads back to back, as `hw` takes them.
        container: what the payload came from, as `ChecksStatement.container` names it.
        container_sha256: SHA-256 of that file, empty where there is none.
        checks: each check made, by name, for `ChecksStatement.checks`.
        compatibility: values demanded of identifying DIDs, for `ChecksStatement.compatibility`;
            `hw` compares them with the ECU on the cable.
        preconditions: further values that the plan rests on (other identification demanded by file
            or profile, coding that was read and is modified). They may have changed since: read
            them again before the gates and make the plan anew when one differs.
    """

    document: bytes = field(repr=False)
    digest: str
    plan: WritePlan
    payload: bytes = field(repr=False)
    container: str
    container_sha256: str
    checks: tuple[str, ...]
    compatibility: tuple[IdentityValue, ...]
    preconditions: tuple[IdentityValue, ...]


def encode_plan(plan: WritePlan) -> bytes:
    """The plan's canonical bytes (RFC 8785), which its digest is taken over."""
    return rfc8785.dumps(msgspec.to_builtins(plan))


def compiled(
    plan: WritePlan,
    payload: bytes,
    *,
    container: str,
    container_sha256: str,
    checks: tuple[str, ...],
    demanded: dict[int, str],
) -> CompiledPlan:
    """Encode a plan and sort what it demands into what `hw` compares and what it cannot.

    Args:
        plan: the plan.
        payload: its payload file.
        container: what the payload came from.
        container_sha256: SHA-256 of that file, or empty.
        checks: names of the checks made.
        demanded: DID -> value (hex) that the plan rests on.
    """
    document = encode_plan(plan)
    identity = {item.did for item in plan.target.identity}
    values = [IdentityValue(did=did, value=value) for did, value in sorted(demanded.items())]
    return CompiledPlan(
        document=document,
        digest=digest_of(document),
        plan=decode_plan(document),
        payload=payload,
        container=container,
        container_sha256=container_sha256,
        checks=checks,
        compatibility=tuple(value for value in values if value.did in identity),
        preconditions=tuple(value for value in values if value.did not in identity),
    )
