"""Which texts a customer must have signed before a write, and whether they did.

A plan is of its risk class, and of that of every sensitive part of the ECU that it touches; the
signed profile names these, so that no plan is harmless by calling itself so. What a programming
file makes of trouble codes no program can see: a workshop that programs such files adds
`dtc_modification` to the class `programming` in its configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hw.errors import RefusedError
from hw.messages import Agreement
from hw.plan import Download, RiskClass, Routine, Step, WriteDid, WritePlan
from hw.sshsig import AllowedSigners
from hw.statements import NAMESPACE_AGREEMENT, TEXT_NAMES, AgreementStatement, TextName
from hw.texts import Texts
from hw.trust import Sensitive, SignedProfile, read_statement

FLOOR: Mapping[RiskClass, tuple[TextName, ...]] = MappingProxyType(
    {"immobiliser": ("immobiliser",), "dtc_modification": ("dtc_modification",)}
)
"""What a class always demands. Configuration adds to it and takes nothing away."""


def needed_texts(
    plan: WritePlan, profile: SignedProfile, added: Mapping[RiskClass, Sequence[TextName]]
) -> list[TextName]:
    """The texts that must be signed for a plan, in the order of `TEXT_NAMES`.

    Args:
        plan: what is to be written.
        profile: the signed profile that it was made from.
        added: what the kit's configuration demands besides `FLOOR`.
    """
    classes = {plan.risk.risk_class, *sensitive_classes(plan.steps, profile.sensitive)}
    wanted = {text for one in classes for text in (*FLOOR.get(one, ()), *added.get(one, ()))}
    return [name for name in TEXT_NAMES if name in wanted]


def sensitive_classes(steps: Sequence[Step], parts: Sequence[Sensitive]) -> set[RiskClass]:
    """The risk classes of the sensitive parts of an ECU that these steps write or run."""
    return {part.risk for part in parts if any(_in(part, step) for step in steps)}


def check_agreement(
    plan: WritePlan,
    profile: SignedProfile,
    given: Agreement | None,
    texts: Texts,
    name: TextName,
    signers: AllowedSigners,
) -> str:
    """Check that the customer signed the text that holds now, for the job and car of this plan.

    It names the job, whose id is drawn at random when the job is opened: so none is older than its
    job, which no clock need prove. A recovery takes older versions of the text, too: a customer who
    agreed before the write was interrupted is not asked again to have it finished.

    Args:
        plan: what is to be written.
        profile: the signed profile that it was made from.
        given: the agreement, None where there is none.
        texts: the kit's texts of this name.
        name: the text that is needed.
        signers: who may witness.

    Returns:
        Who signed what before whom, for the record.

    Raises:
        FieldKitError: it is missing, edited, not witnessed by a technician of this kit, or is of
            another text, job or car.
    """
    if given is None:
        raise _refusal(f"The customer has not signed the text '{name}' for this job.", _SIGN)
    statement, principal = read_statement(
        given.document, given.signature, AgreementStatement, NAMESPACE_AGREEMENT, signers
    )
    if principal != f"technician:{statement.technician}":
        raise _refusal(f"The agreement '{name}' is not signed by its witness.", _SIGN)
    if statement.text != name:
        raise _refusal(f"The agreement is to '{statement.text}', not to '{name}'.", _SIGN)
    if statement.job != plan.job:
        raise _refusal(f"The agreement '{name}' is of another job.", _SIGN)
    if any(vin != statement.vin for vin in _vins(plan, profile)):
        raise _refusal(
            f"The agreement '{name}' is for the car {statement.vin}; another one is on the cable.",
            "Connect the car that the customer agreed for, or open a job for this one.",
        )
    accepted = texts.all if plan.recovers else texts.held.values()
    if statement.text_sha256 not in {text.sha256 for text in accepted}:
        raise _refusal(f"The agreement '{name}' is to words that do not hold now.", _SIGN)
    return (
        f"version {statement.version} ({statement.language}) {statement.text_sha256}, signed by "
        f"{statement.customer}, witnessed by {statement.technician}"
    )


_SIGN = "Have the customer read the text on the screen and sign it."


def _refusal(what: str, next_step: str) -> RefusedError:
    return RefusedError("CUSTOMER_AGREEMENT", what, next_step)


def _vins(plan: WritePlan, profile: SignedProfile) -> list[str]:
    """What the plan's ECU says that its car is; nothing where it does not know."""
    dids = {item.did for item in profile.identification if item.role == "vin"}
    raw = [bytes.fromhex(item.value) for item in plan.target.identity if item.did in dids]
    return [value.rstrip(b"\x00 ").decode("latin-1") for value in raw]


def _in(part: Sensitive, step: Step) -> bool:
    """Does a step write this part, or run it?"""
    if isinstance(step, Download) and part.address is not None:
        end = step.address + step.uncompressed_size
        return step.address < part.end and part.address < end
    return (isinstance(step, WriteDid) and step.did == part.did) or (
        isinstance(step, Routine) and step.rid == part.rid
    )
