"""Media, voltage sensor and links in the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench, Clock, Pump, make_kit
from tests.ui.models.fake import FakeAppliance, refusal
from ui.models.kit import Preferences
from ui.models.links import DefaultLink

ENGINE, CAR = "doip://127.0.0.1:13400?target=16", "doip://127.0.0.1:13400"


# Media --------------------------------------------------------------------------------------------


def test_media_are_shown_with_what_is_on_them_and_followed(bench: Bench) -> None:
    model = bench.kit.media
    model.open()
    bench.until(lambda: model.state.media and model.state.media[0].device)
    first, second = model.state.media
    assert (first.state, first.device, first.backups) == ("present", "/dev/sda1", 2)
    assert first.verified == "2026-02-28T10:00:00Z"
    bench.appliance.set(media_b="missing")
    bench.until(lambda: model.state.media[1].state == "missing")
    second = model.state.media[1]
    assert (second.device, second.backups, second.verified) == ("", None, "")
    assert second.what == "It is not there."
    bench.until(lambda: len(bench.appliance.calls("media")) == 2, "asked again at the change")


def test_media_of_a_kit_that_is_not_heard_are_not_shown(bench: Bench) -> None:
    model = bench.kit.media
    model.open()
    bench.until(lambda: model.state.media)
    bench.appliance.set(gone=True)
    bench.until(lambda: not model.state.media)


# The voltage sensor -------------------------------------------------------------------------------


def watched(bench: Bench) -> None:
    bench.kit.sensor.open()
    bench.until(lambda: bench.kit.sensor.state.known)
    bench.passes(3)


@pytest.mark.parametrize(
    ("meter", "verdict"), [("13.2", "agrees"), ("13,40", "agrees"), ("13.6", "differs")]
)
def test_a_multimeter_is_held_against_what_the_sensor_may_be_off(
    bench: Bench, meter: str, verdict: str
) -> None:
    watched(bench)
    bench.kit.sensor.compare(meter)
    state = bench.kit.sensor.state
    # 1 % and a step of 16 mV of the INA219, 0.5 % and 20 mV of the multimeter, at 13.2 V.
    assert state.tolerance_v == pytest.approx(0.236, abs=0.003)
    assert state.mean_v == pytest.approx(13.2)
    assert state.verdict == verdict


def test_a_voltage_that_moves_says_nothing_of_the_sensor(bench: Bench) -> None:
    watched(bench)
    bench.appliance.set(volts=13.5)
    bench.passes(1)
    bench.kit.sensor.compare("13.5")
    assert (bench.kit.sensor.state.verdict, bench.kit.sensor.state.tolerance_v) == (
        "unsteady",
        None,
    )
    assert (bench.kit.sensor.state.low_v, bench.kit.sensor.state.high_v) == (13.2, 13.5)
    bench.passes(11)
    bench.kit.sensor.compare("13.5")
    assert bench.kit.sensor.state.verdict == "agrees"


def test_a_sensor_without_a_voltage_is_not_trusted(bench: Bench) -> None:
    watched(bench)
    bench.appliance.set(volts=None, voltage_reason="the sensor is frozen")
    bench.heard()
    assert (bench.kit.sensor.state.volts, bench.kit.sensor.state.low_v) == (None, None)
    bench.kit.sensor.compare("13.2")
    assert bench.kit.sensor.state.verdict == "no_voltage"


@pytest.mark.parametrize("text", ["0", "13.2.1", "-5", "61", "abc"])
def test_what_is_no_voltage_is_said_and_not_compared(bench: Bench, text: str) -> None:
    watched(bench)
    bench.kit.sensor.compare(text)
    assert bench.kit.sensor.state.what == f"{text} is no voltage."
    assert bench.kit.sensor.state.verdict == ""


def test_figures_of_a_kit_that_is_not_heard_are_missing(bench: Bench) -> None:
    watched(bench)
    bench.silent(1.5)
    state = bench.kit.sensor.state
    assert (state.volts, state.sample_rate, state.age_s) == (None, None, None)
    assert state.reason == "The kit does not answer."


# Links --------------------------------------------------------------------------------------------


def test_a_link_is_tried_by_reading_and_by_looking_for_ecus(bench: Bench) -> None:
    model = bench.kit.links
    model.open()
    bench.until(lambda: model.state.links)
    model.attempt(ENGINE)
    bench.until(lambda: model.state.answer == "The ECU answers: it told 2 of 3 values.")
    assert bench.appliance.calls("identify") == [(ENGINE, "generic-uds", "")]
    model.attempt(CAR)
    bench.until(lambda: model.state.answer == "1 ECUs announced themselves.")


def test_a_link_on_which_nothing_answers_says_so(bench: Bench) -> None:
    model = bench.kit.links
    model.open()
    bench.until(lambda: model.state.links)
    bench.appliance.refuses["identify"] = refusal("timeout", "The ECU does not answer.")
    model.attempt(ENGINE)
    bench.until(lambda: model.state.what == "The ECU does not answer.")
    bench.appliance.replies["discover"] = m.Discovered(ecus=[])
    model.attempt(CAR)
    bench.until(lambda: model.state.what == "No ECU announced itself.")
    assert model.state.answer == ""


def test_the_default_link_is_kept_and_chosen_beforehand(
    appliance: FakeAppliance, clock: Clock, tmp_path: Path
) -> None:
    pump, kept = Pump(), list[str]()
    preferences = Preferences(DefaultLink(CAR, kept.append))
    with make_kit(
        appliance.client, pump, tmp_path / "place.json", clock, preferences=preferences
    ) as kit:
        bench = Bench(kit, appliance, clock, pump)
        bench.on("home")
        kit.links.open()
        assert kit.links.state.default == CAR
        kit.links.choose(CAR)
        kit.links.choose(ENGINE)
        assert (kept, kit.links.state.default) == (["", ENGINE], ENGINE)
        kit.home.take("j1")
        bench.on("vehicle")
        bench.until(lambda: kit.vehicle.state.link == ENGINE)
        kit.vehicle.choose("", "")
        kit.vehicle.open()
        bench.until(lambda: not kit.vehicle.state.busy)
        assert kit.vehicle.state.link == "", "whoever chose another one is not led back"


# Wi-Fi --------------------------------------------------------------------------------------------


def looked_around(bench: Bench) -> None:
    bench.kit.network.open()
    bench.until(lambda: bench.kit.network.state.networks)
    bench.kit.network.look_again()
    bench.until(lambda: not bench.kit.network.state.busy)
    assert bench.appliance.calls("network") == [(False,), (True,)]


def test_a_network_is_joined_and_forgotten(bench: Bench) -> None:
    looked_around(bench)
    model = bench.kit.network
    model.join("Workshop")
    assert bench.appliance.calls("network_join") == [], "it asks for a passphrase"
    model.join("Workshop", "secret words")
    bench.until(lambda: model.state.done == "The kit is in the network Workshop.")
    bench.until(lambda: model.state.networks[0].joined)
    assert "secret words" not in repr(model.state)
    model.forget("Workshop")
    assert bench.appliance.calls("network_forget") == []
    bench.kit.messages.confirm()
    bench.until(lambda: model.state.done == "The network Workshop is forgotten.")
    bench.until(lambda: not model.state.busy)
    model.join("Cafe")
    bench.until(lambda: ("Cafe", "") in bench.appliance.calls("network_join"))


def test_a_network_that_is_refused_says_why(bench: Bench) -> None:
    looked_around(bench)
    bench.appliance.refuses["network_join"] = refusal(
        "unavailable", "The network is not changed while a write runs."
    )
    bench.kit.network.join("Cafe")
    bench.until(lambda: bench.kit.network.state.what.startswith("The network is not changed"))
    assert bench.kit.network.state.done == ""


def test_a_kit_without_networkmanager_says_so(bench: Bench) -> None:
    what = "NetworkManager is not installed on this kit."
    bench.appliance.replies["network"] = m.Network(available=False, what=what, networks=[])
    bench.kit.network.open()
    bench.until(lambda: bench.kit.network.state.missing == what)
