from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import seedkey
from hw.errors import BadInputError, FieldKitError, UsageError
from hw.seedkey import key_for

# The example in sa2-seed-key's own documentation: script, seed, key.
SA2_SCRIPT = "6802814993a55a55aa4a05878105952668058249845aa5aa558703f7806a4c"
SA2_SEED, SA2_KEY = "1A1B1C1D", "6A37F02E"

# RFC 4493, section 4, examples 2 and 3.
CMAC_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
CMAC_16 = ("6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c")


def test_constant_xor() -> None:
    assert key_for("constant-xor", 1, bytes.fromhex("01020304"), {"key": "a5c3f00d"}) == (
        bytes.fromhex("a4c1f309")
    )


def test_aes_128_cmac_is_rfc_4493() -> None:
    seed, key = CMAC_16
    assert key_for("aes-128-cmac", 0x11, bytes.fromhex(seed), {"key": CMAC_KEY}).hex() == key


def test_vw_sa2_runs_the_script_and_leaves_nothing_behind() -> None:
    for _ in range(2):
        key = key_for("vw-sa2", 0x11, bytes.fromhex(SA2_SEED), {"script": SA2_SCRIPT})
        assert key.hex().upper() == SA2_KEY


@pytest.mark.parametrize(
    ("provider", "seed", "params", "named"),
    [
        ("constant-xor", "01020304", {}, "'key'"),
        ("constant-xor", "01020304", {"key": "a5c3f00d", "more": "1"}, "more"),
        ("constant-xor", "01020304", {"key": "xyz"}, "hexadecimal"),
        ("constant-xor", "01020304", {"key": ""}, "empty"),
        ("constant-xor", "0102", {"key": "a5c3f00d"}, "2 bytes"),
        ("aes-128-cmac", "00" * 16, {"key": "00" * 15}, "15 bytes"),
        ("aes-128-cmac", "", {"key": "00" * 16}, "empty"),
        ("vw-sa2", "0102", {"script": SA2_SCRIPT}, "4 bytes"),
        ("vw-sa2", "01020304", {"script": "ff"}, "byte 0"),
        ("vw-sa2", "01020304", {"script": "9301"}, "byte 0"),
        ("vw-sa2", "01020304", {"script": "49"}, "loop"),
        ("vw-sa2", "01020304", {"script": "6802"}, "loop"),
        ("vw-sa2", "01020304", {"script": "68ff" * 4 + "81" + "49" * 4}, "steps"),
        ("vw-sa2", "01020304", {"script": "6b01818100"}, "byte 4"),
    ],
)
def test_wrong_parameters_are_refused_before_a_key_is_sent(
    provider: str, seed: str, params: dict[str, str], named: str
) -> None:
    with pytest.raises(BadInputError, match=named) as refused:
        key_for(provider, 1, bytes.fromhex(seed), params)
    assert "no key was sent" in refused.value.next_step


@pytest.mark.parametrize("level", [0, 2, 0x12, 0x7F, 0x101])
def test_a_level_is_an_odd_sub_function(level: int) -> None:
    with pytest.raises(UsageError, match="level"):
        key_for("constant-xor", level, b"1234", {"key": "a5c3f00d"})


def test_an_unknown_provider_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no seed/key provider 'oem-x'") as refused:
        key_for("oem-x", 1, b"1234", {})
    assert "constant-xor" in refused.value.next_step


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An installed distribution with three entry points."""
    module = ModuleType("oem_keys")
    monkeypatch.setitem(sys.modules, "oem_keys", module)
    group = seedkey.ENTRY_POINT_GROUP
    points = EntryPoints(
        EntryPoint(name, f"oem_keys:{target}", group)
        for name, target in (("oem", "key"), ("gone", "missing"), ("number", "number"))
    )
    monkeypatch.setattr(seedkey, "entry_points", lambda group: points.select(group=group))
    module.__dict__["number"] = 7
    return module


def test_a_third_party_provider_is_found_by_its_entry_point(third_party: ModuleType) -> None:
    third_party.__dict__["key"] = lambda level, seed, _: bytes((level,)) + seed[::-1]
    assert key_for("oem", 3, b"\x01\x02", {"a": "b"}) == b"\x03\x02\x01"


def test_whatever_a_third_party_raises_or_returns_becomes_a_sentence(
    third_party: ModuleType,
) -> None:
    def broken(level: int, seed: bytes, params: dict[str, str]) -> bytes:
        raise RuntimeError("licence is over")

    third_party.__dict__["key"] = broken
    with pytest.raises(BadInputError, match="licence is over"):
        key_for("oem", 3, b"\x01", {})
    for nothing in (None, b"", "text"):
        third_party.__dict__["key"] = lambda *_, nothing=nothing: nothing
        with pytest.raises(BadInputError, match="no key"):
            key_for("oem", 3, b"\x01", {})
    for name in ("gone", "number"):
        with pytest.raises(UsageError, match=name):
            key_for(name, 3, b"\x01", {})


@given(st.binary(max_size=60))
def test_no_sa2_script_hangs_or_fails_otherwise_than_by_a_sentence(script: bytes) -> None:
    try:
        key = key_for("vw-sa2", 0x11, b"\x01\x02\x03\x04", {"script": script.hex()})
    except FieldKitError:
        return
    assert len(key) == 4
