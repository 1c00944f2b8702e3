"""A new kit: what is written, what is refused, and that a power cut leaves no half kit in use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.age import decrypt, new_identity
from appliance.identity import NewKit, Recipients, init_kit, list_technicians, unlock
from hw.config import load_config
from hw.errors import BadInputError, UsageError
from hw.sshsig import AllowedSigners, parse_public_line, public_line, sign, verify

ROOT = Path(__file__).parents[3]
OWNER = ("maria", "owner", "correct horse battery")


def make(state: Path, **changed: Any) -> NewKit:
    arguments: dict[str, Any] = {
        "technicians": [OWNER],
        "workshop_recipient": new_identity()[1],
        "recovery_recipient": new_identity()[1],
        "config": {
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40", "divider": 2.5, "rate_hz": 500},
            "media": {"a": str(state.parent / 'a "quoted\\" ü'), "b": "/media/b"},
            "outputs": {"write_enable": "gpio17", "wiring": "standby", "arm_button": "gpio27"},
        },
    }
    return init_kit(state, **(arguments | changed))


def test_the_configuration_is_read_back_as_it_was_given(tmp_path: Path) -> None:
    make(tmp_path / "state")
    config = load_config(tmp_path / "state")
    assert config.voltage.sensor == "ina219:///dev/i2c-1/0x40"
    assert (config.voltage.divider, config.voltage.rate_hz) == (2.5, 500)
    assert (config.outputs.write_enable, config.outputs.wiring) == ("gpio17", "standby")
    assert config.media.a == str(tmp_path / 'a "quoted\\" ü')
    assert not config.media.simulated
    assert config.sticks.roots == ("/media", "/run/media")
    assert config.links == []


def test_links_and_roots_of_sticks_are_read_back_as_they_were_given(tmp_path: Path) -> None:
    links = [
        {"name": 'CAN "engine" ü', "uri": "can://socketcan/can0?tx=0x7E0&rx=0x7E8"},
        {"name": "Ethernet", "uri": "doip://192.168.0.10"},
    ]
    sticks = {"roots": [str(tmp_path / "sticks")], "simulated": True}
    media = {"a": "/media/a", "b": "/media/b"}
    voltage = {"sensor": "ina219:///dev/i2c-1/0x40"}
    made = {"voltage": voltage, "media": media, "sticks": sticks, "links": links}
    make(tmp_path / "state", config=made)
    config = load_config(tmp_path / "state")
    assert [(link.name, link.uri) for link in config.links] == [
        (link["name"], link["uri"]) for link in links
    ]
    assert config.sticks.simulated
    assert [path.name for path in tmp_path.glob("sticks/*/*")] == ["demo-calibration.hex"]


@pytest.mark.parametrize("link", [{"name": "", "uri": "doip://x"}, {"name": "x", "uri": "x"}])
def test_a_link_without_name_or_scheme_is_refused(tmp_path: Path, link: dict[str, str]) -> None:
    media = {"a": "/media/a", "b": "/media/b"}
    config = {"voltage": {"sensor": "ina219:///dev/i2c-1/0x40"}, "media": media, "links": [link]}
    with pytest.raises(BadInputError, match="configuration is wrong"):
        make(tmp_path / "state", config=config)


def test_each_principal_may_sign_for_its_own_purpose_only(pristine_kit: Path) -> None:
    signers = AllowedSigners.load(pristine_kit / "trust" / "allowed_signers")
    assert {signer.principals[0]: set(signer.namespaces) for signer in signers.signers} == {
        "kit": {"fieldkit-backup", "fieldkit-checks", "fieldkit-record"},
        "workshop": {"fieldkit-profile"},
        "technician:maria": {"fieldkit-acknowledgment", "fieldkit-agreement"},
        "technician:jürgen": {"fieldkit-acknowledgment", "fieldkit-agreement"},
    }


def test_a_standalone_kit_ships_profiles_signed_by_its_own_workshop_key(
    pristine_kit: Path,
) -> None:
    signers = AllowedSigners.load(pristine_kit / "trust" / "allowed_signers")
    profiles = sorted((pristine_kit / "profiles").glob("*.toml"))
    assert "sim-engine" in {path.stem for path in profiles}
    for path in profiles:
        signature = path.with_name(path.name + ".sig").read_bytes()
        assert verify(path.read_bytes(), signature, "fieldkit-profile", signers) == "workshop"


def test_a_kit_of_a_workshop_holds_no_workshop_key_and_trusts_the_given_one(
    tmp_path: Path,
) -> None:
    workshop = Ed25519PrivateKey.generate()
    made = make(tmp_path / "state", workshop_key=public_line(workshop) + " w@example")
    assert (made.standalone, made.profiles) == (False, [])
    signers = AllowedSigners.load(tmp_path / "state" / "trust" / "allowed_signers")
    signature = sign(b"a profile", workshop, "fieldkit-profile")
    assert verify(b"a profile", signature, "fieldkit-profile", signers) == "workshop"
    assert unlock(tmp_path / "state", "maria", OWNER[2]).workshop_key is None


def test_keys_are_for_the_owner_of_the_files_only(pristine_kit: Path) -> None:
    keys = pristine_kit / "keys"
    assert keys.stat().st_mode & 0o777 == 0o700
    files = [path for path in keys.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_the_public_keys_told_are_the_kit_s(tmp_path: Path) -> None:
    made = make(tmp_path / "state")
    unlocked = unlock(tmp_path / "state", "maria", OWNER[2])
    assert public_line(parse_public_line(made.kit_key)) == public_line(unlocked.kit_key)
    assert made.kit_recipient == str(unlocked.kit_identity.to_public())
    assert Recipients.load(tmp_path / "state").kit == made.kit_recipient


def test_an_existing_kit_is_never_overwritten(state: Path) -> None:
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="There is a kit"):
        make(state)
    (state / "kit.toml").unlink()
    with pytest.raises(UsageError, match="left from another or an interrupted"):
        make(state)
    before.pop(state / "kit.toml")
    assert before == {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"technicians": [("m", "owner", "too short")]}, "shorter than 10"),
        ({"technicians": [("m", "owner", "e\u0301" * 9)]}, "shorter than 10"),
        ({"technicians": [("m", "owner", "\ud800" * 12)]}, "not a character"),
        ({"technicians": [("m", "technician", "long enough now")]}, "No technician is an owner"),
        ({"technicians": [("m", "boss", "long enough now")]}, "no role 'boss'"),
        ({"technicians": []}, "No technician is an owner"),
        ({"technicians": [OWNER, ("maria", "technician", "long enough now")]}, "the same name"),
        ({"workshop_recipient": "age1nonsense"}, "workshop recipient"),
        ({"recovery_recipient": "ssh-ed25519 AAAA"}, "recovery recipient"),
        ({"workshop_key": "ssh-rsa AAAA"}, "ssh-ed25519"),
        ({"workshop_key": ""}, "ssh-ed25519"),
        ({"config": {"voltage": {"sensor": "x"}}}, "media"),
        ({"config": {"voltage": {"sensor": "x", "rate_hz": 1}, "media": {}}}, "rate_hz"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_written(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        make(tmp_path / "state", **changed)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", ["", "a b", "a,b", "../x", "a/b", "*", 'a"b', ".a", "x" * 33])
def test_a_name_that_a_signer_line_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="name must be"):
        make(tmp_path / "state", technicians=[(name, "owner", "long enough now")])


def test_workshop_and_recovery_must_not_be_the_same_key(tmp_path: Path) -> None:
    recipient = new_identity()[1]
    with pytest.raises(BadInputError, match="the same key"):
        make(tmp_path / "state", workshop_recipient=recipient, recovery_recipient=recipient)


@pytest.mark.parametrize(
    "text",
    ["", "# kit\n{a}\n# workshop\n{b}\n", "{a}\n{b}\n{c}\n", "# kit\n{a}\n# workshop\n{a}\n"],
)
def test_a_changed_list_of_recipients_is_refused(state: Path, text: str) -> None:
    values = dict(zip("abc", (new_identity()[1] for _ in range(3)), strict=True))
    (state / "trust" / "recipients").write_text(text.format(**values))
    with pytest.raises(BadInputError, match="recipients"):
        Recipients.load(state)


def test_stock_age_encrypts_to_the_list_of_recipients(pristine_kit: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["age", "-R", pristine_kit / "trust" / "recipients", "-o", tmp_path / "out.age"],
        input=b"hello",
        check=True,
        timeout=20,
    )
    unlocked = unlock(pristine_kit, "maria", OWNER[2])
    assert decrypt((tmp_path / "out.age").read_bytes(), unlocked.kit_identity) == b"hello"


CRASH = """
import os, signal, sys
from pathlib import Path
from appliance.identity import seal
from appliance.age import new_identity
from appliance.identity import init_kit, unlock
from hw.errors import UsageError
# Quick passphrases: this is about files.
seal.KDF = seal.KdfParameters(memory_kib=8192, passes=1)
owner = ("maria", "owner", "correct horse battery")
config = {"voltage": {"sensor": "x"}, "media": {"a": "/a", "b": "/b"}}
recipients = [new_identity()[1] for _ in range(2)]

def make(state):
    init_kit(state, technicians=[owner], workshop_recipient=recipients[0],
             recovery_recipient=recipients[1], config=config)

def dies_at(state, count):
    child = os.fork()
    if child == 0:
        real, left = os.fsync, [count]
        def fsync(descriptor):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor)
        os.fsync = fsync
        make(state)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

base = Path(sys.argv[1])
for count in range(1, 60):
    state = base / str(count)
    code = dies_at(state, count)
    try:
        make(state)
        outcome = "made again"
    except UsageError as error:
        outcome = "there" if "There is a kit" in error.what else "left over"
    if outcome != "left over":
        unlock(state, "maria", owner[2])
    print(count, code, outcome)
    if code == 0:
        break
"""


def test_a_power_cut_at_any_sync_leaves_a_whole_kit_or_one_that_is_refused(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    outcomes = [outcome for _, _, outcome in lines]
    assert {code for _, code, _ in lines[:-1]} == {"-9"}
    assert lines[-1][1:] == ["0", "there"], "the last one was not killed"
    assert "made again" in outcomes
    # From the moment the keys are in place, nothing is ever made over them.
    first_kept = next(at for at, outcome in enumerate(outcomes) if outcome != "made again")
    assert "made again" not in outcomes[first_kept:]


def test_technicians_are_listed_by_name(pristine_kit: Path) -> None:
    assert list_technicians(pristine_kit) == [("jürgen", "technician"), ("maria", "owner")]
