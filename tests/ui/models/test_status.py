"""The status bar: what is missing is shown as missing."""

from __future__ import annotations

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from ui.models.window import Window


def volts(bench: Bench) -> float | None:
    return bench.kit.status.state.volts


def window(bench: Bench) -> Window | None:
    return bench.kit.status.state.window


def test_everything_is_there_while_the_kit_is_well(bench: Bench) -> None:
    state = bench.kit.status.state
    assert state.volts == 13.2
    assert (state.gate, state.gate_word) == ("CLOSED", "Closed")
    assert (state.media_a, state.media_b, state.clock, state.supply, state.sync) == (
        *("present", "present", "synchronised", "ok", "not_set_up"),
    )
    assert state.link == "doip://127.0.0.1:13400"
    assert state.simulated == ("car",)
    assert (state.locked, state.technician) == (False, "maria")


def test_a_missing_voltage_is_missing_and_never_the_last_value(bench: Bench) -> None:
    bench.heard()
    assert volts(bench) == 13.2
    bench.appliance.set(volts=None, voltage_reason="the sensor is silent")
    bench.until(lambda: volts(bench) is None)
    assert bench.kit.status.state.volts_reason == "the sensor is silent"
    assert bench.kit.gates.state.volts is None


def test_without_the_hardware_process_there_is_neither_voltage_nor_gate(bench: Bench) -> None:
    bench.appliance.set(hw_gone=True)
    bench.until(lambda: bench.kit.status.state.hw_what == "hw is gone.")
    state = bench.kit.status.state
    assert (state.volts, state.gate, state.link) == (None, "", "")
    assert state.hw_next_step == "Start it."
    assert state.media_a == "present"


def test_a_medium_that_is_pulled_says_so(bench: Bench) -> None:
    bench.appliance.set(media_b="missing")
    bench.until(lambda: bench.kit.status.state.media_b == "missing")
    assert bench.kit.status.state.media_b_what == "It is not there."


def test_the_window_is_that_of_the_plan_in_hand(bench: Bench) -> None:
    assert window(bench) is None
    bench.kit.desk.take_plan(bench.appliance.plan)
    limits = window(bench)
    assert limits is not None
    assert (limits.start_min_v, limits.hold_v, limits.cut_v) == (12.5, 12.0, 11.0)


def test_a_kit_whose_configuration_cannot_be_read_shows_no_media(bench: Bench) -> None:
    status = bench.appliance.status()
    bench.appliance.replies["status"] = m.KitStatus(
        **{name: getattr(status, name) for name in m.KitStatus.__struct_fields__} | {"media": []}
    )
    bench.until(lambda: bench.kit.status.state.media_a == "")


FULL = m.Problem(
    code="store", what="The disk is full.", next_step="Make room on it.", exit_status=69
)


def test_a_record_that_is_behind_is_told_on_every_screen(bench: Bench) -> None:
    status = bench.kit.status
    bench.appliance.set(record_problem=FULL)
    bench.until(lambda: status.state.record_what)
    assert (status.state.record_what, status.state.record_next_step) == (
        "The disk is full.",
        "Make room on it.",
    )
    bench.appliance.set(record_problem=None)
    bench.until(lambda: not status.state.record_what)
    bench.appliance.set(record_problem=FULL)
    bench.until(lambda: status.state.record_what)
    bench.appliance.set(stands_still=True)
    bench.silent(1.5)
    assert status.state.record_what == "", "what is old is not told as news"
    bench.appliance.set(stands_still=False)
