"""Each gate's evidence: complete it passes; one wrong thing at a time is refused by its gate."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hw import clock, evidence
from hw.config import load_config
from hw.errors import FieldKitError, RefusedError, UnavailableError
from hw.evidence import Case, EvidenceChecker, acknowledgment_digest
from hw.journal import Journal, RunHeader
from hw.messages import (
    GATES,
    Acknowledgment,
    BackupCopies,
    Evidence,
    GateName,
    GateResult,
    Outcome,
)
from hw.plan import Download, IdentityValue, Risk, WritePlan, digest_of
from hw.sshsig import public_line, sign
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_BACKUP,
    NAMESPACE_CHECKS,
    NAMESPACE_PROFILE,
    BackupObject,
    HeldRegion,
    ReadoutRefused,
    TextName,
    identity_digest,
)
from hw.voltage.sampler import Sample
from tests.hw.agreements import add_to_profile, signed, statement, trust_witness
from tests.hw.gate.rig import Clock
from tests.kit import BOOT_DIDS, PROFILE, TECHNICIAN, WINDOW, Kit, canonical, identity, moment

PAYLOAD = b"the payload" * 100
LINK = "can://virtual/test?tx=0x7E0&rx=0x7E8"
PERIOD_S = 0.004


class History:
    """The sampler's ring: one sample each 4 ms of the last 12 s, which a test may spoil."""

    def __init__(self, time: Clock) -> None:
        self.time = time
        self.volts = 13.2
        self.started_at = time.time - 12.0
        self.spoil: Callable[[float, Sample], Sample | None] = lambda _age, sample: sample

    def history(self, since: float) -> list[Sample]:
        first = max(since, self.started_at)
        count = int((self.time.time - first) / PERIOD_S + 1e-6)
        found = (
            self.spoil(n * PERIOD_S, Sample(self.time.time - n * PERIOD_S, self.volts))
            for n in range(count, -1, -1)
        )
        return [sample for sample in found if sample is not None]


class Button:
    """The arm button."""

    def __init__(self) -> None:
        self.pressed: bool | None = None

    def arm_pressed(self) -> bool | None:
        return self.pressed


class Bench:
    """A complete valid case, and the checker that judges it."""

    def __init__(self, folder: Path, time: Clock) -> None:
        self.time = time
        self.kit = Kit(folder, "ina219+sim:///none")
        self.history, self.button = History(time), Button()
        self.journal = Journal(self.kit.state / "hw" / "journal")
        self.plan = self.kit.plan(LINK, PAYLOAD)
        self.payload = PAYLOAD
        self.live: list[IdentityValue] | FieldKitError = identity()
        self.backup = self.kit.backup()
        self.acknowledgment: Acknowledgment | None = None

    def replan(self, **changes: Any) -> WritePlan:
        """Change the plan; what is signed for it follows."""
        self.plan = msgspec.structs.replace(self.plan, **changes)
        return self.plan

    def evidence(self, **changes: Any) -> Evidence:
        """Complete evidence for the plan as it is now, with some of it changed."""
        return msgspec.structs.replace(self.kit.evidence(self.plan, self.backup), **changes)

    def checker(self) -> EvidenceChecker:
        """With the configuration as it is now."""
        config = load_config(self.kit.state)
        return EvidenceChecker(self.kit.state, config, self.history, self.button, self.journal)

    def check(self, given: Evidence | None = None) -> dict[GateName, GateResult]:
        """What the four gates say."""
        case = Case(
            self.plan,
            digest_of(canonical(self.plan)),
            self.payload,
            given or self.evidence(),
            self.live,
        )
        results = self.checker().check(case)
        assert tuple(result.gate for result in results) == GATES
        for result in results:
            assert result.reason
            assert (result.reason == "Passed.") is result.passed
            assert bool(result.next_step) is not result.passed
        return {result.gate: result for result in results}

    def refused(self, gate: GateName, given: Evidence | None = None) -> str:
        """Only this gate refuses; returns its reason."""
        results = self.check(given)
        assert [name for name in GATES if not results[name].passed] == [gate], results
        assert results[gate].reason.endswith(".")
        assert results[gate].next_step
        assert not results[gate].facts
        return results[gate].reason

    def configure(self, old: str, new: str) -> None:
        """Change kit.toml."""
        path = self.kit.state / "kit.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def folders(self) -> tuple[Path, Path]:
        """The two copies."""
        return Path(self.backup.folders[0]), Path(self.backup.folders[1])


@pytest.fixture
def bench(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    time = Clock()
    monkeypatch.setattr(clock, "now", time)

    def sleep(seconds: float) -> None:
        time.time += seconds

    monkeypatch.setattr("hw.evidence.time.sleep", sleep)
    result_of, named = evidence._result, list[tuple[str, str]]()

    def result(gate: GateName, check: Callable[[], dict[str, str]]) -> GateResult:
        """A refusal names the gate that refuses, also where it is passed on by itself."""

        def checked() -> dict[str, str]:
            try:
                return check()
            except RefusedError as refusal:
                named.append((refusal.gate, gate))
                raise

        return result_of(gate, checked)

    monkeypatch.setattr(evidence, "_result", result)
    yield Bench(short_tmp, time)
    assert all(gate == by for gate, by in named)


def test_complete_evidence_passes_all_four_gates(bench: Bench) -> None:
    results = bench.check()
    assert all(result.passed for result in results.values()), results
    assert {result.next_step for result in results.values()} == {""}
    assert results["VOLTAGE_CHECK"].facts == {"lowest_v": "13.20", "highest_v": "13.20"}
    manifest = (bench.folders()[0] / "manifest.json").read_bytes()
    assert results["DUAL_BACKUP"].facts["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert results["DUAL_BACKUP"].facts["media"] == "simulated"
    assert results["CHECKSUM_MATCH"].facts == {
        "container": "intel_hex",
        "checks": "record checksums",
    }
    assert results["USER_ACKNOWLEDGMENT"].facts["technician"] == "anna"
    assert results["USER_ACKNOWLEDGMENT"].facts["arm_button"] == "not fitted"


def test_every_gate_is_checked_even_when_all_refuse(bench: Bench) -> None:
    bench.history.volts = 5.0
    bench.payload = b""
    given = Evidence(
        profile_file=str(bench.kit.profile),
        backup=None,
        checks_document=None,
        checks_signature=None,
        acknowledgment=None,
    )
    results = bench.check(given)
    assert not any(result.passed for result in results.values())
    assert len({result.reason for result in results.values()}) == 4


def test_without_trust_every_gate_refuses(bench: Bench) -> None:
    given = bench.evidence()
    (bench.kit.state / "trust" / "allowed_signers").unlink()
    assert not any(result.passed for result in bench.check(given).values())


# VOLTAGE_CHECK ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volts", "passes"),
    [
        (WINDOW.start_min_v - 1e-6, False),
        (WINDOW.start_min_v, True),
        (WINDOW.start_max_v, True),
        (WINDOW.start_max_v + 1e-6, False),
        (float("nan"), False),
        (float("inf"), False),
    ],
)
def test_the_voltage_must_lie_inside_the_start_window(
    bench: Bench, volts: float, passes: bool
) -> None:
    bench.history.volts = volts
    if passes:
        assert bench.check()["VOLTAGE_CHECK"].passed
    else:
        assert "demanded" in bench.refused("VOLTAGE_CHECK")


@pytest.mark.parametrize(
    ("age", "volts", "reason"),
    [
        (0.0, 12.4, "12.40 V"),
        (0.248, 12.4, "12.40 V"),
        (0.248, 14.9, "14.90 V"),
        (0.496, 14.9, "14.90 V"),
        (0.248, None, "shaky"),
        (0.248, float("nan"), "nan V"),
    ],
)
def test_one_sample_within_the_settling_time_counts(
    bench: Bench, age: float, volts: float | None, reason: str
) -> None:
    def spoil(sample_age: float, sample: Sample) -> Sample:
        return Sample(sample.at, volts, "shaky") if abs(sample_age - age) < 1e-6 else sample

    bench.history.spoil = spoil
    with pytest.raises(RefusedError) as refused:
        bench.checker().check_voltage(12.5, 14.8, 0.5, 0.05)
    assert refused.value.gate == "VOLTAGE_CHECK"
    assert reason in refused.value.what


def test_a_sample_before_the_settling_time_does_not_count(bench: Bench) -> None:
    bench.history.spoil = lambda age, s: Sample(s.at, 9.0) if age > 0.5 + 1e-6 else s
    assert bench.checker().check_voltage(12.5, 14.8, 0.5, 0.05) == (13.2, 13.2)


def test_lowest_and_highest_are_told(bench: Bench) -> None:
    bench.history.spoil = lambda age, s: Sample(s.at, 13.0 + age)
    lowest, highest = bench.checker().check_voltage(12.5, 14.8, 0.5, 0.05)
    assert (lowest, round(highest, 2)) == (13.0, 13.5)


@pytest.mark.parametrize(
    ("start", "length", "passes"),
    [
        (0.0, 0.04, True),
        (0.0, 0.06, False),
        (0.2, 0.09, True),
        (0.2, 0.11, False),
        (0.42, 0.06, True),
        (0.42, 0.4, False),
    ],
)
def test_gaps_in_the_history(bench: Bench, start: float, length: float, passes: bool) -> None:
    bench.history.spoil = lambda age, s: None if start <= age < start + length else s
    if passes:
        bench.checker().check_voltage(12.5, 14.8, 0.5, 0.05)
        return
    with pytest.raises(RefusedError) as refused:
        bench.checker().check_voltage(12.5, 14.8, 0.5, 0.05)
    assert refused.value.gate == "VOLTAGE_CHECK"


def test_no_samples_at_all(bench: Bench) -> None:
    bench.history.started_at = bench.time.time + 99
    assert "no vehicle voltage" in bench.refused("VOLTAGE_CHECK")


def test_a_watch_shorter_than_the_settling_time_is_waited_for_and_then_passes(
    bench: Bench,
) -> None:
    bench.history.started_at = bench.time.time - 0.2
    before = bench.time.time
    assert bench.check()["VOLTAGE_CHECK"].passed
    assert 0.25 < bench.time.time - before < 0.45


def test_a_voltage_that_comes_back_is_waited_for_until_it_has_settled(bench: Bench) -> None:
    back_at = bench.time.time - 0.1
    bench.history.spoil = lambda _age, s: Sample(s.at, 11.0) if s.at < back_at else s
    before = bench.time.time
    assert bench.check()["VOLTAGE_CHECK"].passed
    assert 0.35 < bench.time.time - before < 0.55


def test_a_voltage_that_never_settles_is_refused_and_the_wait_ends(bench: Bench) -> None:
    bench.history.spoil = lambda _age, s: Sample(s.at, 11.0) if int(s.at * 250) % 25 == 0 else s
    before = bench.time.time
    with pytest.raises(RefusedError):
        bench.checker().wait_for_voltage(12.5, 14.8, 0.5, 0.05)
    assert bench.time.time - before < 2.0


def test_a_settling_time_of_zero_still_needs_a_sample_of_this_moment(bench: Bench) -> None:
    assert bench.checker().check_voltage(12.5, 14.8, 0.0, 0.05) == (13.2, 13.2)
    bench.history.volts = 12.4
    with pytest.raises(RefusedError):
        bench.checker().wait_for_voltage(12.5, 14.8, 0.0, 0.05)


def test_a_window_that_is_not_the_profiles_is_refused(bench: Bench) -> None:
    bench.replan(window=msgspec.structs.replace(WINDOW, cut_v=10.5))
    assert "not the profile's" in bench.refused("VOLTAGE_CHECK")


def test_a_profile_that_is_not_the_plans_is_refused(bench: Bench) -> None:
    bench.replan(profile_sha256="0" * 64)
    assert "not the one" in bench.refused("VOLTAGE_CHECK")


def test_a_changed_profile_is_refused(bench: Bench) -> None:
    path = bench.kit.profile
    path.write_text(path.read_text().replace("cut_v = 11.0", "cut_v = 1.0"))
    assert "not the one" in bench.refused("VOLTAGE_CHECK")


def _sign_profile(bench: Bench, text: str, key: Ed25519PrivateKey, namespace: str) -> None:
    bench.kit.profile.write_text(text)
    signature = sign(text.encode(), key, namespace)
    Path(f"{bench.kit.profile}.sig").write_bytes(signature)
    bench.replan(profile_sha256=hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize(
    ("signer", "namespace"),
    [
        ("kit", NAMESPACE_PROFILE),
        ("technician", NAMESPACE_PROFILE),
        ("stranger", NAMESPACE_PROFILE),
        ("workshop", NAMESPACE_BACKUP),
    ],
)
def test_a_profile_that_the_workshop_did_not_sign_as_a_profile_is_refused(
    bench: Bench, signer: str, namespace: str
) -> None:
    key = getattr(bench.kit.keys, signer, Ed25519PrivateKey.generate())
    _sign_profile(bench, bench.kit.profile.read_text(), key, namespace)
    bench.refused("VOLTAGE_CHECK")


def test_another_principal_who_may_sign_profiles_is_still_not_the_workshop(bench: Bench) -> None:
    trust = bench.kit.state / "trust" / "allowed_signers"
    key = Ed25519PrivateKey.generate()
    line = f'dealer namespaces="{NAMESPACE_PROFILE}" {public_line(key)}\n'
    trust.write_text(trust.read_text() + line)
    _sign_profile(bench, bench.kit.profile.read_text(), key, NAMESPACE_PROFILE)
    assert "not signed by the workshop" in bench.refused("VOLTAGE_CHECK")


@pytest.mark.parametrize("spoil", ["hold_v = 12.0\n", "[voltage]", 'name = "sim-engine"'])
def test_a_signed_profile_without_a_complete_window_is_refused(bench: Bench, spoil: str) -> None:
    text = bench.kit.profile.read_text().replace(spoil, "")
    _sign_profile(bench, text, bench.kit.keys.workshop, NAMESPACE_PROFILE)
    assert "cannot be used for writing" in bench.refused("VOLTAGE_CHECK")


def test_a_profile_of_another_name_than_the_plans_is_refused(bench: Bench) -> None:
    text = bench.kit.profile.read_text().replace(PROFILE, "sim-gearbox")
    _sign_profile(bench, text, bench.kit.keys.workshop, NAMESPACE_PROFILE)
    assert "sim-gearbox" in bench.refused("VOLTAGE_CHECK")


@pytest.mark.parametrize("missing", ["", ".sig"])
def test_a_profile_that_is_not_there_is_refused(bench: Bench, missing: str) -> None:
    given = bench.evidence()
    Path(f"{bench.kit.profile}{missing}").unlink()
    assert "cannot be read" in bench.refused("VOLTAGE_CHECK", given)


def test_a_profile_path_that_is_no_path_is_refused(bench: Bench) -> None:
    assert "cannot be read" in bench.refused("VOLTAGE_CHECK", bench.evidence(profile_file="a\0b"))


def test_a_divider_that_the_kit_does_not_have_is_refused(bench: Bench) -> None:
    bench.configure("[voltage]\n", "[voltage]\ndivider = 2.0\n")
    assert "divider" in bench.refused("VOLTAGE_CHECK")


def _truck(bench: Bench, divider: float) -> None:
    window = msgspec.structs.replace(
        WINDOW,
        start_min_v=25.0,
        start_max_v=29.6,
        hold_v=24.0,
        cut_v=22.0,
        resume_v=25.0,
        over_v=30.0,
        divider=divider,
    )
    table = "".join(f"{k} = {v}\n" for k, v in msgspec.to_builtins(window).items())
    text = f'name = "{PROFILE}"\n\n[voltage]\n{table}'
    _sign_profile(bench, text, bench.kit.keys.workshop, NAMESPACE_PROFILE)
    bench.replan(window=window)
    bench.history.volts = 27.0


def test_a_24_v_window_without_a_divider_is_refused(bench: Bench) -> None:
    _truck(bench, 1.0)
    assert "26 V" in bench.refused("VOLTAGE_CHECK")


def test_a_24_v_window_passes_with_the_divider_that_both_name(bench: Bench) -> None:
    _truck(bench, 2.0)
    bench.configure("[voltage]\n", "[voltage]\ndivider = 2.0\n")
    assert bench.check()["VOLTAGE_CHECK"].passed


# DUAL_BACKUP --------------------------------------------------------------------------------------


def _files(bench: Bench) -> Iterator[tuple[int, Path]]:
    for number, folder in enumerate(bench.folders()):
        for path in sorted(folder.iterdir()):
            yield number, path


def test_no_backup(bench: Bench) -> None:
    assert "no backup" in bench.refused("DUAL_BACKUP", bench.evidence(backup=None))


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("damage", ["bit", "short", "long", "gone", "link", "folder", "pipe"])
def test_damage_to_any_file_of_either_copy_is_found(
    bench: Bench, copy: int, which: int, damage: str
) -> None:
    path = sorted(bench.folders()[copy].iterdir())[which]
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "bit":
            flipped = bytearray(data)
            flipped[len(data) // 2] ^= 1
            path.write_bytes(flipped)
        case "short":
            path.write_bytes(data[:-20])
        case "long":
            path.write_bytes(data + b"x")
        case "link":
            path.symlink_to(bench.folders()[1 - copy] / path.name)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    bench.refused("DUAL_BACKUP")


def test_every_bit_of_a_manifest_and_its_signature_counts(bench: Bench) -> None:
    given = bench.evidence()
    for name in ("manifest.json", "manifest.json.sig"):
        path = bench.folders()[1] / name
        data = path.read_bytes()
        for byte in range(0, len(data), 7):
            flipped = bytearray(data)
            flipped[byte] ^= 1 << byte % 8
            path.write_bytes(flipped)
            assert not bench.check(given)["DUAL_BACKUP"].passed, (name, byte)
        path.write_bytes(data)
    assert bench.check(given)["DUAL_BACKUP"].passed


def test_copies_of_two_different_backups(bench: Bench) -> None:
    other = bench.kit.backup()
    mixed = BackupCopies(folders=(bench.backup.folders[0], other.folders[1]))
    assert "not of the same backup" in bench.refused("DUAL_BACKUP", bench.evidence(backup=mixed))


def test_copies_that_do_not_lie_on_their_media(bench: Bench) -> None:
    first, second = bench.backup.folders
    for folders, name in (
        ((second, second), "A"),
        ((first, first), "B"),
        ((second, first), "A"),
        (("/", second), "A"),
        ((f"{first}/../../b", second), "A"),
        (("a\0b", second), "read"),
    ):
        given = bench.evidence(backup=BackupCopies(folders=folders))
        assert name in bench.refused("DUAL_BACKUP", given)


def test_a_copy_that_is_a_link_to_the_other_medium(bench: Bench) -> None:
    first, second = bench.folders()
    link = bench.kit.media[1] / "linked"
    link.symlink_to(first)
    given = bench.evidence(backup=BackupCopies(folders=(str(first), str(link))))
    assert "medium B" in bench.refused("DUAL_BACKUP", given)
    assert second.is_dir()


def test_one_folder_is_not_two_copies_even_where_media_are_simulated(bench: Bench) -> None:
    bench.configure(f'b = "{bench.kit.media[1]}"', f'b = "{bench.kit.media[0]}"')
    first = bench.backup.folders[0]
    given = bench.evidence(backup=BackupCopies(folders=(first, first)))
    assert "only one copy" in bench.refused("DUAL_BACKUP", given)


def test_two_media_on_one_filesystem(bench: Bench) -> None:
    bench.configure("simulated = true", "simulated = false")
    assert "one filesystem" in bench.refused("DUAL_BACKUP")


def test_two_filesystems_are_two_media(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.configure("simulated = true", "simulated = false")
    numbers = {bench.kit.media[0].resolve(): 1, bench.kit.media[1].resolve(): 2}
    monkeypatch.setattr(evidence, "_device", numbers.__getitem__)
    assert bench.check()["DUAL_BACKUP"].facts["media"] == "two filesystems"


def test_a_medium_that_is_not_there(bench: Bench) -> None:
    bench.kit.media[1].rename(bench.kit.folder / "taken out")
    assert "Medium B is not there" in bench.refused("DUAL_BACKUP")


def test_a_medium_that_vanishes_while_it_is_looked_at_is_a_refusal(bench: Bench) -> None:
    with pytest.raises(RefusedError):
        evidence._device(bench.kit.folder / "gone")


def test_a_file_that_cannot_be_read_to_its_end_is_a_refusal(bench: Bench) -> None:
    path = bench.folders()[0] / "manifest.json"
    with pytest.raises(RefusedError, match="Input/output"), evidence._open_uncached(path):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("signer", "namespace"),
    [
        ("workshop", NAMESPACE_BACKUP),
        ("technician", NAMESPACE_BACKUP),
        ("stranger", NAMESPACE_BACKUP),
        ("kit", NAMESPACE_CHECKS),
    ],
)
def test_a_manifest_that_the_kit_did_not_sign_as_a_backup(
    bench: Bench, signer: str, namespace: str
) -> None:
    key = getattr(bench.kit.keys, signer, Ed25519PrivateKey.generate())
    for folder in bench.folders():
        document = (folder / "manifest.json").read_bytes()
        (folder / "manifest.json.sig").write_bytes(sign(document, key, namespace))
    bench.refused("DUAL_BACKUP")


def test_another_principal_who_may_sign_backups_is_still_not_this_kit(bench: Bench) -> None:
    trust = bench.kit.state / "trust" / "allowed_signers"
    key = Ed25519PrivateKey.generate()
    line = f'other-kit namespaces="{NAMESPACE_BACKUP}" {public_line(key)}\n'
    trust.write_text(trust.read_text() + line)
    for folder in bench.folders():
        document = (folder / "manifest.json").read_bytes()
        (folder / "manifest.json.sig").write_bytes(sign(document, key, NAMESPACE_BACKUP))
    assert "not signed by this kit" in bench.refused("DUAL_BACKUP")


def _manifest_changes() -> dict[str, tuple[dict[str, Any], str]]:
    return {
        "ecu": ({"ecu": "gearbox"}, "another ECU"),
        "profile": ({"profile": "sim-gearbox"}, "another ECU"),
        "salt": ({"identity_salt": "00"}, "identity differs"),
        "identity": ({"identity_sha256": "0" * 64}, "identity differs"),
        "job": ({"job": "another"}, "another job"),
        "boot": ({"made": moment(boot_id="another")}, "stale"),
        "old": ({"made": moment(boottime=clock.now() - 4 * 3600 - 1)}, "stale"),
        "future": ({"made": moment(boottime=clock.now() + 1)}, "stale"),
        "version": ({"format": "fieldkit-backup/2"}, "cannot be read"),
    }


@pytest.mark.parametrize(
    "name", ["ecu", "profile", "salt", "identity", "job", "boot", "old", "future", "version"]
)
def test_a_manifest_with_one_wrong_field(bench: Bench, name: str) -> None:
    changes, reason = _manifest_changes()[name]
    bench.backup = bench.kit.backup(**changes)
    assert reason in bench.refused("DUAL_BACKUP")


def test_a_backup_just_young_enough(bench: Bench) -> None:
    bench.backup = bench.kit.backup(made=moment(boottime=clock.now() - 4 * 3600))
    assert bench.check()["DUAL_BACKUP"].passed


def _object(kind: Any, data: bytes) -> BackupObject:
    return BackupObject(kind=kind, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


CODING, IMAGE = b"age coding", b"age image" * 100
REFUSED = ReadoutRefused(
    region="all",
    request="23440000800000000400",
    response="7f2333",
    address=0x8000,
    size=len(PAYLOAD),
)


@pytest.mark.parametrize(
    ("kinds", "refused", "reason"),
    [
        (["image"], [], "no coding snapshot"),
        (["coding"], [], "neither"),
        (["coding", "known_good"], [], "neither"),
        (["coding"], [REFUSED], "neither"),
        (["coding", "known_good"], [REFUSED], ""),
        (["coding", "image"], [], ""),
    ],
)
def test_what_a_backup_must_hold(
    bench: Bench, kinds: list[str], refused: list[ReadoutRefused], reason: str
) -> None:
    objects = [_object(kind, CODING if kind == "coding" else IMAGE) for kind in kinds]
    bench.backup = bench.kit.backup(objects=objects, refused=refused)
    if reason:
        assert reason in bench.refused("DUAL_BACKUP")
    else:
        assert bench.check()["DUAL_BACKUP"].passed


START, END = 0x8000, 0x8000 + len(PAYLOAD)


def held(*ranges: tuple[int, int]) -> list[HeldRegion]:
    """Regions from a first to behind a last address."""
    return [
        HeldRegion(region=f"r{start:x}", address=start, size=end - start) for start, end in ranges
    ]


@pytest.mark.parametrize(
    ("ranges", "missing"),
    [
        ([(START, END)], None),
        ([(0, END + 1)], None),
        ([(START + 2, END), (START, START + 2)], None),
        ([(START, START + 3), (START + 1, END)], None),
        ([], START),
        ([(0, START)], START),
        ([(START + 1, END)], START),
        ([(START, END - 1)], END - 1),
        ([(START, START + 1), (START + 2, END)], START + 1),
    ],
)
def test_an_image_must_hold_all_that_the_plan_overwrites(
    bench: Bench, ranges: list[tuple[int, int]], missing: int | None
) -> None:
    bench.backup = bench.kit.backup(regions=held(*ranges))
    if missing is None:
        assert bench.check()["DUAL_BACKUP"].passed
    else:
        assert f"0x{missing:08X}, which the backup" in bench.refused("DUAL_BACKUP")


@pytest.mark.parametrize(
    ("kinds", "response", "passes"),
    [
        (["coding", "image", "known_good"], "7f2333", True),
        (["coding", "image"], "7f2333", False),
        (["coding", "image", "known_good"], "6300", False),
    ],
)
def test_a_refused_region_beside_an_image_needs_a_known_good_file(
    bench: Bench, kinds: list[str], response: str, passes: bool
) -> None:
    objects = [_object(kind, CODING if kind == "coding" else IMAGE) for kind in kinds]
    refused = [msgspec.structs.replace(REFUSED, response=response)]
    other = held((0, 0x100))
    bench.backup = bench.kit.backup(objects=objects, refused=refused, regions=other)
    if passes:
        assert bench.check()["DUAL_BACKUP"].passed
    else:
        assert "does not hold" in bench.refused("DUAL_BACKUP")


def test_a_region_in_the_image_and_a_refused_one_cover_a_download_together(bench: Bench) -> None:
    objects = [_object("coding", CODING), _object("image", IMAGE), _object("known_good", IMAGE)]
    middle = START + 16
    rest = msgspec.structs.replace(REFUSED, address=middle, size=END - middle)
    bench.backup = bench.kit.backup(objects=objects, refused=[rest], regions=held((START, middle)))
    assert bench.check()["DUAL_BACKUP"].passed


def test_regions_without_an_image_hold_nothing(bench: Bench) -> None:
    objects = [_object("coding", CODING), _object("known_good", IMAGE)]
    elsewhere = msgspec.structs.replace(REFUSED, address=END)
    bench.backup = bench.kit.backup(
        objects=objects, refused=[elsewhere], regions=held((START, END))
    )
    assert "does not hold" in bench.refused("DUAL_BACKUP")


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        ("2344", ""),
        ("2344", "63"),
        ("2344", "7f"),
        ("2344", "7f23"),
        ("2344", "7f3533"),
        ("2344", "632333"),
        ("", "7f2333"),
    ],
)
def test_a_refused_readout_is_proved_by_the_ecus_own_negative_response(
    bench: Bench, request_: str, response: str
) -> None:
    wrong = ReadoutRefused(region="all", request=request_, response=response)
    objects = [_object("coding", CODING), _object("known_good", IMAGE)]
    bench.backup = bench.kit.backup(objects=objects, refused=[REFUSED, wrong])
    assert "neither" in bench.refused("DUAL_BACKUP")


def test_an_object_of_another_size_than_its_manifest_says(bench: Bench) -> None:
    wrong = msgspec.structs.replace(_object("coding", CODING), size=9)
    bench.backup = bench.kit.backup(objects=[wrong, _object("image", IMAGE)])
    assert "damaged" in bench.refused("DUAL_BACKUP")


@pytest.mark.parametrize("index", [0, 1])
def test_another_ecu_on_the_cable(bench: Bench, index: int) -> None:
    live = identity()
    live[index] = IdentityValue(did=live[index].did, value="00")
    bench.live = live
    assert f"0x{live[index].did:04X}" in bench.refused("DUAL_BACKUP")


@pytest.mark.parametrize("live", [[], identity()[1:]])
def test_an_identity_that_was_not_read_whole(bench: Bench, live: list[IdentityValue]) -> None:
    bench.live = live
    assert not bench.check()["DUAL_BACKUP"].passed


def test_an_ecu_that_does_not_answer_refuses_where_it_is_needed(bench: Bench) -> None:
    bench.live = UnavailableError("The ECU is silent.", "Switch the ignition on.")
    results = bench.check()
    assert results["DUAL_BACKUP"].reason == "The ECU is silent."
    assert results["DUAL_BACKUP"].next_step == "Switch the ignition on."
    assert not results["CHECKSUM_MATCH"].passed
    assert results["VOLTAGE_CHECK"].passed
    assert results["USER_ACKNOWLEDGMENT"].passed


# DUAL_BACKUP of a recovery ------------------------------------------------------------------------


def _interrupted(bench: Bench, **changes: Any) -> None:
    """A run of the bench's plan that did not end; the plan becomes its recovery."""
    manifest = (bench.folders()[0] / "manifest.json").read_bytes()
    header = RunHeader(
        run="00000001-aa",
        job=bench.plan.job,
        plan_digest=digest_of(canonical(bench.plan)),
        recovers="",
        backup_manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        acknowledgment="",
        profile=PROFILE,
        ecu="engine",
        total_bytes=1,
        boot_id="another",
    )
    book = bench.journal.begin(msgspec.structs.replace(header, **changes))
    book.close()
    bench.plan = bench.kit.recovery(bench.plan)
    bench.live = identity(BOOT_DIDS)


def test_a_recovery_takes_the_old_backup_and_the_boot_loaders_identity(bench: Bench) -> None:
    bench.backup = bench.kit.backup(made=moment(boot_id="another"))
    _interrupted(bench)
    results = bench.check()
    assert all(result.passed for result in results.values()), results


def test_a_recovery_with_another_backup(bench: Bench) -> None:
    _interrupted(bench)
    bench.backup = bench.kit.backup()
    assert "not the one made before" in bench.refused("DUAL_BACKUP")


def test_a_recovery_of_a_plan_that_never_ran(bench: Bench) -> None:
    _interrupted(bench, plan_digest="9" * 64)
    assert "not the one made before" in bench.refused("DUAL_BACKUP")


def test_a_recovery_of_a_write_that_was_verified(bench: Bench) -> None:
    bench.backup = bench.kit.backup(made=moment(boot_id="another"))
    _interrupted(bench)
    path = bench.journal.folder / "00000001-aa.journal"
    header = bench.journal.read("00000001-aa")
    assert header is not None
    path.unlink()
    book = bench.journal.begin(header.header)
    done = Outcome(at=1.0, outcome="verified", code="", what="", next_step="", step=0)
    book.log(done, durable=True)
    book.close()
    assert "unfinished" in bench.refused("DUAL_BACKUP")


def test_a_recovery_of_another_ecu(bench: Bench) -> None:
    _interrupted(bench)
    bench.live = [IdentityValue(did=did, value="00") for did in BOOT_DIDS]
    assert "0xF18C" in bench.refused("DUAL_BACKUP")


@pytest.mark.parametrize(("live", "passes"), [(identity(), True), ([], False)])
def test_a_recovery_without_a_boot_identity_demands_the_whole_one(
    bench: Bench, live: list[IdentityValue], passes: bool
) -> None:
    target = msgspec.structs.replace(bench.plan.target, boot_identity=[])
    bench.replan(target=target)
    _interrupted(bench)
    bench.live = live
    assert bench.check()["DUAL_BACKUP"].passed is passes


# CHECKSUM_MATCH -----------------------------------------------------------------------------------


def _checks(bench: Bench, key: Ed25519PrivateKey | None = None, **changes: Any) -> Evidence:
    document, signature = bench.kit.checks(bench.plan, **changes)
    if key is not None:
        signature = sign(document, key, NAMESPACE_CHECKS)
    return bench.evidence(checks_document=document, checks_signature=signature)


@pytest.mark.parametrize("bit", [0, 8 * len(PAYLOAD) // 2, 8 * len(PAYLOAD) - 1])
def test_one_flipped_bit_in_the_payload(bench: Bench, bit: int) -> None:
    flipped = bytearray(PAYLOAD)
    flipped[bit // 8] ^= 1 << bit % 8
    bench.payload = bytes(flipped)
    assert "SHA-256 differs" in bench.refused("CHECKSUM_MATCH")


@pytest.mark.parametrize("payload", [b"", PAYLOAD[:-1], PAYLOAD + b"x"])
def test_a_payload_of_another_length(bench: Bench, payload: bytes) -> None:
    bench.payload = payload
    assert "not as long" in bench.refused("CHECKSUM_MATCH")


def test_the_second_payload_is_compared_too(bench: Bench) -> None:
    part = bench.plan.payloads[0]
    bench.replan(payloads=[part, part])
    bench.payload = PAYLOAD * 2
    assert bench.check()["CHECKSUM_MATCH"].passed
    bench.payload = PAYLOAD + PAYLOAD[:-1] + b"x"
    assert "SHA-256" in bench.refused("CHECKSUM_MATCH")


def test_a_download_that_announces_another_size(bench: Bench) -> None:
    steps = [
        msgspec.structs.replace(step, uncompressed_size=9) if isinstance(step, Download) else step
        for step in bench.plan.steps
    ]
    bench.replan(steps=steps)
    assert "announces 9 bytes" in bench.refused("CHECKSUM_MATCH")


def test_a_compressed_download_announces_what_it_unpacks_to(bench: Bench) -> None:
    steps = [
        msgspec.structs.replace(step, uncompressed_size=9, data_format=0x10)
        if isinstance(step, Download)
        else step
        for step in bench.plan.steps
    ]
    bench.replan(steps=steps)
    assert bench.check()["CHECKSUM_MATCH"].passed


@pytest.mark.parametrize("missing", ["checks_document", "checks_signature"])
def test_checks_that_were_not_stated(bench: Bench, missing: str) -> None:
    given = msgspec.structs.replace(bench.evidence(), **{missing: None})
    assert "not stated" in bench.refused("CHECKSUM_MATCH", given)


def test_checks_of_another_plan(bench: Bench) -> None:
    assert "another plan" in bench.refused("CHECKSUM_MATCH", _checks(bench, plan_digest="0" * 64))


def test_checks_signed_by_others(bench: Bench) -> None:
    keys = bench.kit.keys
    for key in (keys.workshop, keys.technician, Ed25519PrivateKey.generate()):
        bench.refused("CHECKSUM_MATCH", _checks(bench, key))
    trust = bench.kit.state / "trust" / "allowed_signers"
    line = f'other-kit namespaces="{NAMESPACE_CHECKS}" {public_line(keys.workshop)}\n'
    text = trust.read_text()
    trust.write_text("".join(x for x in text.splitlines(True) if "workshop" not in x) + line)
    given = _checks(bench, keys.workshop)
    trust.write_text(text + line.replace(public_line(keys.workshop), public_line(key)))
    assert not bench.check(given)["CHECKSUM_MATCH"].passed
    assert "another plan" in bench.refused("CHECKSUM_MATCH", _checks(bench, key))


def test_checks_signed_for_another_purpose(bench: Bench) -> None:
    document, _ = bench.kit.checks(bench.plan)
    signature = sign(document, bench.kit.keys.kit, NAMESPACE_BACKUP)
    given = bench.evidence(checks_document=document, checks_signature=signature)
    bench.refused("CHECKSUM_MATCH", given)


@pytest.mark.parametrize(
    ("age", "passes"), [(1800.0, True), (1800.1, False), (0.0, True), (-0.1, False)]
)
def test_how_old_checks_may_be(bench: Bench, age: float, passes: bool) -> None:
    given = _checks(bench, made=moment(boottime=clock.now() - age))
    assert bench.check(given)["CHECKSUM_MATCH"].passed is passes


def test_checks_of_another_boot(bench: Bench) -> None:
    given = _checks(bench, made=moment(boot_id="another"))
    assert "stale" in bench.refused("CHECKSUM_MATCH", given)


@pytest.mark.parametrize("item", [(0xF191, "00"), (0x1234, "00")])
def test_a_file_for_another_variant(bench: Bench, item: tuple[int, str]) -> None:
    given = _checks(bench, compatibility=[IdentityValue(did=item[0], value=item[1])])
    assert f"0x{item[0]:04X}" in bench.refused("CHECKSUM_MATCH", given)


def test_checks_that_are_another_document(bench: Bench) -> None:
    document = canonical(moment())
    signature = sign(document, bench.kit.keys.kit, NAMESPACE_CHECKS)
    given = bench.evidence(checks_document=document, checks_signature=signature)
    assert "cannot be read" in bench.refused("CHECKSUM_MATCH", given)


# USER_ACKNOWLEDGMENT ------------------------------------------------------------------------------


def _acknowledged(bench: Bench, key: Ed25519PrivateKey | None = None, **changes: Any) -> Evidence:
    given = bench.kit.acknowledge(bench.plan, **changes)
    if key is not None:
        signature = sign(given.document, key, NAMESPACE_ACKNOWLEDGMENT)
        given = Acknowledgment(document=given.document, signature=signature)
    return bench.evidence(acknowledgment=given)


def test_nobody_acknowledged(bench: Bench) -> None:
    given = bench.evidence(acknowledgment=None)
    assert "Nobody" in bench.refused("USER_ACKNOWLEDGMENT", given)


@pytest.mark.parametrize("field", ["plan_digest", "risk_digest"])
def test_an_acknowledgment_of_something_else(bench: Bench, field: str) -> None:
    changes: dict[str, Any] = {field: "0" * 64}
    given = _acknowledged(bench, **changes)
    assert "another" in bench.refused("USER_ACKNOWLEDGMENT", given)


def test_an_acknowledgment_in_anothers_name(bench: Bench) -> None:
    given = _acknowledged(bench, technician="ben")
    assert "somebody else" in bench.refused("USER_ACKNOWLEDGMENT", given)


def test_an_acknowledgment_signed_by_others(bench: Bench) -> None:
    keys = bench.kit.keys
    for key in (keys.kit, keys.workshop, Ed25519PrivateKey.generate()):
        bench.refused("USER_ACKNOWLEDGMENT", _acknowledged(bench, key))


def test_a_technician_whose_key_was_taken_off_the_kit(bench: Bench) -> None:
    trust = bench.kit.state / "trust" / "allowed_signers"
    lines = [line for line in trust.read_text().splitlines() if TECHNICIAN not in line]
    trust.write_text("\n".join(lines) + "\n")
    bench.refused("USER_ACKNOWLEDGMENT")


def test_an_acknowledgment_signed_for_another_purpose(bench: Bench) -> None:
    document = bench.kit.acknowledge(bench.plan).document
    signature = sign(document, bench.kit.keys.technician, NAMESPACE_CHECKS)
    given = bench.evidence(acknowledgment=Acknowledgment(document=document, signature=signature))
    bench.refused("USER_ACKNOWLEDGMENT", given)


@pytest.mark.parametrize(
    ("age", "passes"), [(300.0, True), (300.1, False), (0.0, True), (-0.1, False)]
)
def test_how_old_an_acknowledgment_may_be(bench: Bench, age: float, passes: bool) -> None:
    given = _acknowledged(bench, made=moment(boottime=clock.now() - age))
    assert bench.check(given)["USER_ACKNOWLEDGMENT"].passed is passes


def test_an_acknowledgment_of_another_boot(bench: Bench) -> None:
    given = _acknowledged(bench, made=moment(boot_id="another"))
    assert "stale" in bench.refused("USER_ACKNOWLEDGMENT", given)


@pytest.mark.parametrize("used_by", ["start", "resume"])
def test_an_acknowledgment_that_was_used(bench: Bench, used_by: str) -> None:
    given = bench.evidence()
    assert given.acknowledgment is not None
    digest = acknowledgment_digest(given.acknowledgment)
    _interrupted(bench, acknowledgment=digest if used_by == "start" else "")
    book = bench.journal.begin(
        RunHeader(
            run="00000002-aa",
            job="",
            plan_digest="0" * 64,
            recovers="",
            backup_manifest_sha256="",
            acknowledgment="",
            profile="",
            ecu="",
            total_bytes=0,
            boot_id="",
        )
    )
    if used_by == "resume":
        book.resumed(digest)
    book.close()
    bench.plan = bench.kit.plan(LINK, PAYLOAD)
    bench.live = identity()
    assert "used before" in bench.refused("USER_ACKNOWLEDGMENT", given)


@pytest.mark.parametrize(
    ("pressed", "fact"), [(None, "not fitted"), (True, "pressed"), (False, None)]
)
def test_the_arm_button_where_fitted(bench: Bench, pressed: bool | None, fact: str | None) -> None:
    bench.button.pressed = pressed
    if fact is None:
        assert "arm button" in bench.refused("USER_ACKNOWLEDGMENT")
    else:
        assert bench.check()["USER_ACKNOWLEDGMENT"].facts["arm_button"] == fact


# CUSTOMER_AGREEMENT -------------------------------------------------------------------------------

SENSITIVE = """
[[identification]]
did = 0xF190
role = "vin"
label = "what only the appliance looks at"

[[sensitive]]
risk = "immobiliser"
address = 0x8000
size = 0x10
"""


def _sensitive(bench: Bench) -> None:
    """The plan writes memory that the profile calls the immobiliser's."""
    trust_witness(bench.kit)
    bench.replan(profile_sha256=add_to_profile(bench.kit, SENSITIVE))


def _fifth(bench: Bench, given: Evidence) -> GateResult:
    """What the gate behind the four says; these must have passed."""
    case = Case(bench.plan, digest_of(canonical(bench.plan)), bench.payload, given, bench.live)
    *four, fifth = bench.checker().check(case)
    assert tuple(result.gate for result in four) == GATES
    assert all(result.passed for result in four)
    assert fifth.gate == "CUSTOMER_AGREEMENT"
    return fifth


def _agreed(bench: Bench, *names: TextName, **changes: Any) -> Evidence:
    key = bench.kit.keys.technician
    return bench.evidence(
        agreements={name: signed(statement(text=name, **changes), key) for name in names}
    )


def test_what_is_sensitive_needs_an_agreement(bench: Bench) -> None:
    _sensitive(bench)
    refused = _fifth(bench, bench.evidence())
    assert not refused.passed
    assert refused.reason == "The customer has not signed the text 'immobiliser' for this job."
    assert refused.next_step
    assert not refused.facts
    passed = _fifth(bench, _agreed(bench, "immobiliser"))
    assert passed.passed
    assert set(passed.facts) == {"immobiliser"}
    assert "signed by Thandi Nkosi" in passed.facts["immobiliser"]


def test_an_agreement_for_another_car_is_refused_by_the_vin_that_the_profile_names(
    bench: Bench,
) -> None:
    _sensitive(bench)
    assert not _fifth(bench, _agreed(bench, "immobiliser", vin="WFKZZZ8K1TA000018")).passed


def test_every_text_that_is_needed_must_be_signed(bench: Bench) -> None:
    _sensitive(bench)
    with (bench.kit.state / "kit.toml").open("a") as file:
        file.write('\n[agreements]\nimmobiliser = ["terms"]\nprogramming = ["dtc_modification"]\n')
    every: list[TextName] = ["terms", "immobiliser", "dtc_modification"]
    assert list(_fifth(bench, _agreed(bench, *every)).facts) == every
    for missing in every:
        given = _agreed(bench, *(name for name in every if name != missing))
        refused = _fifth(bench, given)
        assert not refused.passed
        assert f"'{missing}'" in refused.reason


def test_the_texts_are_those_of_this_kit(bench: Bench) -> None:
    _sensitive(bench)
    given = _agreed(bench, "immobiliser")
    folder = bench.kit.state / "texts"
    folder.mkdir()
    (folder / "immobiliser.en.2.txt").write_text("Keys\n")
    assert "words that do not hold now" in _fifth(bench, given).reason


def test_a_plan_that_needs_none_is_not_asked_for_one(bench: Bench) -> None:
    sensitive = SENSITIVE.replace("0x8000", "0x100000")
    bench.replan(profile_sha256=add_to_profile(bench.kit, sensitive))
    assert all(result.passed for result in bench.check().values())


def test_a_plan_of_a_class_needs_its_text_without_any_word_of_the_profile(bench: Bench) -> None:
    bench.replan(risk=Risk(risk_class="dtc_modification", text="risk"))
    assert "'dtc_modification'" in _fifth(bench, bench.evidence()).reason


@pytest.mark.parametrize(
    "part",
    [
        "did = 1\nrid = 1",
        "did = 1\nsize = 1",
        "address = 1",
        "address = 1\nsize = 0",
        "did = 1\naddress = 1\nsize = 1",
        "size = 1",
        "did = 0x10000",
        "did = 1\nunknown = 1",
        "",
    ],
)
def test_a_profile_whose_sensitive_parts_are_not_understood_is_for_no_write(
    bench: Bench, part: str
) -> None:
    table = f'\n[[sensitive]]\nrisk = "immobiliser"\n{part}\n'
    bench.replan(profile_sha256=add_to_profile(bench.kit, table))
    assert "cannot be used for writing" in bench.refused("VOLTAGE_CHECK")


def test_the_identity_digest_is_over_values_in_did_order_and_their_lengths() -> None:
    one, two = IdentityValue(did=1, value="aabb"), IdentityValue(did=2, value="cc")
    assert identity_digest(b"salt", [one, two]) == identity_digest(b"salt", [two, one])
    moved = [IdentityValue(did=1, value="aa"), IdentityValue(did=2, value="bbcc")]
    assert identity_digest(b"salt", moved) != identity_digest(b"salt", [one, two])
    assert identity_digest(b"other", [one, two]) != identity_digest(b"salt", [one, two])


# What is told -------------------------------------------------------------------------------------


def test_the_facts_name_backup_objects_role_and_digest(bench: Bench) -> None:
    given = bench.evidence()
    results = bench.check(given)
    backup = results["DUAL_BACKUP"].facts
    assert backup["backup"].startswith("backup-")
    names = {path.stem for path in bench.folders()[0].glob("*.age")}
    assert {item.partition(" ")[2] for item in backup["objects"].split(", ")} == names
    assert {item.partition(" ")[0] for item in backup["objects"].split(", ")} == {"coding", "image"}
    acknowledged = results["USER_ACKNOWLEDGMENT"].facts
    assert acknowledged["role"] == "technician"
    assert given.acknowledgment is not None
    assert acknowledged["digest"] == acknowledgment_digest(given.acknowledgment)


def test_what_is_stale_is_named_with_its_longest_age(bench: Bench) -> None:
    given = bench.evidence()
    bench.time.time += 5 * 3600.0
    bench.history.started_at = bench.time.time - 12.0
    results = bench.check(given)
    stale: dict[GateName, tuple[str, int]] = {
        "DUAL_BACKUP": ("backup", 240),
        "CHECKSUM_MATCH": ("statement on the checksums", 30),
        "USER_ACKNOWLEDGMENT": ("acknowledgment", 5),
    }
    for gate, (name, minutes) in stale.items():
        assert results[gate].reason == (
            f"The {name} is stale: it must be of this start of the kit and at most {minutes} "
            "minutes old."
        )


# The voltage, at the edges ------------------------------------------------------------------------


class Ring:
    """A sampler that holds exactly these samples."""

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def history(self, since: float) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= since]


def lowest(bench: Bench, *samples: tuple[float, float]) -> float | None:
    """Lowest voltage that 0.5 s of settling see at 1000 s with 1/16 s as stale; None if refused."""
    checker = bench.checker()
    checker._voltage = Ring(*(Sample(at, volts) for at, volts in samples))
    bench.time.time = 1000.0
    try:
        return checker.check_voltage(12.5, 14.8, 0.5, 0.0625)[0]
    except RefusedError:
        return None


def test_samples_just_often_and_just_long_enough_pass(bench: Bench) -> None:
    times = (999.5, 999.625, 999.75, 999.875, 1000.0)
    assert lowest(bench, *((at, 13.0) for at in times)) == 13.0


def test_a_newest_sample_of_just_the_stale_time_passes(bench: Bench) -> None:
    times = (999.4375, 999.5625, 999.6875, 999.8125, 999.9375)
    assert lowest(bench, *((at, 13.0) for at in times)) == 13.0


def test_the_sample_at_the_very_start_of_the_settling_time_counts(bench: Bench) -> None:
    times = (999.5, 999.625, 999.75, 999.875, 1000.0)
    assert lowest(bench, (999.5, 12.6), *((at, 13.0) for at in times[1:])) == 12.6
    assert lowest(bench, (999.5, 12.4), *((at, 13.0) for at in times[1:])) is None


def test_a_gap_at_the_start_of_the_settling_time_is_one(bench: Bench) -> None:
    assert lowest(bench, *((at, 13.0) for at in (999.4375, 999.75, 999.875, 1000.0))) is None


def test_a_sample_long_before_the_settling_time_does_not_cover_its_start(bench: Bench) -> None:
    times = (999.34375, 999.625, 999.75, 999.875, 1000.0)
    assert lowest(bench, *((at, 13.0) for at in times)) is None


@pytest.mark.parametrize("latest", [None, 11.0, 15.5])
def test_a_voltage_that_is_outside_now_is_refused_without_waiting(
    bench: Bench, latest: float | None
) -> None:
    bench.history.spoil = lambda age, sample: Sample(sample.at, latest if age == 0 else 13.0, "-")
    began = bench.time.time
    bench.refused("VOLTAGE_CHECK")
    assert bench.time.time == began


@pytest.mark.parametrize("volts", [WINDOW.start_min_v, WINDOW.start_max_v])
def test_a_voltage_at_the_edge_is_waited_for(bench: Bench, volts: float) -> None:
    bench.history.volts = volts
    bench.history.started_at = bench.time.time - 0.1
    assert bench.check()["VOLTAGE_CHECK"].passed


def test_the_wait_lasts_a_second_longer_than_settling_and_no_more(bench: Bench) -> None:
    began = bench.time.time

    def dips(until: float) -> None:
        """One dip each 0.3 s until then; never the latest sample."""

        def spoil(age: float, sample: Sample) -> Sample:
            since = sample.at - began
            dip = age > 0 and since < until and since % 0.3 < 0.004
            return Sample(sample.at, 12.0 if dip else 13.2)

        bench.history.spoil = spoil

    dips(until=0.7)
    assert bench.check()["VOLTAGE_CHECK"].passed
    assert bench.time.time - began > WINDOW.settle_s
    began = bench.time.time
    dips(until=100.0)
    bench.refused("VOLTAGE_CHECK")
    assert 1.5 <= bench.time.time - began < 1.7


def test_a_window_that_ends_where_the_sensor_ends_is_watched(bench: Bench) -> None:
    bench.checker()._check_divider(msgspec.structs.replace(WINDOW, over_v=26.0))
    with pytest.raises(RefusedError):
        bench.checker()._check_divider(msgspec.structs.replace(WINDOW, over_v=26.01))


# Files of a copy ----------------------------------------------------------------------------------


def test_what_is_no_file_is_named(bench: Bench) -> None:
    path = next(bench.folders()[1].glob("*.age"))
    path.unlink()
    os.mkfifo(path)
    wanted = f"A copy cannot be read: [Errno 22] It is not a file: '{path.resolve()}'."
    assert bench.refused("DUAL_BACKUP") == wanted


def test_a_copy_is_opened_for_reading_only_and_past_the_cache(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    dropped: list[tuple[int, int, int]] = []
    really = os.open

    def open_(path: str, flags: int) -> int:
        opened.append(flags)
        return really(path, flags)

    def fadvise(_descriptor: int, offset: int, length: int, advice: int) -> None:
        dropped.append((offset, length, advice))

    with monkeypatch.context() as patch:
        patch.setattr("hw.evidence.os.open", open_)
        patch.setattr("hw.evidence.os.posix_fadvise", fadvise)
        evidence._read_from_medium(bench.folders()[0] / "manifest.json")
    wanted = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    assert [flags & ~getattr(os, "O_LARGEFILE", 0) for flags in opened] == [wanted]
    assert dropped == [(0, 0, os.POSIX_FADV_DONTNEED)]


def test_of_three_payloads_each_is_compared_at_its_place(bench: Bench) -> None:
    parts = (PAYLOAD, b"second", b"the third")
    plan = bench.plan
    payloads = [
        msgspec.structs.replace(
            plan.payloads[0], size=len(part), sha256=hashlib.sha256(part).hexdigest()
        )
        for part in parts
    ]
    bench.replan(payloads=payloads)
    bench.payload = b"".join(parts)
    assert bench.check()["CHECKSUM_MATCH"].passed
