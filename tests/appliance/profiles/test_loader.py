"""Loading a profile: the signature comes first, then every field; errors point at the line."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from appliance.profiles import (
    check_link,
    install_shipped_profiles,
    load_profile,
    parse_profile,
    text_of,
)
from appliance.profiles.loader import ProfileError, ProfileNotSigned, WrongLink, signature_path
from hw.errors import BadInputError
from hw.sshsig import public_line, sign
from hw.statements import NAMESPACE_BACKUP, NAMESPACE_PROFILE

DATA = Path(__file__).parents[3] / "appliance/profiles/data"
ENGINE = (DATA / "sim-engine.toml").read_text()


class Workshop:
    """A state folder that trusts one workshop key, and a kit's key that may sign other things."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.key = Ed25519PrivateKey.generate()
        self.kit_key = Ed25519PrivateKey.generate()
        (state / "trust").mkdir()
        (state / "trust/allowed_signers").write_text(
            f'workshop namespaces="{NAMESPACE_PROFILE}" {public_line(self.key)}\n'
            f'kit namespaces="{NAMESPACE_PROFILE}" {public_line(self.kit_key)}\n'
        )

    def sign(self, document: bytes) -> bytes:
        return sign(document, self.key, NAMESPACE_PROFILE)

    def put(self, text: str, name: str = "mine.toml") -> Path:
        path = self.state / name
        path.write_text(text)
        signature_path(path).write_bytes(self.sign(text.encode()))
        return path


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_an_installed_profile_loads_by_name(workshop: Workshop) -> None:
    install_shipped_profiles(workshop.state, workshop.sign)
    loaded = load_profile("sim-engine", workshop.state)
    assert loaded.profile.name == "sim-engine"
    assert loaded.path == workshop.state / "profiles/sim-engine.toml"
    assert loaded.sha256 == hashlib.sha256(ENGINE.encode()).hexdigest()


def test_installing_again_leaves_one_signed_copy_of_each(workshop: Workshop) -> None:
    first = install_shipped_profiles(workshop.state, workshop.sign)
    assert install_shipped_profiles(workshop.state, workshop.sign) == first
    names = {path.name for path in (workshop.state / "profiles").iterdir()}
    assert names == {name for path in first for name in (path.name, f"{path.name}.sig")}


def test_a_profile_loads_by_its_path(workshop: Workshop) -> None:
    path = workshop.put(ENGINE)
    assert load_profile(str(path), workshop.state).profile.name == "sim-engine"


def test_an_unsigned_profile_is_refused(workshop: Workshop) -> None:
    path = workshop.put(ENGINE)
    signature_path(path).unlink()
    with pytest.raises(ProfileNotSigned, match=r"is not signed: mine\.toml\.sig is missing"):
        load_profile(str(path), workshop.state)


def test_one_changed_byte_is_refused(workshop: Workshop) -> None:
    path = workshop.put(ENGINE)
    path.write_text(ENGINE.replace("hold_v = 12.0", "hold_v = 11.5"))
    with pytest.raises(ProfileNotSigned, match="signed bytes were changed"):
        load_profile(str(path), workshop.state)


def test_a_signature_of_another_purpose_is_refused(workshop: Workshop) -> None:
    path = workshop.put(ENGINE)
    signature_path(path).write_bytes(sign(ENGINE.encode(), workshop.key, NAMESPACE_BACKUP))
    with pytest.raises(ProfileNotSigned, match=NAMESPACE_BACKUP):
        load_profile(str(path), workshop.state)


def test_a_signature_by_another_principal_is_refused(workshop: Workshop) -> None:
    path = workshop.put(ENGINE)
    signature_path(path).write_bytes(sign(ENGINE.encode(), workshop.kit_key, NAMESPACE_PROFILE))
    with pytest.raises(ProfileNotSigned, match="signed by 'kit', not by the workshop"):
        load_profile(str(path), workshop.state)


def test_an_unknown_name_lists_the_known_ones(workshop: Workshop) -> None:
    install_shipped_profiles(workshop.state, workshop.sign)
    with pytest.raises(BadInputError, match=r"no profile .*/sim-engin\.toml.*sim-engine"):
        load_profile("sim-engin", workshop.state)


def test_a_profile_under_another_name_is_refused(workshop: Workshop) -> None:
    (workshop.state / "profiles").mkdir()
    workshop.put(ENGINE, "profiles/other.toml")
    with pytest.raises(ProfileError, match="key name: the file is named 'other'"):
        load_profile("other", workshop.state)


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


ERASE = 'option = "44{address:4}{length:4}"'
WRONG_FIELDS = [
    # (what stands there, what is put instead, part of the line, key, part of the reason)
    ("p2_s = 1.0", 'p2_s = "1"', "p2_s", "timing.p2_s", "expected `float`"),
    ("tx = 0x7E0", "tx = 0x7E8", "[addresses.can]", "addresses.can", "same identifier"),
    ("tx = 0x7E0", "tx = 0x17E0", "[addresses.can]", "addresses.can", "ends at 0x7FF"),
    ("target = 0x0010", "targat = 0x0010", "targat", "addresses.doip.targat", "unknown field"),
    ("target = 0x0010\n", "", "[addresses.doip]", "addresses.doip.target", "missing required"),
    ("stale_s = 0.05\n", "", "[voltage]", "voltage", "stale_s must be spelled out"),
    ("hold_v = 12.0", "hold_v = 13.0", "[voltage]", "voltage", "cut < hold < resume"),
    ("level = 0x03", "level = 0x04", "level = 0x04", "security[1].level", "is even"),
    ("did = 0xF187", "did = 0xF186", "spare", "identification[2].did", "already has this value"),
    ("size = 0x1000\n", "size = -1\n", "size = -1", "memory[2].size", "expected `int` >= 1"),
    ("address = 0x00F0_0000", "address = 0x00BF_FFFF", "0x00BF_FFFF", "memory[2].address", "overl"),
    ("sector_size = 0x2000", "sector_size = 0x3000", "[[memory]]", "memory[0]", "whole number"),
    (
        'purpose = "programming" }',
        'purpose = "flash" }',
        '"flash"',
        "flash.steps[4].purpose",
        "Inv",
    ),
    (ERASE, 'option = "44{addres:4}"', "{addres:4}", "flash.steps[6].option", "is not known here"),
    (ERASE, 'option = "4"', '"4"', "flash.steps[6].option", "matching regex"),
    ('{ step = "check_coding" },', "", "[code]", "code", "write_coding, then check_coding"),
    ("[voltage]", "[power]", "[power]", "power", "unknown field"),
    ("Job {job}: the {ecu}", "The {ecu}", 'coding = """', "risk.coding", "must say {job}"),
    ("on = 1 } }", "on = 2 } }", '"Cruise', "coding[0].fields[0]", "does not fit 1 bits"),
    ("on = 1 } }", "on = 0 } }", '"Cruise', "coding[0].fields[0]", "one number two words"),
    ("on = 1 } }", 'on = 1 }, unit = "V" }', '"Cruise', "coding[0].fields[0]", "so it has no unit"),
    (", values = { off = 0, on = 1 } }", " }", '"Cruise', "coding[0].fields[0]", "needs either"),
    ("max = 30000.0", "max = 3000.0", "3000.0 }", "coding[0].fields[4]", "min <= max"),
    ("byte = 1, bit = 0", "byte = 1, bit = 1", "[[coding]]", "coding[0]", "overlaps another"),
    ("byte = 3, bit = 0", "byte = 3, bit = 1", "[[coding]]", "coding[0]", "ends after byte 4"),
    ("address_width = 4", "address_width = 2", "[[memory]]", "memory[0]", "does not fit its"),
    ("extended = 0x03\n", "", '"extended"', "security[0].session", "does not name a value"),
    ("did = 0xF191\nall", "did = 0xF1A1\nall", "0xF1A1", "compatibility[0].did", "not among"),
    ("max_s = 30.0", "max_s = 0.01", "0.01 }", "flash.steps[12]", "min_s is longer"),
    ("[recover]", "[live]", "[live]", "live", "expected `array`"),
    ("{window}", "{windows}", 'coding = """', "risk.coding", "{windows} is not known"),
]


CLUSTER = (DATA / "sim-cluster.toml").read_text()
SENSITIVE = 'risk = "immobiliser"\ndid = 0x0601\n'


@pytest.mark.parametrize(
    ("new", "key", "reason"),
    [
        ('risk = "immobiliser"\ndid = 0x0603\n', "sensitive[0].did", "writes 0x0603"),
        ('risk = "immobiliser"\nrid = 0x0310\n', "sensitive[0].rid", "runs 0x0310"),
        (
            'risk = "immobiliser"\naddress = 0\nsize = 1\n',
            "sensitive[0].address",
            "no region that is written",
        ),
        ('risk = "coding"\ndid = 0x0601\n', "sensitive[0].risk", "invalid enum value"),
        ('risk = "immobiliser"\n', "sensitive[0]", "one of: did, rid, address"),
        ('risk = "immobiliser"\ndid = 0x0601\nrid = 1\n', "sensitive[0]", "one of: did"),
        ('risk = "immobiliser"\ndid = 0x0601\nregion = "x"\n', "sensitive[0].region", "unknown"),
    ],
)
def test_a_sensitive_part_that_is_none_is_refused(new: str, key: str, reason: str) -> None:
    assert CLUSTER.count(SENSITIVE) == 1
    with pytest.raises(ProfileError) as caught:
        parse_profile(CLUSTER.replace(SENSITIVE, new).encode(), Path("p.toml"))
    assert f"key {key}:" in caught.value.what
    assert reason in caught.value.what


def test_a_sensitive_part_needs_a_risk_text_of_its_class(tmp_path: Path) -> None:
    text = CLUSTER.replace("Job {job}: keys or immobiliser", "Keys or immobiliser")
    with pytest.raises(ProfileError, match=r"risk\.immobiliser.*must say \{job\}"):
        parse_profile(text.encode(), tmp_path / "p.toml")
    without = CLUSTER.replace(SENSITIVE, 'risk = "dtc_modification"\ndid = 0x0601\n')
    without = without.replace('immobiliser = """', 'restored = """')
    with pytest.raises(ProfileError, match="restored"):
        parse_profile(without.encode(), tmp_path / "p.toml")


@pytest.mark.parametrize("rid", [0xFF00, 0x0202, 0xFF01])
def test_a_routine_and_written_memory_can_be_sensitive(rid: int) -> None:
    parts = f"""
[[sensitive]]
risk = "immobiliser"
rid = {rid}

[[sensitive]]
risk = "dtc_modification"
address = 0x8000
size = 0x1_0000

[[sensitive]]
risk = "immobiliser"
did = 0xF15A

[risk]
immobiliser = "{{job}} {{ecu}} {{what}}"
dtc_modification = "{{job}} {{ecu}} {{what}}"
"""
    profile = parse_profile(ENGINE.replace("[risk]\n", parts).encode(), Path("p.toml"))
    assert len(profile.sensitive) == 3
    beyond = parts.replace("0x1_0000", "0x1_0001")
    with pytest.raises(ProfileError, match="no region that is written"):
        parse_profile(ENGINE.replace("[risk]\n", beyond).encode(), Path("p.toml"))


def put_wrong(old: str, new: str) -> str:
    """The engine's profile with one place changed; for the spare part number, that entry's."""
    assert old in ENGINE
    return ENGINE.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "at", "key", "reason"), WRONG_FIELDS)
def test_one_bad_field_gives_file_line_key_and_reason(
    old: str, new: str, at: str, key: str, reason: str
) -> None:
    text = put_wrong(old, new)
    with pytest.raises(ProfileError) as caught:
        parse_profile(text.encode(), Path("folder/sim-engine.toml"))
    what = caught.value.what
    assert "folder/sim-engine.toml" in what
    assert f"key {key}" in what
    assert reason.lower() in what.lower()
    if at != "spare":
        assert f"line {line_with(text, at)}," in what
    assert caught.value.exit_status == 65


def test_a_duplicate_points_at_the_second_one() -> None:
    text = put_wrong("did = 0xF187", "did = 0xF186")
    second = [n for n, line in enumerate(text.splitlines(), 1) if line == "did = 0xF186"][1]
    with pytest.raises(ProfileError, match=f"line {second}, key identification"):
        parse_profile(text.encode(), Path("p.toml"))


def test_broken_toml_gives_the_line() -> None:
    text = put_wrong("p2_s = 1.0", "p2_s = = 1.0")
    with pytest.raises(ProfileError, match=f"line {line_with(text, '= = ')}: not TOML"):
        parse_profile(text.encode(), Path("p.toml"))


def test_text_that_is_not_utf8_gives_the_line() -> None:
    with pytest.raises(ProfileError, match="line 2: the file is not UTF-8"):
        parse_profile(b'format = "x"\nname = "\xff"\n', Path("p.toml"))


def without_part(start: str, end: str) -> str:
    """The engine's profile without what lies between two of its lines."""
    first = ENGINE.index(start)
    return ENGINE[:first] + ENGINE[ENGINE.index(end, first + 1) :]


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (without_part("[recover]", "[risk]"), "flash", "belong together"),
        (without_part("[[coding]]", "[[memory]]"), "code", "no coding DID to write"),
        (ENGINE.replace("identifies = true\n", ""), "code", "needs an identifying DID"),
        (ENGINE.replace("boot = true\n", ""), "flash", "answered by the boot loader"),
        (ENGINE.replace('"reading"\nlevel', '"reading2"\nlevel'), "security[0].purpose", "nvalid"),
        (without_part("[[security]]", "[[security]]"), "memory[0].read.unlock", "is for 'reading'"),
        (without_part('[[security]]\npurpose = "cod', "[[id"), "code.steps[1].purpose", "is for"),
    ],
)
def test_parts_that_need_each_other_are_missed(text: str, key: str, reason: str) -> None:
    with pytest.raises(ProfileError, match=f"key {re.escape(key)}: .*{reason}"):
        parse_profile(text.encode(), Path("p.toml"))


def test_a_region_that_is_written_must_be_backed_up() -> None:
    text = ENGINE.replace("backup = true", "backup = false", 1)
    with pytest.raises(ProfileError, match=r"key memory\[0\]\.backup: .*must be backed up"):
        parse_profile(text.encode(), Path("p.toml"))


def test_a_flash_needs_a_region_to_write() -> None:
    parts = ENGINE.split("[memory.write]")
    text = parts[0] + "".join(part[part.index("\n[[") :] for part in parts[1:])
    with pytest.raises(ProfileError, match="key flash: no memory region can be written"):
        parse_profile(text.encode(), Path("p.toml"))


@pytest.mark.parametrize(
    ("encoding", "raw", "shown"),
    [
        ("ascii", b"8K0907115 \x00", "8K0907115"),
        ("ascii", b"\x01\x02", "0102"),
        ("ascii", b"\xe4", "e4"),
        ("hex", b"\x0a\xff", "0aff"),
        ("bcd", b"\x20\x26", "2026"),
        ("uint", b"\x01\x00", "256"),
    ],
)
def test_identification_is_shown_by_its_encoding(encoding: str, raw: bytes, shown: str) -> None:
    assert text_of(encoding, raw) == shown


def test_a_profile_that_writes_needs_its_own_window() -> None:
    start, end = ENGINE.index("[voltage]"), ENGINE.index("[[security]]")
    with pytest.raises(ProfileError, match=r"key code: a profile that writes needs .*\[voltage\]"):
        parse_profile((ENGINE[:start] + ENGINE[end:]).encode(), Path("p.toml"))


@pytest.mark.parametrize(
    ("low", "high", "key"),
    [(12.7, 14.2, "voltage.start_min_v"), (12.8, 14.3, "voltage.start_max_v")],
)
def test_a_window_outside_the_make_s_range_is_refused(low: float, high: float, key: str) -> None:
    text = put_wrong('ecu = "engine"', 'ecu = "engine"\nmake = "Audi"')
    text = text.replace("start_min_v = 12.5", f"start_min_v = {low}")
    text = text.replace("start_max_v = 14.8", f"start_max_v = {high}")
    with pytest.raises(ProfileError, match=f"{re.escape(key)}: Audi publishes"):
        parse_profile(text.encode(), Path("p.toml"))


def test_a_window_inside_the_make_s_range_is_taken() -> None:
    text = put_wrong('ecu = "engine"', 'ecu = "engine"\nmake = "Mercedes"')
    text = text.replace("start_max_v = 14.8", "start_max_v = 14.5")
    assert parse_profile(text.encode(), Path("p.toml")).make == "Mercedes"


@given(st.data())
def test_any_damage_is_a_profile_error_or_a_profile(data: st.DataObject) -> None:
    document = bytearray(ENGINE.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(document) - 1))
        document[position] = data.draw(st.integers(0, 255))
    # Whatever else it raised would fail the test.
    with contextlib.suppress(ProfileError):
        parse_profile(bytes(document), Path("p.toml"))


ENGINE_PROFILE = parse_profile(ENGINE.encode(), Path("sim-engine.toml"))


@pytest.mark.parametrize(
    "link",
    [
        "can://socketcand/127.0.0.1:29536/can0?tx=0x7E0&rx=0x7E8",
        "can://socketcan/can0",
        "doip://127.0.0.1:13400?target=0x0010&source=0x0E00",
        "kline:///dev/ttyUSB0?init=fast&target=0x11",
    ],
)
def test_a_link_with_the_profile_s_addresses_is_taken(link: str) -> None:
    check_link(ENGINE_PROFILE, link)


@pytest.mark.parametrize(
    "link",
    [
        "can://socketcan/can0?tx=0x7E1&rx=0x7E8",
        "can://socketcan/can0?tx=0x7E0&rx=0x7E9",
        "can://socketcan/can0?tx=0x7E0&rx=0x7E8&ext=1",
        "doip://127.0.0.1?target=0x0018",
        "doip+tls://127.0.0.1?target=24",
    ],
)
def test_a_link_to_another_ecu_is_refused(link: str) -> None:
    with pytest.raises(WrongLink, match="profile sim-engine"):
        check_link(ENGINE_PROFILE, link)


def test_an_address_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInputError, match="tx=seven is not a number"):
        check_link(ENGINE_PROFILE, "can://socketcan/can0?tx=seven")
