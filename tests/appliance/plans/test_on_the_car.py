"""Compiled plans on an ECU of the simulated car: what it holds afterwards is what was wished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.containers import Image
from appliance.plans import (
    CompiledPlan,
    PlanError,
    compile_coding,
    compile_flash,
    compile_recovery,
    compile_restore,
    writable_regions,
)
from hw.plan import digest_of
from tests.appliance.plans.cars import (
    JOB,
    LINK,
    SimulatedEcu,
    coding,
    identity,
    image,
    loaded,
)

ENGINE = loaded("sim-engine")
# Two ranges in one region, one in another, and each begins or ends inside a sector.
SCATTERED = image(
    [(0x8100, b"\x11" * 0x300), (0xE000, b"\x22" * 0x2000), (0x81_0000, b"\x33" * 0x1_0001)]
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SimulatedEcu]:
    ecu = SimulatedEcu("engine", tmp_path)
    yield ecu
    ecu.close()


# One range to a region, with a gap in it: what an interrupted write leaves is one run of sectors.
TOGETHER = image(
    [(0x8100, b"\x11" * 0x300), (0xA800, b"\x22" * 0x1800), (0x81_0000, b"\x33" * 0x1_0001)]
)


def flash_plan(software: Image = TOGETHER) -> CompiledPlan:
    return compile_flash(ENGINE, identity("engine"), software, LINK, JOB)


def holds_the_software(ecu: SimulatedEcu, software: Image = TOGETHER) -> bool:
    written = [
        ecu.content(segment.address, len(segment.data)) == segment.data
        for segment in software.segments
    ]
    return all(written) and ecu.ecu.app_valid


def test_a_flash_plan_writes_every_block_and_leaves_the_rest(engine: SimulatedEcu) -> None:
    kept = engine.content(0xA000, 0x4000)
    compiled = flash_plan(SCATTERED)
    engine.run(compiled.plan, compiled.payload)
    assert holds_the_software(engine, SCATTERED)
    assert engine.content(0xA000, 0x4000) == kept
    assert engine.content(0x8000, 0x100) == b"\xff" * 0x100
    assert not engine.ecu.state.communication_off
    assert not engine.ecu.state.dtc_setting_off


def test_the_file_s_own_erase_ranges_are_erased(engine: SimulatedEcu) -> None:
    wish = image([(0x8000, b"\x44" * 16)], erase=((0x8000, 0x4000),))
    compiled = compile_flash(ENGINE, identity("engine"), wish, LINK, JOB)
    engine.run(compiled.plan, compiled.payload)
    assert engine.content(0x8000, 0x4000) == b"\x44" * 16 + b"\xff" * (0x4000 - 16)
    assert engine.ecu.app_valid


def test_a_gearbox_that_refuses_readout_is_flashed_without_read_back(tmp_path: Path) -> None:
    gearbox = SimulatedEcu("gearbox", tmp_path)
    wish = image([(0x8000, b"\x55" * 0x2000)])
    compiled = compile_flash(loaded("sim-gearbox"), identity("gearbox"), wish, LINK, JOB)
    gearbox.run(compiled.plan, compiled.payload)
    gearbox.close()
    assert gearbox.content(0x8000, 0x2000) == b"\x55" * 0x2000
    assert 0x23 not in gearbox.services
    assert gearbox.ecu.app_valid


def requests_of_a_flash(tmp_path: Path) -> int:
    ecu = SimulatedEcu("engine", tmp_path)
    compiled = flash_plan()
    ecu.run(compiled.plan, compiled.payload)
    ecu.close()
    return len(ecu.received)


@pytest.mark.parametrize("power_cycle", [True, False], ids=["power cycle", "session kept"])
def test_a_flash_interrupted_anywhere_is_recovered(tmp_path: Path, *, power_cycle: bool) -> None:
    interrupted = flash_plan()
    live = identity("engine")
    recovery = compile_recovery(ENGINE, interrupted.document, interrupted.payload, live)
    total = requests_of_a_flash(tmp_path)
    for stop_after in range(1, total + 1, 3):
        ecu = SimulatedEcu("engine", tmp_path)
        ecu.run(interrupted.plan, interrupted.payload, stop_after=stop_after)
        if power_cycle:
            ecu.power_cycle()
        ecu.run(recovery.plan, recovery.payload)
        ecu.close()
        assert holds_the_software(ecu), stop_after


def test_an_interrupted_recovery_is_recovered_as_the_first_plan(engine: SimulatedEcu) -> None:
    first = flash_plan()
    live = identity("engine")
    second = compile_recovery(ENGINE, first.document, first.payload, live)
    third = compile_recovery(ENGINE, second.document, second.payload, live)
    assert second.plan.recovers == third.plan.recovers == digest_of(first.document)
    assert third.payload == first.payload
    engine.run(third.plan, third.payload)
    assert holds_the_software(engine)


def test_a_recovery_erases_what_the_file_wanted_erased() -> None:
    wish = image([(0x8000, b"\x44" * 16)], erase=((0x8000, 0x4000),))
    first = compile_flash(ENGINE, identity("engine"), wish, LINK, JOB)
    second = compile_recovery(ENGINE, first.document, first.payload, identity("engine"))
    erased = [
        [step for step in made.plan.steps if getattr(step, "purpose", "") == "erase"]
        for made in (first, second)
    ]
    assert erased[0] == erased[1]
    assert [getattr(step, "option", "") for step in erased[0]] == ["440000800000004000"]


def test_coding_changes_only_the_named_bits(engine: SimulatedEcu) -> None:
    changes = ["coding.drive=rear", "0x0601.idle_speed=700"]
    compiled = compile_coding(ENGINE, identity("engine"), coding("engine"), changes, LINK, JOB)
    engine.run(compiled.plan, compiled.payload)
    assert engine.ecu.dids[0x0600].hex() == "0121000a"
    assert engine.ecu.dids[0x0601] == (700).to_bytes(2, "big")
    assert engine.ecu.state.session == 0x01


@pytest.mark.parametrize("name", ["body", "cluster"])
def test_coding_of_the_other_ecus(name: str, tmp_path: Path) -> None:
    ecu = SimulatedEcu(name, tmp_path)
    changes = ["0x0600.raw=" + "5a" * len(coding(name)[0x0600])]
    profile = loaded(f"sim-{name}")
    compiled = compile_coding(profile, identity(name), coding(name), changes, LINK, JOB)
    ecu.run(compiled.plan, compiled.payload)
    ecu.close()
    assert set(ecu.ecu.dids[0x0600]) == {0x5A}


@pytest.mark.parametrize("stop_after", [1, 4, 5])
def test_interrupted_coding_is_recovered(tmp_path: Path, stop_after: int) -> None:
    body, profile, live = SimulatedEcu("body", tmp_path), loaded("sim-body"), identity("body")
    changes = ["coding.coming_home=off", "equipment.doors=5"]
    first = compile_coding(profile, live, coding("body"), changes, LINK, JOB)
    body.run(first.plan, first.payload, stop_after=stop_after)
    body.power_cycle()
    # Without a boot loader the whole identity is compared.
    assert first.plan.target.boot_identity == first.plan.target.identity
    second = compile_recovery(profile, first.document, first.payload, live)
    body.run(second.plan, second.payload)
    body.close()
    assert body.ecu.dids[0x0600].hex() == "4d1a810c00023300"
    assert body.ecu.dids[0x0601].hex() == "0105"


def test_a_restore_gives_memory_and_coding_back(engine: SimulatedEcu) -> None:
    before = engine.content(0x8000, 0x1_0000)
    changed = flash_plan()
    engine.run(changed.plan, changed.payload)
    engine.ecu.dids[0x0600] = bytes(4)
    restore = compile_restore(
        ENGINE,
        identity("engine"),
        LINK,
        JOB,
        source="B-1",
        coding=coding("engine"),
        memory={"calibration": before},
    )
    engine.run(restore.plan, restore.payload)
    assert engine.content(0x8000, 0x1_0000) == before
    assert engine.ecu.dids[0x0600] == coding("engine")[0x0600]
    assert engine.ecu.app_valid


def test_an_interrupted_restore_is_recovered_with_its_coding(engine: SimulatedEcu) -> None:
    memory = {"calibration": b"\x66" * 0x1_0000}
    values = {0x0600: b"\x01\x11\x00\x0a"}
    live = identity("engine")
    restore = compile_restore(ENGINE, live, LINK, JOB, source="B-1", coding=values, memory=memory)
    engine.run(restore.plan, restore.payload, stop_after=12)
    engine.power_cycle()
    recovery = compile_recovery(ENGINE, restore.document, restore.payload, live)
    assert recovery.plan.risk.risk_class == "restore"
    engine.run(recovery.plan, recovery.payload)
    assert engine.content(0x8000, 0x1_0000) == memory["calibration"]
    assert engine.ecu.dids[0x0600] == values[0x0600]
    assert engine.ecu.app_valid


def test_what_a_backup_holds_beyond_the_writable_regions_is_not_restored() -> None:
    assert writable_regions(ENGINE.profile) == ["calibration", "application"]
    assert writable_regions(loaded("sim-cluster").profile) == []
    with pytest.raises(PlanError, match="'eeprom', which is never written"):
        compile_restore(
            ENGINE, identity("engine"), LINK, JOB, source="B-1", memory={"eeprom": bytes(0x1000)}
        )
