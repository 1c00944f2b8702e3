"""A sample of the campaign, what it found before, and that its judge can find something at all."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest

from appliance.api import messages as m
from tests.campaign.__main__ import JOBS_PER_CPU, campaign, possible, prepared
from tests.campaign.baseline import start_baseline
from tests.campaign.faults import FORGED, WRONG, Moment, Scenario, draw
from tests.campaign.forger import Forger
from tests.campaign.judge import (
    BRICKED,
    NO_PERMIT,
    SILENTLY_WRONG,
    UNFINISHED,
    Judge,
    Verdict,
    memory,
)
from tests.campaign.naive import connect, flash
from tests.campaign.rig import Car, start_rig
from tests.campaign.runner import start_action, start_run
from tests.campaign.sandbox import Filesystems
from tests.campaign.technician import Seen, Technician
from tests.campaign.template import CALIBRATION, ECU, MEMORY_LIMIT, Places

SEED, RUNS = 20261123, 300
JOBS = JOBS_PER_CPU * (os.cpu_count() or 1)
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))
HEALTHY = Scenario(
    seed=0,
    run=0,
    kind="doip",
    operation="flash",
    faults=[],
    patience_s=0.5,
    gives_up=False,
    resumes=True,
)


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    with prepared() as made:
        yield made


def one(start: Callable[[], tuple[int, int]]) -> Verdict:
    """The verdict of a single run."""
    (verdict,) = campaign([start], 1)
    return verdict


def test_a_seed_and_a_number_give_the_same_run_again() -> None:
    assert [draw(7, run) for run in range(50)] == [draw(7, run) for run in range(50)]
    assert draw(7, 0) != draw(8, 0)


def test_the_sample_holds_every_kind_of_fault() -> None:
    drawn = [fault for run in range(2000) for fault in draw(SEED, run).faults]
    assert {fault.category for fault in drawn} == {"voltage", "bus", "ecu", "kit", "input"}
    assert {fault.wrong for fault in drawn} - {""} == set(WRONG)
    assert len({fault.name for fault in drawn}) > 55
    assert any(fault.at == Moment(phase="write") for fault in drawn)


def test_bits_flip_on_one_medium_only() -> None:
    for run in range(2000):
        faults = draw(SEED, run).faults
        assert len({fault.kit["where"] for fault in faults if fault.kit.get("do") == "flip"}) < 2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(6))
def test_a_sample_of_the_campaign_finds_no_defect(places: Places, part: int) -> None:
    numbers = range(part * RUNS // 6, (part + 1) * RUNS // 6)
    scenarios = possible([draw(SEED, number) for number in numbers])
    starts = [partial(start_run, scenario, places) for scenario in scenarios]
    verdicts = list(campaign(starts, JOBS))
    assert [v for v in verdicts if v.defects] == []
    assert {v.outcome for v in verdicts} <= {"verified", "recovered", "refused"}
    assert sum(v.outcome == "verified" for v in verdicts) > len(verdicts) / 3


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_the_campaign_found_stays_mended(places: Places, path: Path) -> None:
    scenario = msgspec.json.decode(path.read_bytes(), type=Scenario)
    assert one(lambda: start_run(scenario, places)).defects == {}


def test_a_flasher_without_a_gate_leaves_cars_bricked(places: Places) -> None:
    flashes = [one for run in range(400) if (one := draw(SEED, run)).operation == "flash"]
    sags = [one for one in flashes if {"deep sag", "crank"} & {f.name for f in one.faults}][:12]
    starts = [partial(start_baseline, "naive", scenario, places) for scenario in sags]
    outcomes = [verdict.outcome for verdict in campaign(starts, JOBS)]
    assert "bricked" in outcomes


# The judge ----------------------------------------------------------------------------------------


def judged(places: Places, act: Callable[[Car, dict[str, str]], Seen]) -> Verdict:
    """The verdict on what `act` did to the car while a healthy kit stood by."""

    def action() -> Verdict:
        rig = start_rig(HEALTHY, places, Filesystems(places, with_power_cut=False))
        car = Car(str(places.car / "control.sock"))
        before = memory(car)
        seen = act(car, rig.links["ecus"][ECU])
        return Judge(HEALTHY, places, rig, car, before, seen).judge("nothing to look up")

    return one(lambda: start_action(action))


def test_a_write_behind_the_kits_back_is_found(places: Places) -> None:
    def act(_car: Car, links: dict[str, str]) -> Seen:
        with connect(links["doip"]) as connection:
            flash(connection, CALIBRATION, bytes(MEMORY_LIMIT))
        return Seen(stated="refused", payload=bytes(MEMORY_LIMIT))

    assert {NO_PERMIT, SILENTLY_WRONG} <= set(judged(places, act).defects)


def test_a_car_that_was_left_without_software_is_found(places: Places) -> None:
    def act(car: Car, links: dict[str, str]) -> Seen:
        dip = {"do": "sag", "volts": 8.0, "for_s": 0.2}
        car.do("when", ecu=ECU, service=0x36, count=1, after_s=0.01, then=dip)
        # However the stock stack fails at it.
        with suppress(Exception), connect(links["doip"]) as connection:
            flash(connection, CALIBRATION, bytes(MEMORY_LIMIT))
        return Seen(stated="refused")

    assert BRICKED in judged(places, act).defects


def test_a_write_that_changed_nothing_is_still_no_refusal(places: Places) -> None:
    def act(_car: Car, links: dict[str, str]) -> Seen:
        with connect(links["doip"]) as connection:
            connection.open()
            connection.send(bytes.fromhex("1101"))
            connection.wait_frame(timeout=5)
        return Seen(stated="refused", acknowledged_at=1.0)

    assert NO_PERMIT in judged(places, act).defects


def test_a_job_that_is_left_unfinished_is_found(places: Places) -> None:
    def act(_car: Car, _links: dict[str, str]) -> Seen:
        return Seen(stated="aborted_recoverable")

    assert UNFINISHED in judged(places, act).defects


def test_a_kit_that_says_verified_without_a_write_is_found(places: Places) -> None:
    def act(_car: Car, _links: dict[str, str]) -> Seen:
        return Seen(stated="verified", payload=random.Random("other").randbytes(MEMORY_LIMIT))

    assert SILENTLY_WRONG in judged(places, act).defects


class Honest(Technician):
    """Shows hw the forger's papers as they are before any trick."""

    def _write(self, plan: m.PlanView) -> None:
        forger = self._forger(plan)
        report = forger.arm(forger.papers(self.seen.backups[-1]))
        self.seen.errors = [result.reason for result in report.results if not result.passed]


def test_the_forger_is_refused_for_its_trick_and_nothing_else(places: Places) -> None:
    assert set(FORGED) == set(Forger.TRICKS)

    def action() -> Verdict:
        rig = start_rig(HEALTHY, places, Filesystems(places, with_power_cut=False))
        seen = Honest(HEALTHY, places, rig, Car(str(places.car / "control.sock"))).work()
        return Verdict(run=0, outcome="permit" if not seen.errors else "none", errors=seen.errors)

    verdict = one(lambda: start_action(action))
    assert (verdict.outcome, verdict.errors) == ("permit", [])
