"""What the opened kit signs is what the gates decode, and nobody signs what they may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.errors import NotPermittedError
from appliance.identity import (
    Unlocked,
    moment,
    sign_acknowledgment,
    sign_checks,
    sign_profile,
    unlock,
    wallclock,
)
from hw import clock
from hw.errors import BadInputError
from hw.plan import IdentityValue
from hw.sshsig import AllowedSigners, verify
from hw.statements import AcknowledgmentStatement, ChecksStatement


@pytest.fixture(scope="module")
def owner(pristine_kit: Path) -> Unlocked:
    return unlock(pristine_kit, "maria", "correct horse battery")


@pytest.fixture
def signers(pristine_kit: Path) -> AllowedSigners:
    return AllowedSigners.load(pristine_kit / "trust" / "allowed_signers")


def test_an_acknowledgment_is_canonical_and_signed_by_the_technician(
    owner: Unlocked, signers: AllowedSigners
) -> None:
    before = clock.now()
    made = sign_acknowledgment(owner, "a" * 64, "b" * 64)
    statement = msgspec.json.decode(made.document, type=AcknowledgmentStatement)
    assert (statement.plan_digest, statement.risk_digest) == ("a" * 64, "b" * 64)
    assert (statement.technician, statement.role) == ("maria", "owner")
    assert before <= statement.made.boottime <= clock.now()
    assert statement.made.boot_id == clock.boot_id()
    principal = verify(made.document, made.signature, "fieldkit-acknowledgment", signers)
    assert principal == "technician:maria"
    fields = json.loads(made.document)
    assert list(fields) == sorted(fields), "RFC 8785 sorts"
    assert b" " not in made.document, "RFC 8785 has no white space"


def test_checks_are_signed_by_the_kit(owner: Unlocked, signers: AllowedSigners) -> None:
    document, signature = sign_checks(
        owner,
        plan_digest="a" * 64,
        container="intel-hex",
        container_sha256="c" * 64,
        checks=["record checksums"],
        compatibility=[IdentityValue(did=0xF191, value="38")],
    )
    statement = msgspec.json.decode(document, type=ChecksStatement)
    assert statement.checks == ["record checksums"]
    assert statement.compatibility[0].did == 0xF191
    assert verify(document, signature, "fieldkit-checks", signers) == "kit"


def test_an_owner_of_a_standalone_kit_signs_a_profile(
    owner: Unlocked, signers: AllowedSigners, tmp_path: Path
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("name = 'mine'\n")
    signature = sign_profile(owner, profile)
    assert signature == tmp_path / "mine.toml.sig"
    made = signature.read_bytes()
    assert verify(profile.read_bytes(), made, "fieldkit-profile", signers) == "workshop"


def test_nobody_else_signs_a_profile(owner: Unlocked, pristine_kit: Path, tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("name = 'mine'\n")
    technician = unlock(pristine_kit, "jürgen", "noch ein langer Satz")
    with pytest.raises(NotPermittedError, match="Only an owner"):
        sign_profile(technician, profile)
    without = Unlocked(
        owner.state,
        owner.technician,
        owner.kit_key,
        owner.kit_identity,
        owner.database_key,
        None,
        owner.master_key,
    )
    with pytest.raises(NotPermittedError, match="workshop's signing key"):
        sign_profile(without, profile)
    with pytest.raises(BadInputError, match="cannot be signed"):
        sign_profile(owner, tmp_path / "nothing.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("mark", "kernel", "quality"),
    [
        (True, 5, "synchronised"),
        (False, 0, "synchronised"),
        (False, 5, "unsynchronised"),
        (False, -1, "unsynchronised"),
    ],
)
def test_the_quality_of_wall_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bool, kernel: int, quality: str
) -> None:
    class Libc:
        adjtimex: Callable[[object], int] = staticmethod(lambda _timex: kernel)

    monkeypatch.setattr(wallclock, "_TIMESYNCD_MARK", tmp_path / "synchronized")
    monkeypatch.setattr(wallclock, "_libc", Libc)
    if mark:
        (tmp_path / "synchronized").touch()
    assert moment().wall_quality == quality


def test_the_kernel_is_asked_without_setting_anything() -> None:
    assert wallclock.wall_quality() in {"synchronised", "unsynchronised"}
    assert moment().wall.endswith("Z")
