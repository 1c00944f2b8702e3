"""The backend: calls, the status and its age, the appliance gone and back, events, closing."""

from __future__ import annotations

import socket
import threading
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.client import Client, FieldKitError
from appliance.client import messages as m
from tests.ui.models.bench import Bench, Clock, Pump, make_kit
from tests.ui.models.fake import FakeAppliance, refusal, run_info
from ui.models.backend import START_S, Backend, pause_after

T = TypeVar("T")


def echo(what: T, client: Client) -> T:
    return what


def voltage(bench: Bench) -> float | None:
    return bench.kit.status.state.volts


def screen(bench: Bench) -> str:
    return bench.kit.navigation.state.screen


def test_calls_are_made_in_order_and_delivered_on_the_screens_thread(bench: Bench) -> None:
    got: list[str] = []
    threads: set[int] = set()

    def done(text: str) -> None:
        got.append(text)
        threads.add(threading.get_ident())

    for text in ("a", "b", "c"):
        bench.kit.backend.call(partial(echo, text), done, lambda _error: None)
    bench.until(lambda: len(got) == 3)
    assert got == ["a", "b", "c"]
    assert threads == {threading.get_ident()}


def test_an_error_comes_as_it_was_told(bench: Bench) -> None:
    errors: list[FieldKitError] = []
    bench.appliance.refuses["lock"] = refusal("locked", "The kit is locked.", "Unlock it.")
    bench.kit.backend.call(lambda client: client.lock(), lambda _okay: None, errors.append)
    bench.until(lambda: errors)
    assert (errors[0].what, errors[0].next_step) == ("The kit is locked.", "Unlock it.")


def test_of_one_key_only_the_newest_call_counts(bench: Bench) -> None:
    got: list[int] = []
    for number in (1, 2, 3):
        bench.kit.backend.call(partial(echo, number), got.append, lambda _error: None, "search")
    bench.until(lambda: got)
    bench.heard()
    assert got == [3]


def test_a_defect_in_a_call_comes_out_on_the_screens_thread(
    appliance: FakeAppliance, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    pump = Pump()
    with Backend(appliance.client, pump.post, clock) as backend:
        backend.call(lambda _client: int("none"), lambda _x: None, lambda _e: None)
        with pytest.raises(ValueError, match="none"):
            pump.until(lambda: False)


def test_the_appliance_gone_takes_every_figure_away_and_back_again(bench: Bench) -> None:
    bench.until(lambda: bench.kit.status.state.volts == 13.2)
    bench.appliance.set(gone=True)
    bench.on("gone")
    status = bench.kit.status.state
    assert (status.volts, status.gate, status.media_a, status.supply) == (None, "", "", "")
    assert status.volts_reason
    # In words for a person at a screen: no socket, and no command that they could not give.
    assert status.what == "The appliance does not answer."
    assert status.next_step.startswith("Wait a moment.")
    bench.appliance.set(gone=False)
    bench.on("home")
    assert bench.kit.status.state.volts == 13.2


def test_an_appliance_that_stands_still_is_missing_after_a_second_and_then_gone(
    bench: Bench,
) -> None:
    bench.until(lambda: voltage(bench) == 13.2)
    bench.appliance.set(stands_still=True)
    bench.silent(0.8)
    assert voltage(bench) == 13.2
    bench.silent(0.4)
    assert voltage(bench) is None
    assert screen(bench) == "home"
    bench.silent(3.0)
    assert screen(bench) == "gone"
    bench.appliance.set(stands_still=False)
    bench.on("home")


def test_a_screen_that_starts_first_waits_for_the_appliance_before_it_calls_it_gone(
    appliance: FakeAppliance, clock: Clock, tmp_path: Path
) -> None:
    appliance.set(gone=True)
    pump = Pump()
    with make_kit(appliance.client, pump, tmp_path / "place.json", clock) as kit:
        waiting = Bench(kit, appliance, clock, pump)
        waiting.silent(START_S - 1.0)
        assert (screen(waiting), kit.status.state.gone) == ("gone", False)
        clock.at += 2.0
        waiting.until(lambda: kit.status.state.gone)
        appliance.set(gone=False)
        waiting.on("home")


def test_an_answer_that_took_too_long_is_no_figure(bench: Bench) -> None:
    bench.appliance.set(stands_still=True)
    bench.silent(1.2)
    asked = len(bench.appliance.calls("status"))
    bench.appliance.set(stands_still=False)
    bench.until(lambda: len(bench.appliance.calls("status")) > asked)
    bench.heard()
    assert bench.kit.status.state.volts == 13.2


def test_events_are_followed_across_a_break(bench: Bench) -> None:
    seen: list[m.JobEvent] = []
    lost: list[FieldKitError] = []
    bench.appliance.tell("note", text="first")
    bench.kit.backend.follow("j1", 0, seen.extend, lost.append)
    bench.until(lambda: len(seen) == 1)
    bench.appliance.set(gone=True)
    bench.until(lambda: lost)
    bench.appliance.tell("note", text="second")
    bench.appliance.set(gone=False)
    bench.until(lambda: len(seen) == 2)
    assert [event.body["text"] for event in seen] == ["first", "second"]


def test_after_unfollow_nothing_comes(bench: Bench) -> None:
    seen: list[m.JobEvent] = []
    bench.kit.backend.follow("j1", 0, seen.extend, lambda _error: None)
    bench.until(lambda: bench.appliance.calls("events"))
    bench.kit.backend.unfollow()
    bench.appliance.tell("note", text="late")
    bench.heard()
    assert seen == []


def test_closing_ends_all_threads_also_while_the_appliance_stands_still(
    appliance: FakeAppliance, clock: Clock
) -> None:
    before = set(threading.enumerate())
    pump = Pump()
    backend = Backend(appliance.client, pump.post, clock)
    backend.start()
    backend.follow("j1", 0, lambda _events: None, lambda _error: None)
    pump.until(lambda: backend.state.status is not None)
    appliance.set(stands_still=True)
    backend.call(lambda client: client.lock(), lambda _okay: None, lambda _error: None)
    backend.close()
    assert set(threading.enumerate()) == before


def test_the_status_is_asked_for_more_often_while_a_write_runs(bench: Bench) -> None:
    at_rest = pause_after(bench.appliance.status())
    bench.appliance.set(runs=[run_info("running")])
    assert pause_after(bench.appliance.status()) < at_rest


def test_closing_ends_a_call_that_a_stopped_appliance_never_answers(short_tmp: Path) -> None:
    """With the real client and a socket on which somebody listens and never speaks."""
    before = set(threading.enumerate())
    path, pump = short_tmp / "appliance.sock", Pump()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        silent.listen()
        backend = Backend(lambda: Client(path), pump.post)
        backend.start()
        backend.call(lambda client: client.lock(), lambda _okay: None, lambda _error: None)
        backend.follow("j1", 0, lambda _events: None, lambda _error: None)
        # Each knocks first and then asks: six come, three of them to stay.
        callers = [silent.accept()[0] for _ in range(6)]
        asked = [line.recv(10) for line in callers]
        assert len([text for text in asked if text]) == 3
        backend.close()
        assert set(threading.enumerate()) == before
        for line in callers:
            line.close()
