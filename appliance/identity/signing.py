"""What the opened kit signs: acknowledgments, agreements, the kit's checks, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import rfc8785
from msgspec import Struct

from appliance.durable import write_durably
from appliance.errors import NotPermittedError
from appliance.identity.unlocking import Unlocked
from appliance.identity.wallclock import moment
from hw.errors import BadInputError
from hw.messages import Acknowledgment, Agreement
from hw.plan import IdentityValue
from hw.sshsig import sign
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_AGREEMENT,
    NAMESPACE_CHECKS,
    NAMESPACE_PROFILE,
    AcknowledgmentStatement,
    AgreementStatement,
    ChecksStatement,
    Point,
    TextName,
)
from hw.texts import Text


def canonical(document: Struct) -> bytes:
    """A document as RFC 8785 canonical JSON: the exact bytes that are signed and hashed."""
    return rfc8785.dumps(msgspec.to_builtins(document))


def sign_acknowledgment(unlocked: Unlocked, plan_digest: str, risk_digest: str) -> Acknowledgment:
    """The technician's word that they read this risk text for this plan and accept it.

    Call it only while they hold the button or gave the digest of the risk text themselves.

    Args:
        unlocked: the kit, opened by the one who acknowledges.
        plan_digest: `hw.plan.digest_of` the plan, lower-case hex.
        risk_digest: `hw.plan.Risk.digest` of the text that they saw.
    """
    statement = AcknowledgmentStatement(
        format="fieldkit-acknowledgment/1",
        plan_digest=plan_digest,
        risk_digest=risk_digest,
        technician=unlocked.technician.name,
        role=unlocked.technician.role,
        made=moment(),
    )
    document = canonical(statement)
    key = unlocked.technician.signing_key
    return Acknowledgment(
        document=document, signature=sign(document, key, NAMESPACE_ACKNOWLEDGMENT)
    )


def sign_agreement(
    unlocked: Unlocked,
    name: TextName,
    text: Text,
    *,
    customer: str,
    strokes: Sequence[Sequence[Point]],
    job: str,
    vin: str,
) -> Agreement:
    """The technician's word that the customer read this text before them and signed it.

    Args:
        unlocked: the kit, opened by the one who witnesses.
        name: what the text is.
        text: the words that the customer saw.
        customer: who signed.
        strokes: what their finger drew.
        job: id of the job.
        vin: the car.
    """
    statement = AgreementStatement(
        format="fieldkit-agreement/1",
        text=name,
        version=text.version,
        language=text.language,
        text_sha256=text.sha256,
        customer=customer,
        strokes=[list(stroke) for stroke in strokes],
        job=job,
        vin=vin,
        technician=unlocked.technician.name,
        role=unlocked.technician.role,
        made=moment(),
    )
    document = canonical(statement)
    key = unlocked.technician.signing_key
    return Agreement(document=document, signature=sign(document, key, NAMESPACE_AGREEMENT))


def sign_checks(
    unlocked: Unlocked,
    *,
    plan_digest: str,
    container: str,
    container_sha256: str,
    checks: Sequence[str],
    compatibility: Sequence[IdentityValue],
) -> tuple[bytes, bytes]:
    """The kit's word that the container behind a plan is whole and fits the ECU.

    The arguments are the fields of `hw.statements.ChecksStatement`; the caller has done the checks.

    Returns:
        The canonical document and its armoured signature.
    """
    statement = ChecksStatement(
        format="fieldkit-checks/1",
        plan_digest=plan_digest,
        container=container,
        container_sha256=container_sha256,
        checks=list(checks),
        compatibility=list(compatibility),
        made=moment(),
    )
    document = canonical(statement)
    return document, sign(document, unlocked.kit_key, NAMESPACE_CHECKS)


def sign_profile(unlocked: Unlocked, path: Path) -> Path:
    """Sign a profile with the workshop's key; the signature lies beside it as `<file>.sig`.

    Returns:
        The path of the signature.

    Raises:
        NotPermittedError: this kit does not hold the workshop's key, or an owner must do it: a
            profile decides what is sent to cars.
        BadInputError: the file cannot be read or the signature not be written.
    """
    if unlocked.workshop_key is None:
        raise NotPermittedError(
            "This kit does not hold the workshop's signing key.",
            "Let the workshop sign the profile.",
        )
    if unlocked.technician.role != "owner":
        raise NotPermittedError(
            "Only an owner can sign a profile.", "Ask an owner of this kit to do it."
        )
    signature = path.with_name(path.name + ".sig")
    try:
        signed = sign(path.read_bytes(), unlocked.workshop_key, NAMESPACE_PROFILE)
        write_durably(signature, signed, 0o644)
    except OSError as error:
        raise BadInputError(
            f"The profile {path} cannot be signed: {error}.", "Check the file and its folder."
        ) from error
    return signature
