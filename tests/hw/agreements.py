"""Agreements made by hand: statements, their signatures, and profiles that need them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hw.messages import Agreement
from hw.sim.fleet import VIN
from hw.sshsig import public_line, sign
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_AGREEMENT,
    NAMESPACE_PROFILE,
    AgreementStatement,
)
from hw.texts import kept_texts
from tests.kit import JOB, TECHNICIAN, Kit, canonical, moment


def statement(**changes: Any) -> AgreementStatement:
    """The customer signs the shipped English text on the immobiliser; with some fields changed."""
    name = changes.get("text", "immobiliser")
    text = kept_texts(Path("/nowhere"), name).held["en"]
    made = AgreementStatement(
        format="fieldkit-agreement/1",
        text="immobiliser",
        version=text.version,
        language="en",
        text_sha256=text.sha256,
        customer="Thandi Nkosi",
        strokes=[[(100, 200, 0), (300, 120, 90), (420, 260, 180)], [(500, 200, 400)]],
        job=JOB,
        vin=VIN.decode(),
        technician="anna",
        role="technician",
        made=moment(),
    )
    return msgspec.structs.replace(made, **changes)


def signed(
    made: AgreementStatement, key: Ed25519PrivateKey, namespace: str = NAMESPACE_AGREEMENT
) -> Agreement:
    """A statement with its witness's signature."""
    document = canonical(made)
    return Agreement(document=document, signature=sign(document, key, namespace))


def trust_witness(kit: Kit) -> None:
    """Let the kit's technician witness, too."""
    trust = kit.state / "trust" / "allowed_signers"
    both = f"{NAMESPACE_ACKNOWLEDGMENT},{NAMESPACE_AGREEMENT}"
    line = f'{TECHNICIAN} namespaces="{both}" {public_line(kit.keys.technician)}'
    kept = [one for one in trust.read_text().splitlines() if not one.startswith(TECHNICIAN)]
    trust.write_text("\n".join([*kept, line, ""]))


def add_to_profile(kit: Kit, table: str) -> str:
    """Add TOML to the kit's profile and sign it again; returns its digest, for the plan."""
    text = kit.profile.read_text() + table
    kit.profile.write_text(text)
    signature = sign(text.encode(), kit.keys.workshop, NAMESPACE_PROFILE)
    Path(f"{kit.profile}.sig").write_bytes(signature)
    return hashlib.sha256(text.encode()).hexdigest()
