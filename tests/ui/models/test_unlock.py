"""Unlocking, the pauses after wrong passphrases, and the lock that closes by itself."""

from __future__ import annotations

from functools import partial

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import PASSPHRASE, FakeAppliance, refusal, run_info


@pytest.fixture
def appliance(appliance: FakeAppliance) -> FakeAppliance:
    appliance.locked = True
    return appliance


def ready(bench: Bench) -> None:
    bench.until(lambda: bench.kit.unlock.state.can_try)


def test_the_only_technician_is_chosen_and_the_right_passphrase_opens_the_kit(bench: Bench) -> None:
    ready(bench)
    assert [row.name for row in bench.kit.unlock.state.technicians] == ["maria"]
    assert bench.kit.unlock.state.technician == "maria"
    bench.kit.unlock.unlock(PASSPHRASE)
    bench.on("home")


def test_of_several_technicians_one_must_be_chosen(bench: Bench) -> None:
    people = [m.TechnicianView(name=name, role="lead", wait_s=0) for name in ("jan", "maria")]
    bench.appliance.replies["technicians"] = m.Technicians(technicians=people)
    bench.kit.unlock.open()
    bench.until(lambda: len(bench.kit.unlock.state.technicians) == 2)
    bench.kit.unlock.choose("")
    assert not bench.kit.unlock.state.can_try
    bench.kit.unlock.unlock(PASSPHRASE)
    assert bench.appliance.calls("unlock") == []
    bench.kit.unlock.choose("jan")
    assert bench.kit.unlock.state.can_try


def wrong(bench: Bench, tries: int) -> None:
    for _ in range(tries):
        ready(bench)
        after = bench.kit.unlock.state.wrong_tries + 1
        bench.kit.unlock.unlock("wrong")
        bench.until(partial(wrong_tries, bench, after))


def wrong_tries(bench: Bench, count: int) -> bool:
    return bench.kit.unlock.state.wrong_tries == count


def warned(bench: Bench) -> bool:
    return bench.kit.unlock.state.locks_in_s is not None


def test_wrong_passphrases_slow_down_and_count_down(bench: Bench) -> None:
    wrong(bench, 2)
    state = bench.kit.unlock.state
    assert (state.what, state.wait_s) == ("Name and passphrase do not fit together.", 0)
    wrong(bench, 1)
    assert (bench.kit.unlock.state.wait_s, bench.kit.unlock.state.can_try) == (2, False)
    asked = len(bench.appliance.calls("unlock"))
    bench.kit.unlock.unlock(PASSPHRASE)
    assert len(bench.appliance.calls("unlock")) == asked
    bench.passes(1.2)
    assert bench.kit.unlock.state.wait_s == 1
    bench.passes(1)
    assert (bench.kit.unlock.state.wait_s, bench.kit.unlock.state.can_try) == (0, True)
    wrong(bench, 1)
    assert bench.kit.unlock.state.wait_s == 4


def test_a_pause_that_the_appliance_tells_of_is_counted_down(bench: Bench) -> None:
    ready(bench)
    bench.appliance.refuses["unlock"] = refusal(
        "too_many_tries", "There were too many wrong tries.", "Wait 17 s, then enter it again."
    )
    bench.kit.unlock.unlock(PASSPHRASE)
    bench.until(lambda: bench.kit.unlock.state.wait_s == 17)


def test_a_pause_from_before_the_restart_is_shown_at_once(bench: Bench) -> None:
    people = [m.TechnicianView(name="maria", role="lead", wait_s=30)]
    bench.appliance.replies["technicians"] = m.Technicians(technicians=people)
    bench.kit.unlock.open()
    bench.until(lambda: bench.kit.unlock.state.wait_s == 30)
    assert not bench.kit.unlock.state.can_try


def opened(bench: Bench) -> None:
    ready(bench)
    bench.kit.unlock.unlock(PASSPHRASE)
    bench.on("home")


def test_the_kit_locks_itself_when_nobody_is_there(bench: Bench) -> None:
    opened(bench)
    bench.passes(20)
    assert warned(bench)
    bench.kit.unlock.touched()
    assert not warned(bench)
    bench.passes(20)
    assert not bench.kit.status.state.locked
    bench.passes(11)
    bench.on("unlock")


def test_the_kit_never_locks_itself_during_a_write(bench: Bench) -> None:
    opened(bench)
    bench.appliance.set(runs=[run_info()], gate="OPEN")
    bench.on("write")
    bench.passes(100)
    assert bench.appliance.calls("lock") == []
    assert bench.kit.unlock.state.locks_in_s is None


def test_a_locked_kit_shows_nothing_of_the_job(bench: Bench) -> None:
    opened(bench)
    bench.kit.home.take("j1")
    bench.on("vehicle")
    assert bench.kit.desk.state.customer == "Fleet Ltd"
    bench.kit.unlock.lock()
    bench.on("unlock")
    assert bench.kit.desk.state.customer == ""
    ready(bench)
    bench.kit.unlock.unlock(PASSPHRASE)
    bench.on("vehicle")
    bench.until(lambda: bench.kit.desk.state.customer == "Fleet Ltd")


def test_a_write_that_runs_while_the_kit_is_locked_is_said(bench: Bench) -> None:
    bench.appliance.set(runs=[run_info()], gate="OPEN")
    bench.until(lambda: bench.kit.unlock.state.write_runs)
    assert bench.kit.navigation.state.screen == "unlock"
