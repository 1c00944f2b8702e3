"""A write that needs the customer's agreement, through the real daemon and the simulated car."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hw.messages import Agreement, Evidence, GateReport
from hw.plan import CheckDid, Risk, Session, Unlock, WriteDid, WritePlan
from hw.statements import NAMESPACE_ACKNOWLEDGMENT, NAMESPACE_AGREEMENT
from tests.hw.agreements import add_to_profile, signed, statement, trust_witness
from tests.kit import Car, Kit, canonical

READ_DATA = 0x22
CODING_DID = 0x0600
NEW = "0231000a"
PROFILE = f"""
[[identification]]
did = 0xF190
role = "vin"

[[sensitive]]
risk = "immobiliser"
did = {CODING_DID}
"""


@pytest.fixture
def car(short_tmp: Path) -> Iterator[Car]:
    car = Car(short_tmp / "car")
    yield car
    car.close()


@pytest.fixture
def kit(short_tmp: Path, car: Car) -> Iterator[Kit]:
    kit = Kit(short_tmp / "kit", car.info["sensor"])
    trust_witness(kit)
    add_to_profile(kit, PROFILE)
    kit.start()
    yield kit
    kit.stop()


def _plan(kit: Kit, car: Car) -> WritePlan:
    """Codes a DID that the profile calls the immobiliser's, in a plan that calls itself coding."""
    return kit.plan(
        car.link("can"),
        b"",
        profile_sha256=hashlib.sha256(kit.profile.read_bytes()).hexdigest(),
        risk=Risk(risk_class="coding", text="Only coding."),
        payloads=[],
        steps=[
            Session(session=0x03),
            Unlock(level=0x03, provider="constant-xor", params={"key": "a5c3f00d"}),
            WriteDid(did=CODING_DID, data=NEW),
            CheckDid(did=CODING_DID, expect=NEW),
        ],
        restore=[],
    )


def _agreement(kit: Kit, **changes: Any) -> Agreement:
    return signed(statement(**changes), kit.keys.technician)


def _edited(kit: Kit) -> Agreement:
    given = _agreement(kit, customer="Somebody Else")
    document = given.document.replace(b"Somebody Else", b"Thandi Nkosi")
    return Agreement(document=document, signature=given.signature)


def _arm(kit: Kit, plan: WritePlan, agreements: dict[str, Agreement]) -> GateReport:
    evidence: Evidence = msgspec.structs.replace(kit.evidence(plan), agreements=agreements)
    with kit.client() as watcher:
        return watcher.client.arm(canonical(plan), b"", evidence, dry=False)


def test_nothing_but_the_customers_agreement_lets_the_write_pass(car: Car, kit: Kit) -> None:
    plan = _plan(kit, car)
    technician = kit.keys.technician
    wrong: dict[str, dict[str, Agreement]] = {
        "none": {},
        "edited": {"immobiliser": _edited(kit)},
        "other car": {"immobiliser": _agreement(kit, vin="WFKZZZ8K1TA000018")},
        "other job": {"immobiliser": _agreement(kit, job="0190a0af-0000-7000-8000-000000000001")},
        "other text": {"immobiliser": _agreement(kit, text="terms")},
        "other words": {"immobiliser": _agreement(kit, text_sha256="0" * 64)},
        "text of another need": {"terms": _agreement(kit, text="terms")},
        "stranger": {"immobiliser": signed(statement(), Ed25519PrivateKey.generate())},
        "kit": {"immobiliser": signed(statement(), kit.keys.kit, NAMESPACE_AGREEMENT)},
        "other purpose": {"immobiliser": signed(statement(), technician, NAMESPACE_ACKNOWLEDGMENT)},
        "no document": {"immobiliser": Agreement(document=b"", signature=b"")},
    }
    for name, agreements in wrong.items():
        report = _arm(kit, plan, agreements)
        refused = [result for result in report.results if not result.passed]
        assert [result.gate for result in refused] == ["CUSTOMER_AGREEMENT"], name
        assert refused[0].reason, name
        assert refused[0].next_step, name
        assert report.permit == "", name
    assert set(car.services()) == {READ_DATA}

    evidence = msgspec.structs.replace(
        kit.evidence(plan), agreements={"immobiliser": _agreement(kit)}
    )
    with kit.client() as watcher:
        watcher.flash(kit, plan, b"", evidence)
        assert watcher.outcome().outcome == "verified"
    assert f"2e{CODING_DID:04x}{NEW}" in car.log()
