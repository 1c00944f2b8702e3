"""The gate's states: every threshold from both sides, time, samples that fail, the line."""

from __future__ import annotations

import hashlib
import math
import threading

import pytest

from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from hw.voltage.sampler import Sample
from tests.hw.gate.rig import GOOD_V, NEXT, STEP_S, WINDOW, Rig, window

TINY = 1e-6
STATES = ("CLOSED", "ARMED", "OPEN", "HELD", "CUT")


# Thresholds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volts", "state"),
    [
        (WINDOW.over_v + TINY, "CUT"),
        (WINDOW.over_v, "OPEN"),
        (WINDOW.hold_v, "OPEN"),
        (WINDOW.hold_v - TINY, "HELD"),
        (WINDOW.cut_v, "HELD"),
        (WINDOW.cut_v - TINY, "CUT"),
        (0.0, "CUT"),
        (-1.0, "CUT"),
        (40.0, "CUT"),
    ],
)
def test_one_sample_moves_an_open_gate(rig: Rig, volts: float, state: str) -> None:
    rig.opened()
    rig.sample(volts)
    assert rig.state() == state
    assert rig.line.high is (state != "CUT")


@pytest.mark.parametrize(
    ("volts", "state"),
    [
        (WINDOW.over_v + TINY, "CUT"),
        (WINDOW.over_v, "ARMED"),
        (WINDOW.hold_v - TINY, "ARMED"),
        (WINDOW.cut_v, "ARMED"),
        (WINDOW.cut_v - TINY, "CUT"),
    ],
)
def test_one_sample_moves_an_armed_gate(rig: Rig, volts: float, state: str) -> None:
    rig.armed()
    rig.sample(volts)
    assert rig.state() == state
    assert not rig.line.high


@pytest.mark.parametrize(
    ("volts", "state"),
    [
        (WINDOW.over_v + TINY, "CUT"),
        (WINDOW.over_v, "HELD"),
        (WINDOW.cut_v, "HELD"),
        (WINDOW.cut_v - TINY, "CUT"),
    ],
)
def test_one_sample_moves_a_held_gate(rig: Rig, volts: float, state: str) -> None:
    rig.in_state("HELD")
    rig.sample(volts)
    assert rig.state() == state


@pytest.mark.parametrize("state", ["CLOSED", "CUT"])
@pytest.mark.parametrize("volts", [0.0, 11.5, GOOD_V, 16.0, None])
def test_no_sample_moves_a_closed_or_cut_gate(rig: Rig, state: str, volts: float | None) -> None:
    rig.in_state(state)
    for _ in range(2000):
        rig.clock.time += STEP_S
        rig.sample(volts)
    assert rig.state() == state


# Back from HELD -----------------------------------------------------------------------------------


def test_held_opens_after_the_whole_time_above_resume(rig: Rig) -> None:
    rig.in_state("HELD")
    rig.clock.time += STEP_S
    rig.sample(12.6)  # From here the time counts.
    rig.feed(12.6, WINDOW.resume_after_s - STEP_S)
    assert rig.state() == "HELD"
    rig.feed(12.6, STEP_S)
    assert rig.state() == "OPEN"
    assert rig.line.high


def test_resume_voltage_itself_is_not_above_resume(rig: Rig) -> None:
    rig.in_state("HELD")
    rig.feed(WINDOW.resume_v, 2 * WINDOW.resume_after_s)
    assert rig.state() == "HELD"
    rig.feed(WINDOW.resume_v + TINY, WINDOW.resume_after_s + 2 * STEP_S)
    assert rig.state() == "OPEN"


@pytest.mark.parametrize("dip", [WINDOW.resume_v, 12.1, 11.2, None])
def test_one_dip_starts_the_time_anew(rig: Rig, dip: float | None) -> None:
    rig.in_state("HELD")
    rig.feed(13.0, WINDOW.resume_after_s - STEP_S)
    rig.clock.time += STEP_S
    rig.sample(dip, "not ready")
    rig.feed(13.0, WINDOW.resume_after_s)
    assert rig.state() == "HELD"
    rig.feed(13.0, 2 * STEP_S)
    assert rig.state() == "OPEN"


def test_a_second_sag_waits_its_own_whole_time(rig: Rig) -> None:
    rig.in_state("HELD")
    rig.feed(13.0, WINDOW.resume_after_s + 2 * STEP_S)
    assert rig.state() == "OPEN"
    rig.feed(11.9, STEP_S)
    assert rig.state() == "HELD"
    rig.feed(13.0, WINDOW.resume_after_s)
    assert rig.state() == "HELD"


def test_a_gap_in_the_samples_never_counts_as_time_above_resume(rig: Rig) -> None:
    rig.in_state("HELD")
    rig.feed(13.0, STEP_S)
    rig.clock.time += WINDOW.resume_after_s
    rig.sample(13.0)
    assert rig.state() == "CUT"


# Samples that fail --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["ARMED", "OPEN", "HELD"])
def test_samples_that_stop_cut_after_the_stale_time_and_not_before(rig: Rig, state: str) -> None:
    rig.in_state(state)
    rig.clock.time += WINDOW.stale_s - TINY
    assert rig.state() == state
    rig.clock.time += 2 * TINY
    assert rig.state() == "CUT"
    assert not rig.line.high


def test_samples_that_stop_are_not_told_as_a_fault_that_was_over(rig: Rig) -> None:
    """Regression: a sampler that was starved long after its start was told as one not read yet."""
    rig.sample(None, "the sensor has not been read yet")
    gate = rig.opened()
    rig.clock.time += WINDOW.stale_s + TINY
    assert rig.state() == "CUT"
    assert gate.reason == "There is no valid voltage: the sensor gives no sample any more."


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("state", ["ARMED", "OPEN", "HELD"])
def test_invalid_samples_cut_as_none_at_all_do(rig: Rig, state: str, bad: float | None) -> None:
    gate = rig.in_state(state)
    end = rig.clock.time + WINDOW.stale_s
    while rig.clock.time < end:
        rig.sample(bad, "the sensor does not answer")
        assert rig.state() == state
        rig.clock.time += STEP_S
    rig.sample(bad, "the sensor does not answer")
    assert rig.state() == "CUT"
    assert "the sensor does not answer" in gate.reason
    assert rig.changes[-1].volts is None


def test_a_reading_that_is_not_a_number_is_named_so(rig: Rig) -> None:
    gate = rig.opened()
    rig.clock.time += WINDOW.stale_s
    rig.sample(math.nan)
    rig.clock.time += STEP_S
    assert rig.state() == "CUT"
    assert "not a number" in gate.reason


def test_a_single_invalid_sample_between_good_ones_changes_nothing(rig: Rig) -> None:
    rig.opened()
    for _ in range(100):
        rig.clock.time += STEP_S
        rig.sample(None, "not ready")
        rig.clock.time += STEP_S
        rig.sample()
    assert rig.state() == "OPEN"


@pytest.mark.parametrize("state", ["ARMED", "OPEN", "HELD"])
def test_a_good_sample_after_a_gap_does_not_undo_the_gap(rig: Rig, state: str) -> None:
    rig.in_state(state)
    rig.clock.time += WINDOW.stale_s + TINY
    rig.sample()
    assert rig.state() == "CUT"


def test_a_sample_that_arrives_late_is_as_old_as_it_is(rig: Rig) -> None:
    gate = rig.opened()
    rig.clock.time += WINDOW.stale_s
    gate.on_sample(Sample(rig.clock.time - WINDOW.stale_s, GOOD_V))
    rig.clock.time += TINY
    with pytest.raises(WriteCut):
        gate.check_frame()


def test_before_the_first_sample_nothing_opens(rig: Rig) -> None:
    rig.gate.arm(rig.plan, WINDOW, rig.clock.time + 120)
    with pytest.raises(NotPlanned):
        rig.gate.open(rig.clock.time + 3600, resume=False)
    assert rig.state() == "CUT"
    assert "no sample yet" in rig.gate.reason


# Permit -------------------------------------------------------------------------------------------


def test_an_armed_permit_expires(rig: Rig) -> None:
    gate = rig.armed()
    rig.feed(GOOD_V, 120)
    assert rig.state() == "ARMED"
    rig.feed(GOOD_V, STEP_S)
    assert rig.state() == "CUT"
    assert gate.reason == "The permit has expired."
    with pytest.raises(NotPlanned):
        gate.open(rig.clock.time + 3600, resume=False)


@pytest.mark.parametrize("state", ["OPEN", "HELD"])
def test_a_running_permit_expires(rig: Rig, state: str) -> None:
    gate = rig.armed()
    gate.open(rig.clock.time + 1.0, resume=False)
    volts = GOOD_V if state == "OPEN" else 11.5
    rig.feed(volts, 1.0)
    assert rig.state() == state
    rig.clock.time += TINY
    with pytest.raises((WriteCut, WriteHeld)):
        gate.check_frame()
    assert rig.state() == "CUT"
    assert "expired" in gate.reason


def test_a_frame_at_the_last_moment_of_permit_and_sample_passes(rig: Rig) -> None:
    gate = rig.armed()
    gate.open(rig.clock.time + WINDOW.stale_s, resume=False)
    rig.clock.time += WINDOW.stale_s
    gate.check_frame()
    rig.clock.time += TINY
    with pytest.raises(WriteCut):
        gate.check_frame()


# Frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "refusal"),
    [("CLOSED", WriteCut), ("ARMED", WriteCut), ("HELD", WriteHeld), ("CUT", WriteCut)],
)
def test_no_frame_passes_outside_open(rig: Rig, state: str, refusal: type[Exception]) -> None:
    gate = rig.in_state(state)
    with pytest.raises(refusal):
        gate.check_frame()


def test_a_check_given_out_while_open_stops_the_next_frame_after_a_sag(rig: Rig) -> None:
    gate = rig.opened()
    check = gate.admit(NEXT)
    assert check is not None
    check()
    rig.sample(11.9)
    with pytest.raises(WriteHeld, match=r"11\.90 V") as held:
        check()
    assert "charger" in held.value.next_step
    rig.sample(10.0)
    with pytest.raises(WriteCut) as cut:
        check()
    assert "acknowledgment" in cut.value.next_step
    gate.close("over")
    with pytest.raises(WriteCut):
        check()


def test_a_stale_sample_stops_the_next_frame_without_anyone_polling(rig: Rig) -> None:
    gate = rig.opened()
    check = gate.admit(NEXT)
    assert check is not None
    rig.clock.time += WINDOW.stale_s + TINY
    with pytest.raises(WriteCut, match="no valid voltage"):
        check()
    assert rig.line.story[-2:] == ["line low", "CUT"]


def test_a_sample_that_comes_while_a_frame_is_refused_does_not_let_that_frame_pass(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = rig.opened()
    rig.clock.time += WINDOW.stale_s + TINY
    monkeypatch.setattr(gate, "poll", lambda: None)
    with pytest.raises(WriteCut):
        gate.check_frame()


EXACT = window(stale_s=0.0625)
"""A time that binary fractions hold, so that equal is equal."""


def test_a_sample_exactly_as_old_as_allowed_is_young_enough(rig: Rig) -> None:
    rig.window = EXACT
    gate = rig.opened()
    rig.clock.time += EXACT.stale_s
    gate.check_frame()
    assert rig.state() == "OPEN"
    gate.cut("for the test")
    rig.sample()
    rig.clock.time += EXACT.stale_s
    gate.open(rig.clock.time + 3600, resume=True)
    assert rig.state() == "OPEN"


# Line ---------------------------------------------------------------------------------------------


def test_the_line_is_high_only_after_open_and_falls_before_anyone_is_told(rig: Rig) -> None:
    gate = rig.armed()
    assert rig.line.story == ["ARMED"]
    gate.open(rig.clock.time + 3600, resume=False)
    assert rig.line.story[1:] == ["line high", "OPEN"]
    gate.cut("for the test")
    assert rig.line.story[3:] == ["line low", "CUT"]
    gate.open(rig.clock.time + 3600, resume=True)
    gate.close("over")
    assert rig.line.story[5:] == ["line high", "OPEN", "line low", "CLOSED"]


def test_held_keeps_the_line_high_so_that_the_session_stays(rig: Rig) -> None:
    rig.in_state("HELD")
    assert rig.line.high


@pytest.mark.parametrize("state", ["ARMED", "OPEN", "HELD"])
def test_a_line_that_cannot_be_driven_still_cuts(rig: Rig, state: str) -> None:
    gate = rig.in_state(state)
    rig.line.broken = True
    with pytest.raises(OSError, match="pin"):
        rig.sample(5.0)
    assert rig.state() == "CUT"
    with pytest.raises(WriteCut):
        gate.check_frame()


def test_a_line_that_cannot_be_driven_still_closes(rig: Rig) -> None:
    gate = rig.opened()
    rig.line.broken = True
    with pytest.raises(OSError, match="pin"):
        gate.close("over")
    assert rig.state() == "CLOSED"
    with pytest.raises(NotPlanned):
        gate.admit(NEXT)


def test_a_line_that_cannot_be_driven_does_not_open(rig: Rig) -> None:
    gate = rig.armed()
    rig.line.broken = True
    with pytest.raises(OSError, match="pin"):
        gate.open(rig.clock.time + 3600, resume=False)
    assert rig.state() == "ARMED"


# Transitions asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["ARMED", "OPEN", "HELD", "CUT"])
def test_only_a_closed_gate_can_be_armed(rig: Rig, state: str) -> None:
    gate = rig.in_state(state)
    with pytest.raises(NotPlanned, match=state):
        gate.arm(rig.plan, WINDOW, rig.clock.time + 120)
    gate.close("over")
    gate.arm(rig.plan, WINDOW, rig.clock.time + 120)
    assert rig.state() == "ARMED"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_open_needs_armed_and_with_resume_cut(rig: Rig, state: str, resume: bool) -> None:
    gate = rig.in_state(state)
    if state == ("CUT" if resume else "ARMED"):
        gate.open(rig.clock.time + 3600, resume=resume)
        assert rig.state() == "OPEN"
        return
    with pytest.raises(NotPlanned):
        gate.open(rig.clock.time + 3600, resume=resume)
    assert rig.state() == state


@pytest.mark.parametrize(
    ("volts", "opens"),
    [
        (WINDOW.resume_v - TINY, False),
        (WINDOW.resume_v, True),
        (WINDOW.over_v, True),
        (WINDOW.over_v + TINY, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_open_needs_the_voltage_of_this_moment(
    rig: Rig, volts: float | None, opens: bool, resume: bool
) -> None:
    gate = rig.in_state("CUT" if resume else "ARMED")
    rig.clock.time += WINDOW.stale_s / 2
    rig.sample(volts, "not ready")
    rig.clock.time += WINDOW.stale_s / 2 + (TINY if volts is None else 0)
    if opens:
        gate.open(rig.clock.time + 3600, resume=resume)
        assert rig.state() == "OPEN"
    else:
        with pytest.raises((WriteCut, NotPlanned)):
            gate.open(rig.clock.time + 3600, resume=resume)
        assert rig.state() in ("ARMED", "CUT")
        assert not rig.line.high


def test_a_cut_gate_does_not_resume_on_an_old_sample(rig: Rig) -> None:
    gate = rig.in_state("CUT")
    rig.clock.time += WINDOW.stale_s + TINY
    with pytest.raises(WriteCut, match="missing"):
        gate.open(rig.clock.time + 3600, resume=True)
    assert rig.state() == "CUT"


def test_closing_forgets_the_plan(rig: Rig) -> None:
    gate = rig.in_state("CUT")
    gate.close("over")
    assert (gate.state, gate.reason, gate.next_step) == ("CLOSED", "over", "")
    with pytest.raises(NotPlanned):
        gate.open(rig.clock.time + 3600, resume=True)
    gate.close("again")
    assert gate.reason == "over"


@pytest.mark.parametrize("state", ["CLOSED", "CUT"])
def test_cut_does_nothing_where_there_is_nothing_to_cut(rig: Rig, state: str) -> None:
    gate = rig.in_state(state)
    before = len(rig.changes)
    gate.cut("once more")
    assert rig.state() == state
    assert len(rig.changes) == before


def test_each_change_says_why_and_what_to_do(rig: Rig) -> None:
    gate = rig.in_state("HELD")
    rig.feed(GOOD_V, WINDOW.resume_after_s + 2 * STEP_S)
    rig.sample(15.5)
    gate.close("over")
    assert [change.state for change in rig.changes] == [
        "ARMED",
        "OPEN",
        "HELD",
        "OPEN",
        "CUT",
        "CLOSED",
    ]
    assert [change.volts for change in rig.changes][2:5] == [11.5, GOOD_V, 15.5]
    assert all(change.reason.endswith(".") for change in rig.changes[:5])
    assert "charger" in rig.changes[2].next_step
    assert "15.00 V" in rig.changes[4].reason


def test_a_gate_without_a_listener_works(rig: Rig) -> None:
    rig.gate.on_change = None
    assert rig.opened().state == "OPEN"


def test_waiting_ends_with_a_change_or_with_the_time(rig: Rig) -> None:
    gate = rig.in_state("HELD")
    assert gate.wait_while("HELD", 0.0) == "HELD"
    assert gate.wait_while("OPEN", 30.0) == "HELD"
    seen: list[str] = []
    waiter = threading.Thread(target=lambda: seen.append(gate.wait_while("HELD", 30.0)))
    waiter.start()
    gate.cut("for the test")
    waiter.join(timeout=20)
    assert seen == ["CUT"]


# The running SHA-256 ------------------------------------------------------------------------------


def _transfer(rig: Rig, *blocks: bytes) -> None:
    rig.gate.confirmed(bytes.fromhex("340044000080000000000010"))
    for number, block in enumerate(blocks, 1):
        rig.gate.confirmed(bytes([0x36, number]) + block)


def test_transfer_exit_passes_when_exactly_the_payload_was_confirmed(rig: Rig) -> None:
    gate = rig.opened()
    rig.plan.expected, rig.plan.transfer_digest = b"\x37", hashlib.sha256(b"abcdef").hexdigest()
    _transfer(rig, b"abc", b"def")
    assert gate.admit(b"\x37") is not None


@pytest.mark.parametrize(
    "blocks", [(), (b"abc",), (b"abd", b"def"), (b"def", b"abc"), (b"abc", b"def", b"g")]
)
def test_transfer_exit_is_refused_when_anything_else_was_confirmed(
    rig: Rig, blocks: tuple[bytes, ...]
) -> None:
    gate = rig.opened()
    rig.plan.expected, rig.plan.transfer_digest = b"\x37", hashlib.sha256(b"abcdef").hexdigest()
    _transfer(rig, *blocks)
    with pytest.raises(NotPlanned, match="SHA-256"):
        gate.admit(b"\x37")


def test_each_download_is_counted_by_itself(rig: Rig) -> None:
    gate = rig.opened()
    _transfer(rig, b"first")
    gate.confirmed(b"\x37")
    _transfer(rig, b"second")
    rig.plan.expected, rig.plan.transfer_digest = b"\x37", hashlib.sha256(b"second").hexdigest()
    assert gate.admit(b"\x37") is not None


def test_nothing_is_carried_over_from_the_plan_before(rig: Rig) -> None:
    gate = rig.opened()
    _transfer(rig, b"of the plan before")
    gate.close("over")
    rig.opened()
    rig.plan.expected, rig.plan.transfer_digest = b"\x37", hashlib.sha256(b"").hexdigest()
    assert gate.admit(b"\x37") is not None


def test_a_transfer_exit_without_a_download_is_refused(rig: Rig) -> None:
    gate = rig.opened()
    rig.plan.expected, rig.plan.transfer_digest = b"\x37", ""
    with pytest.raises(NotPlanned):
        gate.admit(b"\x37")


# What people are told -----------------------------------------------------------------------------


def test_a_new_gate_is_closed_and_there_is_nothing_to_do(rig: Rig) -> None:
    assert rig.state() == "CLOSED"
    assert rig.gate.reason == "No write is planned."
    assert rig.gate.next_step == ""


def test_before_the_first_sample_a_change_tells_no_voltage(rig: Rig) -> None:
    rig.gate.arm(rig.plan, WINDOW, rig.clock.time + 60)
    assert rig.changes[-1].volts is None


def test_a_refusal_names_the_service(rig: Rig) -> None:
    with pytest.raises(NotPlanned, match=r"request 0x2E can change the ECU"):
        rig.gate.admit(NEXT)
    with pytest.raises(NotPlanned, match=r"request empty can change the ECU"):
        rig.gate.admit(b"")
    rig.opened()
    with pytest.raises(NotPlanned, match=r"request 0x14 is not what the plan sends next"):
        rig.gate.admit(b"\x14\xff\xff\xff")


def test_an_opening_that_is_refused_names_the_voltage_or_that_there_is_none(rig: Rig) -> None:
    rig.armed()
    rig.sample(12.3)
    with pytest.raises(WriteCut, match=r"voltage is 12\.30 V, outside the window\."):
        rig.gate.open(rig.clock.time + 60, resume=False)
    rig.gate.cut("for the test")
    rig.clock.time += 1.0
    with pytest.raises(WriteCut, match=r"voltage is missing\."):
        rig.gate.open(rig.clock.time + 60, resume=True)


def test_a_frame_refused_before_the_start_says_how_to_start(rig: Rig) -> None:
    with pytest.raises(WriteCut) as refused:
        rig.gate.check_frame()
    assert refused.value.next_step.startswith("Mend the supply")
    rig.armed()
    with pytest.raises(WriteCut) as refused:
        rig.gate.check_frame()
    assert refused.value.next_step == "Start the write."


def test_the_end_of_a_cut_write_tells_the_last_voltage_that_was_seen(rig: Rig) -> None:
    rig.opened()
    rig.sample(10.5)
    rig.clock.time += 60.0
    rig.gate.poll()
    rig.gate.close("over")
    assert [(change.state, change.volts) for change in rig.changes[-2:]] == [
        ("CUT", 10.5),
        ("CLOSED", 10.5),
    ]


def test_only_a_transfer_exit_waits_for_the_data(rig: Rig) -> None:
    rig.opened()
    rig.plan.transfer_digest = hashlib.sha256(b"still to come").hexdigest()
    assert rig.gate.admit(NEXT) is not None
