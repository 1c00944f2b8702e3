"""Evidence that is right but for one thing, shown to hw past the appliance.

The forger has the kit's own keys, as a defect of the appliance or somebody at its socket would.
None of its tricks may be given a permit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
from msgspec import Struct

from appliance.api import messages as m
from appliance.identity import Unlocked, sign_acknowledgment, sign_checks, unlock
from appliance.identity.signing import canonical
from hw import clock
from hw.client import HwClient
from hw.messages import Acknowledgment, BackupCopies, Evidence, GateReport
from hw.plan import IdentityValue, WritePlan, decode_plan
from hw.sshsig import sign
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_CHECKS,
    AcknowledgmentStatement,
    ChecksStatement,
    Moment,
)
from tests.campaign.template import PASSPHRASE, PROFILE, TECHNICIAN, Places

HARDWARE_DID = 0xF191
OTHER_DIGEST = "0" * 64
_OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


class Papers(Struct, frozen=True):
    """Everything that `arm` takes."""

    document: bytes
    payload: bytes
    evidence: Evidence


class Forger:
    """See the module.

    Args:
        places: the kit.
        rng: chooses bytes and bits.
        plan: a plan of the kit.
        payload: its payload.
        medium: "a" or "b", the one that may be damaged.
    """

    def __init__(
        self, places: Places, rng: random.Random, plan: m.PlanView, payload: bytes, medium: str
    ) -> None:
        self._places, self._rng, self._plan, self._payload = places, rng, plan, payload
        self._medium = medium

    def permit_for(self, trick: str, backup: str) -> str:
        """Show hw evidence with this trick; returns the permit, which is empty as it should be.

        Raises:
            FieldKitError: hw would not even look at it.
        """
        report = self.arm(self.TRICKS[trick](self, self.papers(backup)))
        return report.permit

    def permit_with(self, backup: str, statement: str, signature: str) -> str:
        """Show right evidence with somebody's acknowledgment of before; returns the permit."""
        old = Acknowledgment(document=statement.encode(), signature=signature.encode())
        return self.arm(self._shown(self.papers(backup), acknowledgment=old)).permit

    def arm(self, papers: Papers) -> GateReport:
        """Ask hw for a permit."""
        with_hw = HwClient(self._places.run / "hw.sock", "forger")
        with_hw.connect()
        try:
            return with_hw.arm(papers.document, papers.payload, papers.evidence, dry=False)
        finally:
            with_hw.close()

    def papers(self, backup: str) -> Papers:
        """Right evidence for the plan."""
        kit = unlock(self._places.state, TECHNICIAN, PASSPHRASE)
        plan = decode_plan(self._plan.file)
        checks, signature = self._checks(kit, plan, self._plan.digest)
        first, second = (medium / "fieldkit-backups" / backup for medium in self._places.media)
        evidence = Evidence(
            profile_file=str(self._places.state / "profiles" / f"{PROFILE}.toml"),
            backup=BackupCopies(folders=(str(first), str(second))),
            checks_document=checks,
            checks_signature=signature,
            acknowledgment=sign_acknowledgment(kit, self._plan.digest, self._plan.risk_digest),
        )
        return Papers(self._plan.file, self._payload, evidence)

    def _checks(self, kit: Unlocked, plan: WritePlan, digest: str) -> tuple[bytes, bytes]:
        live = {item.did: item for item in plan.target.identity}
        demanded: list[IdentityValue] = [live[HARDWARE_DID]]
        return sign_checks(
            kit,
            plan_digest=digest,
            container="binary",
            container_sha256=OTHER_DIGEST,
            checks=["SHA-256 of the file"],
            compatibility=demanded,
        )

    # Tricks -----------------------------------------------------------------------------------

    def _edited(self, content: bytes) -> bytes:
        raw = bytearray(content)
        raw[self._rng.randrange(len(raw))] ^= 1 << self._rng.randrange(8)
        return bytes(raw)

    def _shown(self, papers: Papers, **changes: object) -> Papers:
        evidence = msgspec.structs.replace(papers.evidence, **changes)
        return msgspec.structs.replace(papers, evidence=evidence)

    def _kit(self) -> Unlocked:
        return unlock(self._places.state, TECHNICIAN, PASSPHRASE)

    def _other_acknowledgment(self, papers: Papers) -> Papers:
        other = sign_acknowledgment(self._kit(), OTHER_DIGEST, self._plan.risk_digest)
        return self._shown(papers, acknowledgment=other)

    def _old_acknowledgment(self, papers: Papers) -> Papers:
        right = papers.evidence.acknowledgment
        if right is None:
            raise ValueError("right evidence has an acknowledgment")
        statement = msgspec.json.decode(right.document, type=AcknowledgmentStatement)
        made = msgspec.structs.replace(statement.made, boottime=clock.now() - 301.0)
        document = canonical(msgspec.structs.replace(statement, made=made))
        key = self._kit().technician.signing_key
        signed = Acknowledgment(
            document=document, signature=sign(document, key, NAMESPACE_ACKNOWLEDGMENT)
        )
        return self._shown(papers, acknowledgment=signed)

    def _edited_acknowledgment(self, papers: Papers) -> Papers:
        right = papers.evidence.acknowledgment
        if right is None:
            raise ValueError("right evidence has an acknowledgment")
        edited = msgspec.structs.replace(right, document=self._edited(right.document))
        return self._shown(papers, acknowledgment=edited)

    def _other_checks(self, papers: Papers) -> Papers:
        kit = self._kit()
        checks, signature = self._checks(kit, decode_plan(self._plan.file), OTHER_DIGEST)
        return self._shown(papers, checks_document=checks, checks_signature=signature)

    def _checks_of_another_boot(self, papers: Papers) -> Papers:
        statement = msgspec.json.decode(
            papers.evidence.checks_document or b"", type=ChecksStatement
        )
        made: Moment = msgspec.structs.replace(statement.made, boot_id=_OTHER_BOOT)
        document = canonical(msgspec.structs.replace(statement, made=made))
        signature = sign(document, self._kit().kit_key, NAMESPACE_CHECKS)
        return self._shown(papers, checks_document=document, checks_signature=signature)

    def _edited_checks(self, papers: Papers) -> Papers:
        document = self._edited(papers.evidence.checks_document or b"")
        return self._shown(papers, checks_document=document)

    def _edited_manifest(self, papers: Papers) -> Papers:
        """On the medium itself: the technician has to let the kit repair it afterwards."""
        copies = papers.evidence.backup
        if copies is None:
            raise ValueError("right evidence names a backup")
        folder = copies.folders["ab".index(self._medium)]
        manifest = Path(folder) / "manifest.json"
        manifest.write_bytes(self._edited(manifest.read_bytes()))
        return papers

    def _edited_profile(self, papers: Papers) -> Papers:
        original = Path(papers.evidence.profile_file)
        copy = self._places.run / original.name
        copy.write_bytes(self._edited(original.read_bytes()))
        signature = original.with_name(original.name + ".sig").read_bytes()
        copy.with_name(copy.name + ".sig").write_bytes(signature)
        return self._shown(papers, profile_file=str(copy))

    TRICKS: ClassVar[dict[str, Callable[[Forger, Papers], Papers]]] = {
        "acknowledgment of another plan": _other_acknowledgment,
        "acknowledgment expired": _old_acknowledgment,
        "acknowledgment edited by one byte": _edited_acknowledgment,
        "acknowledgment missing": lambda forger, papers: forger._shown(papers, acknowledgment=None),
        "checks of another plan": _other_checks,
        "checks of another boot": _checks_of_another_boot,
        "checks edited by one byte": _edited_checks,
        "no backup": lambda forger, papers: forger._shown(papers, backup=None),
        "manifest edited by one byte": _edited_manifest,
        "plan edited by one byte": lambda forger, papers: msgspec.structs.replace(
            papers, document=forger._edited(papers.document)
        ),
        "payload edited by one byte": lambda forger, papers: msgspec.structs.replace(
            papers, payload=forger._edited(papers.payload or b"\0")
        ),
        "profile edited by one byte": _edited_profile,
    }
