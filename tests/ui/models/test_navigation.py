"""Which screen is shown, as a table; and the place in a job that survives a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ui.models.bench import Bench, Clock, Pump, make_kit
from tests.ui.models.fake import FakeAppliance, job_view, run_info
from ui.models.backend import Seen
from ui.models.navigation import back_from, screen_for
from ui.models.place import Place, PlaceFile


def seen(**fields: object) -> Seen:
    appliance = FakeAppliance(Clock())
    appliance.set(**fields)
    return Seen(status=appliance.status(), fresh=True)


RUNNING = [run_info()]
STOPPED = [run_info("interrupted")]


@pytest.mark.parametrize(
    ("kit", "place", "screen", "back"),
    [
        (Seen(), Place(), "gone", None),
        (Seen(gone=True), Place(screen="plan", job="j1"), "gone", None),
        (seen(locked=True), Place(screen="plan", job="j1"), "unlock", None),
        (seen(locked=True, runs=RUNNING), Place(), "unlock", None),
        (seen(), Place(), "home", None),
        (seen(), Place(screen="gates", job="j1"), "gates", "plan"),
        (seen(), Place(screen="plan", job="j1"), "plan", "work"),
        (seen(runs=RUNNING, gate="OPEN"), Place(screen="home"), "write", None),
        (seen(runs=RUNNING, gate="OPEN"), Place(screen="result", job="j1"), "write", None),
        (
            seen(runs=RUNNING, gate="CUT"),
            Place(screen="acknowledge", job="j1", resumes=True),
            "acknowledge",
            "write",
        ),
        (
            seen(runs=RUNNING, gate="CUT"),
            Place(screen="acknowledge", job="j1"),
            "write",
            None,
        ),
        (
            seen(runs=RUNNING, gate="OPEN"),
            Place(screen="acknowledge", job="j1", resumes=True),
            "write",
            None,
        ),
        (seen(runs=STOPPED), Place(), "recovery", "home"),
        (seen(runs=STOPPED), Place(screen="write", job="j1"), "recovery", "home"),
        (seen(runs=STOPPED), Place(screen="write", job="j1", watched=True), "result", "home"),
        (seen(runs=STOPPED), Place(screen="gates", job="j1", recovers=True), "gates", "plan"),
        (seen(runs=STOPPED), Place(screen="gates", job="j1"), "recovery", "home"),
        (seen(runs=STOPPED), Place(screen="plan", job="j1", recovers=True), "plan", "recovery"),
        (seen(runs=STOPPED), Place(screen="plan", job="j2", recovers=True), "recovery", "home"),
        (seen(runs=STOPPED), Place(set_aside=("r1",)), "home", None),
        (seen(runs=STOPPED), Place(set_aside=("r0",)), "recovery", "home"),
        (seen(), Place(screen="write", job="j1"), "result", "home"),
        (seen(), Place(screen="acknowledge", job="j1", resumes=True), "result", "home"),
    ],
)
def test_the_screen_follows_from_the_kit_and_the_place(
    kit: Seen, place: Place, screen: str, back: str | None
) -> None:
    assert (screen_for(kit, place), back_from(kit, place)) == (screen, back)


def test_a_place_that_cannot_be_read_is_home(tmp_path: Path) -> None:
    path = tmp_path / "place.json"
    for content in (b"", b"{", b'{"screen":"nowhere"}', b"\xff", b'{"other":1}'):
        path.write_bytes(content)
        assert PlaceFile(path).load() == Place()


def test_a_place_that_cannot_be_kept_says_so_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = PlaceFile(tmp_path / "file" / "place.json")
    file.save(Place(screen="plan"))
    assert "place.json" in file.problem


def restarted(bench: Bench, tmp_path: Path, screen: str) -> None:
    """End the screen and start another one, which must come back to the same place."""
    bench.kit.close()
    pump = Pump()
    place = tmp_path / "place.json"
    with make_kit(bench.appliance.client, pump, place, bench.clock) as kit:
        again = Bench(kit, bench.appliance, bench.clock, pump)
        again.on(screen)
        again.until(lambda: kit.desk.state.customer == "Fleet Ltd" or screen == "write")
        assert kit.navigation.state.job == "j1"
        if screen in ("plan", "gates", "acknowledge"):
            again.until(lambda: kit.desk.state.plan)
        if screen == "acknowledge":
            again.until(lambda: kit.acknowledge.state.risk_text)
        if screen == "write":
            again.until(lambda: kit.write.state.block == 2)


@pytest.fixture
def planned(bench: Bench) -> Bench:
    bench.appliance.tell("identified", ecu="engine", profile="sim-engine", link="doip://x")
    bench.appliance.tell("plan_compiled", plan_digest="ab" * 32, recovers="")
    bench.appliance.set(jobs=[job_view("j1", state="ready")])
    bench.kit.home.take("j1")
    bench.on("plan")
    return bench


@pytest.mark.parametrize("screen", ["vehicle", "work", "plan", "gates", "acknowledge"])
def test_a_restart_comes_back_to_the_same_screen_of_the_same_job(
    planned: Bench, tmp_path: Path, screen: str
) -> None:
    planned.kit.navigation.go(screen)  # type: ignore[arg-type]  # each is a screen
    planned.on(screen)
    kept = json.loads((tmp_path / "place.json").read_text())
    assert (kept["screen"], kept["job"]) == (screen, "j1")
    assert "Fleet" not in (tmp_path / "place.json").read_text()
    restarted(planned, tmp_path, screen)


def test_a_restart_during_a_write_comes_back_to_the_write(planned: Bench, tmp_path: Path) -> None:
    planned.appliance.set(runs=RUNNING, gate="OPEN")
    planned.on("write")
    planned.appliance.tell(
        "progress", block=2, blocks=4, done_bytes=1, total_bytes=2, rate=1.0, remaining_s=None
    )
    restarted(planned, tmp_path, "write")


def test_a_restart_after_the_write_ended_shows_its_result(planned: Bench, tmp_path: Path) -> None:
    planned.appliance.set(runs=RUNNING, gate="OPEN")
    planned.on("write")
    planned.kit.close()
    planned.appliance.set(runs=[], gate="CLOSED", jobs=[job_view("j1", state="verified")])
    restarted(planned, tmp_path, "result")


def test_a_restart_after_an_interrupted_write_opens_at_its_recovery(
    planned: Bench, tmp_path: Path
) -> None:
    planned.appliance.set(runs=RUNNING, gate="OPEN")
    planned.on("write")
    planned.appliance.set(
        runs=STOPPED, gate="CLOSED", jobs=[job_view("j1", state="aborted_recoverable")]
    )
    planned.on("result")
    planned.kit.close()
    pump = Pump()
    with make_kit(planned.appliance.client, pump, tmp_path / "place.json", planned.clock) as kit:
        Bench(kit, planned.appliance, planned.clock, pump).on("recovery")


def test_a_job_that_is_gone_after_a_restart_is_said_and_home_is_shown(
    planned: Bench, tmp_path: Path
) -> None:
    planned.kit.close()
    planned.appliance.set(jobs=[])
    pump = Pump()
    place = tmp_path / "place.json"
    with make_kit(planned.appliance.client, pump, place, planned.clock) as kit:
        again = Bench(kit, planned.appliance, planned.clock, pump)
        again.on("home")
        again.until(lambda: kit.messages.state.what == "There is no job j1.")
        assert kit.messages.state.kind == "error"
