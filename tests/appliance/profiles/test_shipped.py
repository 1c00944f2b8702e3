"""The shipped profiles: all of them load, and the simulator's describe the simulated car."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from appliance.profiles import Profile, make_windows, parse_profile, shipped_names
from appliance.profiles.locate import line_of
from hw.plan import VoltageWindow
from hw.sim.fleet import FLEET, PROGRAMMING_SESSION, EcuDefinition

DATA = Path(__file__).parents[3] / "appliance/profiles/data"
WRITING = [f"sim-{ecu.name}" for ecu in FLEET]


def shipped(name: str) -> Profile:
    path = DATA / f"{name}.toml"
    return parse_profile(path.read_bytes(), path)


def test_the_issue_s_profiles_are_shipped() -> None:
    assert shipped_names() == ["generic-uds", *sorted(WRITING)]


def test_generic_uds_can_only_read() -> None:
    profile = shipped("generic-uds")
    assert profile.voltage is None
    assert (profile.code, profile.flash, profile.recover) == (None, None, None)
    assert {entry.did for entry in profile.identification} == set(range(0xF180, 0xF19F))


@pytest.mark.parametrize("ecu", FLEET, ids=lambda ecu: ecu.name)
def test_addresses_and_identification_are_the_simulated_ecu_s(ecu: EcuDefinition) -> None:
    profile = shipped(f"sim-{ecu.name}")
    can, doip = profile.addresses.can, profile.addresses.doip
    assert can is not None
    assert doip is not None
    assert ecu.can is not None
    assert (can.tx, can.rx, can.extended) == (ecu.can.tx, ecu.can.rx, ecu.can.extended)
    assert doip.target == ecu.logical_address
    readable = {did.did for did in ecu.dids} | {0xF186}
    assert {entry.did for entry in profile.identification} <= readable
    in_boot = {did.did for did in ecu.dids if did.in_boot} | {0xF186}
    if ecu.programmable:
        assert {entry.did for entry in profile.identification if entry.boot} == in_boot


@pytest.mark.parametrize("ecu", FLEET, ids=lambda ecu: ecu.name)
def test_coding_is_the_simulated_ecu_s(ecu: EcuDefinition) -> None:
    profile = shipped(f"sim-{ecu.name}")
    writable = {
        did.did: len(did.value)
        for did in ecu.dids
        if did.write_session is not None and did.write_session != PROGRAMMING_SESSION
    }
    assert {entry.did: entry.length for entry in profile.coding} == writable


@pytest.mark.parametrize("ecu", FLEET, ids=lambda ecu: ecu.name)
def test_security_is_the_simulated_ecu_s(ecu: EcuDefinition) -> None:
    profile = shipped(f"sim-{ecu.name}")
    described = {
        (entry.level, profile.sessions.value(entry.session), entry.provider): entry.params
        for entry in profile.security
    }
    assert described == {
        (one.level, one.session, one.provider): one.params for one in ecu.securities
    }


@pytest.mark.parametrize("ecu", FLEET, ids=lambda ecu: ecu.name)
def test_memory_is_the_simulated_ecu_s(ecu: EcuDefinition) -> None:
    profile = shipped(f"sim-{ecu.name}")
    described = {
        (
            region.name,
            region.address,
            region.size,
            region.write.sector_size if region.write else 0,
            region.read.method != "refused",
        )
        for region in profile.memory
    }
    assert described == {
        (
            one.name,
            one.address,
            one.size,
            one.sector_size if one.programmable else 0,
            ecu.memory_readout == "unlocked",
        )
        for one in ecu.regions
    }


@pytest.mark.parametrize("name", WRITING)
def test_hw_reads_the_same_window_from_the_file(name: str) -> None:
    values = tomllib.loads((DATA / f"{name}.toml").read_text())
    assert values["name"] == name
    assert msgspec.convert(values["voltage"], VoltageWindow) == shipped(name).voltage
    assert set(values["voltage"]) == set(VoltageWindow.__struct_fields__)


# As published at cloreautomotive.com, 'OE specified voltage environment for reprogramming'.
PUBLISHED = {
    "Audi": (12.8, 14.2),
    "FCA": (13.2, 13.5),
    "Ford": (12.6, 13.6),
    "Mercedes": (12.5, 14.5),
    "Porsche": (13.5, 14.5),
}
PUBLISHED_SINGLE = {"BMW": 14.2, "Mini": 14.2, "GM": 13.4}


def test_each_make_s_window_is_as_published() -> None:
    windows = make_windows()
    assert set(windows) == {*PUBLISHED, *PUBLISHED_SINGLE, "Honda"}
    for make, published in PUBLISHED.items():
        assert (windows[make].start_min_v, windows[make].start_max_v) == published
    for make, value in PUBLISHED_SINGLE.items():
        middle = (windows[make].start_min_v + windows[make].start_max_v) / 2
        assert middle == pytest.approx(value)
    assert windows["Audi"].hold_v == 12.5
    assert windows["Honda"].start_min_v > 12.0
    assert windows["Honda"].hold_v >= 12.0


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every key path of a document, innermost last."""
    found: list[tuple[str | int, ...]] = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*path, index))
    return found


@pytest.mark.parametrize("name", [*shipped_names(), "voltage-windows"])
def test_the_line_of_every_key_holds_that_key(name: str) -> None:
    text = (DATA / f"{name}.toml").read_text()
    lines = text.splitlines()
    for path in paths(tomllib.loads(text)):
        line = lines[line_of(text, path) - 1]
        key = next(part for part in reversed(path) if isinstance(part, str))
        if isinstance(path[-1], int) and line.lstrip().startswith("{"):
            continue  # An element of an array, one on a line.
        assert key in line, path
