"""The whole way of a write through the real daemon and the real simulated car."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw.messages import GateChanged, Outcome, Progress
from tests.kit import Car, Kit, canonical

SIZE = 0x4000
WRITES = {0x2E, 0x31, 0x34, 0x36, 0x37, 0x11, 0x28, 0x85, 0x27}


@pytest.fixture
def car(short_tmp: Path) -> Iterator[Car]:
    car = Car(short_tmp / "car")
    yield car
    car.close()


@pytest.fixture
def kit(short_tmp: Path, car: Car) -> Iterator[Kit]:
    kit = Kit(short_tmp / "kit", car.info["sensor"])
    kit.start()
    yield kit
    kit.stop()


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_a_flash_ends_verified_and_the_memory_is_the_payload(car: Car, kit: Kit, kind: str) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(car.link(kind), payload)
    with kit.client() as watcher:
        run = watcher.flash(kit, plan, payload, kit.evidence(plan))
        outcome = watcher.outcome()
        assert outcome.outcome == "verified", outcome
        assert car.memory(0x8000, SIZE) == payload
        assert car.do("state", ecu="engine")["app_valid"]
        log = watcher.client.run_log(run, 0)
        while more := watcher.client.run_log(run, log[-1][0]):
            log += more
        assert isinstance(log[-1][1], Outcome)
        assert [seq for seq, _ in log] == list(range(1, len(log) + 1))
        assert watcher.client.journal()[0].state == "verified"
        status = watcher.client.status()
        assert status.gate == "CLOSED"
        assert not status.write_enable


def test_a_sag_holds_the_write_and_it_resumes_with_the_same_block(car: Car, kit: Kit) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(car.link("can"), payload)
    car.do(
        "when", ecu="engine", service=0x36, count=2, then={"do": "sag", "volts": 11.5, "for_s": 1}
    )
    with kit.client() as watcher:
        watcher.flash(kit, plan, payload, kit.evidence(plan))
        watcher.wait_for(GateChanged, state="HELD")
        outcome = watcher.outcome()
    assert outcome.outcome == "verified", outcome
    assert car.memory(0x8000, SIZE) == payload
    counters = [int(r[2:4], 16) for r in car.log() if r.startswith("36")]
    assert counters == sorted(set(counters))


def test_a_cut_needs_a_new_acknowledgment(car: Car, kit: Kit) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(car.link("can"), payload)
    evidence = kit.evidence(plan)
    car.do(
        "when", ecu="engine", service=0x36, count=2, then={"do": "sag", "volts": 10.5, "for_s": 1}
    )
    with kit.client() as watcher:
        watcher.flash(kit, plan, payload, evidence)
        watcher.wait_for(GateChanged, state="CUT")
        assert not watcher.client.status().write_enable
        assert evidence.acknowledgment is not None
        with pytest.raises(Exception, match="used before"):
            watcher.client.resume(evidence.acknowledgment)
        while (watcher.client.status().volts or 0.0) < 12.5:
            time.sleep(0.05)
        watcher.client.resume(kit.acknowledge(plan))
        outcome = watcher.outcome()
    assert outcome.outcome == "verified", outcome
    assert car.memory(0x8000, SIZE) == payload


def test_low_voltage_refuses_and_nothing_but_reads_reaches_the_car(car: Car, kit: Kit) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(car.link("can"), payload)
    car.do("battery", volts=12.2)
    with kit.client() as watcher:
        report = watcher.client.arm(canonical(plan), payload, kit.evidence(plan), dry=False)
    assert [result.passed for result in report.results] == [False, True, True, True]
    assert "12.1" in report.results[0].reason
    assert report.permit == ""
    assert set(car.services()) <= {0x22}


def test_hw_killed_in_the_middle_is_found_and_recovered_to_verified(car: Car, kit: Kit) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(car.link("can"), payload)
    backup = kit.backup()
    with kit.client() as watcher:
        watcher.flash(kit, plan, payload, kit.evidence(plan, backup))
        watcher.wait_for(Progress)
        kit.stop(signal.SIGKILL)
    kit.start()
    recovery = kit.recovery(plan)
    with kit.client() as watcher:
        journal = watcher.client.journal()
        assert journal[0].state == "interrupted"
        until = time.monotonic() + 20
        while True:
            report = watcher.client.arm(
                canonical(recovery), payload, kit.evidence(recovery, backup), dry=False
            )
            if report.permit or time.monotonic() > until:
                break
        assert report.permit, report
        watcher.client.start(report.permit)
        outcome = watcher.outcome()
        assert outcome.outcome == "verified", outcome
        assert {run.state for run in watcher.client.journal()} == {"verified", "recovered"}
    assert car.memory(0x8000, SIZE) == payload
    assert car.do("state", ecu="engine")["app_valid"]
