"""Which texts a plan needs, and that nothing but the customer's own agreement to them passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hw.agreement import FLOOR, check_agreement, needed_texts
from hw.errors import BadInputError, FieldKitError, RefusedError
from hw.messages import Agreement
from hw.plan import (
    CheckDid,
    Download,
    IdentityValue,
    Risk,
    RiskClass,
    Routine,
    Session,
    Step,
    WriteDid,
)
from hw.sim.fleet import VIN
from hw.sshsig import SignatureError, public_line, sign
from hw.statements import (
    MAX_POINTS,
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_AGREEMENT,
    TEXT_NAMES,
    TextName,
)
from hw.texts import Text, Texts, kept_texts
from hw.trust import Identification, Sensitive, SignedProfile, load_signers
from tests.hw.agreements import signed, statement, trust_witness
from tests.kit import JOB, WINDOW, Kit

RISK_CLASSES = get_args(RiskClass)
VIN_DID = 0xF190
OLD = Text(language="en", version=1, content="Keys\nOld words.\n")


class Case:
    """A valid agreement for a valid plan; a test changes one thing of it."""

    def __init__(self, folder: Path) -> None:
        self.kit = Kit(folder, "ina219+sim:///none")
        trust_witness(self.kit)
        self.plan = self.kit.plan("can://virtual/test?tx=0x7E0&rx=0x7E8", b"payload")
        self.profile = SignedProfile(
            name="sim-engine",
            voltage=WINDOW,
            identification=[
                Identification(did=0xF18C, role="serial_number"),
                Identification(did=VIN_DID, role="vin"),
            ],
        )
        self.texts = kept_texts(self.kit.state, "immobiliser")
        self.name: TextName = "immobiliser"

    def agreed(self, **changes: Any) -> Agreement:
        """The customer's agreement, with some fields changed before it is signed."""
        return signed(statement(**changes), self.kit.keys.technician)

    def check(self, given: Agreement | None) -> str:
        """What is recorded of it, where it is accepted."""
        signers = load_signers(self.kit.state)
        return check_agreement(self.plan, self.profile, given, self.texts, self.name, signers)

    def refused(self, given: Agreement | None) -> tuple[str, str]:
        """Why it is refused, by which gate it must be, and what to do."""
        with pytest.raises(RefusedError) as error:
            self.check(given)
        assert error.value.gate == "CUSTOMER_AGREEMENT"
        return error.value.what, error.value.next_step

    def plan_for(self, *steps: Step, risk: RiskClass = "coding", **changes: Any) -> None:
        """Another plan: of a class, with these steps."""
        self.plan = msgspec.structs.replace(
            self.plan, steps=[*steps], risk=Risk(risk_class=risk, text="risk"), **changes
        )

    def needed(self, added: Mapping[RiskClass, Sequence[TextName]] | None = None) -> list[TextName]:
        """The texts that the plan needs."""
        return needed_texts(self.plan, self.profile, added or {})


@pytest.fixture
def case(short_tmp: Path) -> Case:
    return Case(short_tmp)


SIGN = "Have the customer read the text on the screen and sign it."


# What is needed -----------------------------------------------------------------------------------


def test_two_classes_need_a_text_whatever_is_configured_and_the_others_none(case: Case) -> None:
    found = {}
    for risk in RISK_CLASSES:
        case.plan_for(Session(session=3), risk=risk)
        found[risk] = case.needed()
    assert found == {
        "coding": [],
        "programming": [],
        "restore": [],
        "immobiliser": ["immobiliser"],
        "dtc_modification": ["dtc_modification"],
    }


@pytest.mark.parametrize("risk", sorted(FLOOR))
def test_configuration_adds_and_takes_nothing_away(case: Case, risk: RiskClass) -> None:
    case.plan_for(Session(session=3), risk=risk)
    assert case.needed({risk: []}) == list(FLOOR[risk])
    assert case.needed({risk: ["terms"]}) == ["terms", *FLOOR[risk]]
    assert case.needed({risk: FLOOR[risk]}) == list(FLOOR[risk])
    with pytest.raises(TypeError):
        FLOOR[risk] = ()  # type: ignore[index]  # that it cannot be done is what is shown


def test_configuration_adds_to_its_own_class_alone(case: Case) -> None:
    case.plan_for(Session(session=3), risk="programming")
    assert case.needed({"coding": ["terms"]}) == []
    assert case.needed({"programming": ["dtc_modification", "terms"]}) == [
        "terms",
        "dtc_modification",
    ]


def _routine(rid: int) -> Routine:
    return Routine(sub_function=1, rid=rid, option="", expect="00", purpose="other", timeout_s=1.0)


def _download(address: int, size: int) -> Download:
    return Download(
        payload=0,
        address=address,
        address_width=4,
        length_width=4,
        data_format=0,
        uncompressed_size=size,
    )


@pytest.mark.parametrize(
    ("step", "touches"),
    [
        (WriteDid(did=0x0601, data="01"), True),
        (WriteDid(did=0x0600, data="01"), False),
        (Session(session=1), False),
        (CheckDid(did=0x0601, expect="01"), False),
        (_routine(0x0601), False),
        (_download(0x0601, 1), False),
    ],
)
def test_a_sensitive_did_makes_the_plan_need_its_text_whatever_it_calls_itself(
    case: Case, step: Step, touches: bool
) -> None:
    case.profile = msgspec.structs.replace(
        case.profile, sensitive=[Sensitive(risk="immobiliser", did=0x0601)]
    )
    for risk in ("coding", "programming", "restore"):
        case.plan_for(Session(session=3), step, risk=risk)
        assert case.needed() == (["immobiliser"] if touches else [])


@pytest.mark.parametrize(("rid", "touches"), [(0x0310, True), (0x0311, False)])
def test_a_sensitive_routine_needs_its_text(case: Case, rid: int, touches: bool) -> None:
    case.profile = msgspec.structs.replace(
        case.profile, sensitive=[Sensitive(risk="dtc_modification", rid=0x0310)]
    )
    case.plan_for(_routine(rid))
    assert case.needed() == (["dtc_modification"] if touches else [])
    case.plan_for(WriteDid(did=0x0310, data="01"))
    assert case.needed() == []  # a DID of the same number is something else


@pytest.mark.parametrize(
    ("address", "size", "touches"),
    [
        (0x0FF0, 0x10, False),
        (0x0FF0, 0x11, True),
        (0x1000, 0x01, True),
        (0x10FF, 0x01, True),
        (0x1100, 0x10, False),
        (0x0F00, 0x400, True),
    ],
)
def test_sensitive_memory_needs_its_text_from_the_first_byte_to_the_last(
    case: Case, address: int, size: int, touches: bool
) -> None:
    case.profile = msgspec.structs.replace(
        case.profile, sensitive=[Sensitive(risk="immobiliser", address=0x1000, size=0x100)]
    )
    case.plan_for(_download(address, size), risk="programming")
    assert case.needed() == (["immobiliser"] if touches else [])


def test_sensitive_parts_of_two_classes_need_both_texts_and_what_each_adds(case: Case) -> None:
    case.profile = msgspec.structs.replace(
        case.profile,
        sensitive=[
            Sensitive(risk="dtc_modification", did=0x0602),
            Sensitive(risk="immobiliser", did=0x0601),
            Sensitive(risk="immobiliser", address=0, size=1),
        ],
    )
    case.plan_for(WriteDid(did=0x0602, data="01"), WriteDid(did=0x0601, data="01"), risk="restore")
    assert case.needed() == ["immobiliser", "dtc_modification"]
    assert case.needed({"immobiliser": ["terms"]}) == list(TEXT_NAMES)
    case.plan_for(_download(4, 4), WriteDid(did=0x0602, data="01"))
    assert case.needed() == ["dtc_modification"]


# What is accepted ---------------------------------------------------------------------------------


def test_the_customers_own_agreement_passes_and_says_who_signed_what(case: Case) -> None:
    text = case.texts.held["en"]
    assert case.check(case.agreed()) == (
        f"version 1 (en) {text.sha256}, signed by Thandi Nkosi, witnessed by anna"
    )


@pytest.mark.parametrize("language", ["en", "af", "de"])
def test_it_may_be_signed_in_any_language_of_the_text(case: Case, language: str) -> None:
    digest = case.texts.held[language].sha256
    assert f"({language}) {digest}" in case.check(
        case.agreed(language=language, text_sha256=digest)
    )


def test_it_holds_after_a_new_start_of_the_kit(case: Case) -> None:
    made = msgspec.structs.replace(statement().made, boot_id="another", boottime=5e6)
    case.check(case.agreed(made=made))


def test_without_one_it_is_asked_for(case: Case) -> None:
    assert case.refused(None) == (
        "The customer has not signed the text 'immobiliser' for this job.",
        SIGN,
    )


def test_an_agreement_of_another_job_is_refused_and_so_of_any_earlier_one(case: Case) -> None:
    earlier = "0190a0af-0000-7000-8000-000000000001"
    for job in (earlier, f"{JOB}0"):
        assert case.refused(case.agreed(job=job)) == (
            "The agreement 'immobiliser' is of another job.",
            SIGN,
        )


def test_an_agreement_for_another_car_is_refused(case: Case) -> None:
    what, next_step = case.refused(case.agreed(vin="WFKZZZ8K1TA000018"))
    car = "WFKZZZ8K1TA000018; another one is on the cable."
    assert what == f"The agreement 'immobiliser' is for the car {car}"
    assert next_step == "Connect the car that the customer agreed for, or open a job for this one."


@pytest.mark.parametrize("padding", [b"", b"\x00\x00", b"  ", b" \x00 "])
def test_a_vin_is_compared_without_its_padding(case: Case, padding: bytes) -> None:
    _tell_vin(case, VIN + padding)
    case.check(case.agreed())
    _tell_vin(case, b" " + VIN)
    case.refused(case.agreed())


def test_a_vin_that_is_no_text_is_another_car(case: Case) -> None:
    _tell_vin(case, b"\xff" * 17)
    case.refused(case.agreed())


def _tell_vin(case: Case, raw: bytes) -> None:
    rest = [item for item in case.plan.target.identity if item.did != VIN_DID]
    identity = [*rest, IdentityValue(did=VIN_DID, value=raw.hex())]
    target = msgspec.structs.replace(case.plan.target, identity=identity)
    case.plan = msgspec.structs.replace(case.plan, target=target)


def test_an_ecu_that_does_not_know_its_car_is_bound_by_the_job_alone(case: Case) -> None:
    case.profile = msgspec.structs.replace(case.profile, identification=[])
    case.check(case.agreed(vin="WFKZZZ8K1TA000018"))
    case.refused(case.agreed(vin="WFKZZZ8K1TA000018", job="another"))


def test_an_agreement_to_another_text_is_refused(case: Case) -> None:
    assert case.refused(case.agreed(text="terms")) == (
        "The agreement is to 'terms', not to 'immobiliser'.",
        SIGN,
    )
    terms = kept_texts(case.kit.state, "terms").held["en"].sha256
    assert case.refused(case.agreed(text_sha256=terms)) == (
        "The agreement 'immobiliser' is to words that do not hold now.",
        SIGN,
    )


def test_a_text_that_was_superseded_must_be_signed_anew_but_for_a_recovery(case: Case) -> None:
    case.texts = Texts(held=case.texts.held, all=[*case.texts.all, OLD])
    given = case.agreed(text_sha256=OLD.sha256)
    case.refused(given)
    case.plan_for(Session(session=3), recovers="0" * 64)
    assert OLD.sha256 in case.check(given)
    case.refused(case.agreed(text_sha256="1" * 64))


def test_where_the_kit_has_no_such_text_nothing_is_signed(case: Case) -> None:
    case.texts = Texts(held={}, all=[])
    case.refused(case.agreed())


# Who signed ---------------------------------------------------------------------------------------


def test_a_witness_who_signs_in_anothers_name_is_refused(case: Case) -> None:
    assert case.refused(case.agreed(technician="bert")) == (
        "The agreement 'immobiliser' is not signed by its witness.",
        SIGN,
    )


def test_the_kit_itself_is_no_witness(case: Case) -> None:
    trust = case.kit.state / "trust" / "allowed_signers"
    line = f'kit namespaces="{NAMESPACE_AGREEMENT}" {public_line(case.kit.keys.kit)}\n'
    trust.write_text(trust.read_text() + line)
    for name in ("kit", "anna"):
        case.refused(signed(statement(technician=name), case.kit.keys.kit))


def test_a_stranger_is_no_witness(case: Case) -> None:
    with pytest.raises(SignatureError):
        case.check(signed(statement(), Ed25519PrivateKey.generate()))


def test_a_technician_whose_key_was_taken_off_the_kit_is_no_witness(case: Case) -> None:
    given = case.agreed()
    trust = case.kit.state / "trust" / "allowed_signers"
    kept = [line for line in trust.read_text().splitlines() if not line.startswith("technician")]
    trust.write_text("\n".join([*kept, ""]))
    with pytest.raises(SignatureError):
        case.check(given)


def test_a_signature_for_another_purpose_is_none(case: Case) -> None:
    given = signed(statement(), case.kit.keys.technician, NAMESPACE_ACKNOWLEDGMENT)
    with pytest.raises(SignatureError):
        case.check(given)


def test_an_edited_agreement_is_none(case: Case) -> None:
    given = case.agreed(job="another")
    edited = given.document.replace(b"another", JOB.encode())
    assert edited != given.document
    with pytest.raises(SignatureError):
        case.check(Agreement(document=edited, signature=given.signature))


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"\xff"])
def test_what_is_no_agreement_is_refused_in_words(case: Case, document: bytes) -> None:
    made = case.agreed()
    with pytest.raises(FieldKitError):
        case.check(Agreement(document=document, signature=made.signature))


@pytest.mark.parametrize(
    "change",
    [
        {"strokes": []},
        {"strokes": [[]]},
        {"strokes": [[(0, 0, n) for n in range(MAX_POINTS)], [(0, 0, 0)]]},
        {"strokes": [[(1001, 0, 0)]]},
        {"strokes": [[(0, -1, 0)]]},
        {"strokes": [[(0, 0, -1)]]},
        {"customer": ""},
        {"customer": "x" * 101},
        {"version": 0},
        {"vin": ""},
        {"job": ""},
        {"text": "warranty"},
        {"format": "fieldkit-agreement/2"},
    ],
)
def test_a_signed_statement_that_says_nothing_is_refused(
    case: Case, change: dict[str, Any]
) -> None:
    fields = msgspec.to_builtins(statement()) | change
    document = msgspec.json.encode(fields)
    given = Agreement(
        document=document,
        signature=sign(document, case.kit.keys.technician, NAMESPACE_AGREEMENT),
    )
    with pytest.raises(BadInputError, match="AgreementStatement"):
        case.check(given)


def test_the_longest_signature_passes(case: Case) -> None:
    case.check(case.agreed(strokes=[[(0, 0, n) for n in range(MAX_POINTS)]]))
