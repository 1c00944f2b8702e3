"""The write: what its events tell, HELD and CUT, no way back, and how it ends."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import PASSPHRASE, job_view, run_info
from ui.models.write import TRACE_POINTS, WriteModel


@pytest.fixture
def writing(bench: Bench) -> Bench:
    """A write that was begun by a command, or by an earlier screen."""
    bench.appliance.set(runs=[run_info()], gate="OPEN")
    bench.on("write")
    return bench


def progress(bench: Bench, block: int) -> None:
    bench.appliance.tell(
        "progress",
        block=block,
        blocks=4,
        done_bytes=block * 256,
        total_bytes=1024,
        rate=500.0,
        remaining_s=1.5,
    )


def rate(write: WriteModel) -> float | None:
    return write.state.rate


def screen(bench: Bench) -> str:
    return bench.kit.navigation.state.screen


def test_a_write_is_followed_block_by_block(writing: Bench) -> None:
    write = writing.kit.write
    writing.appliance.tell("step_started", index=2, total=6, step="transfer_data")
    progress(writing, 2)
    writing.until(lambda: write.state.block == 2)
    state = write.state
    assert (state.step, state.steps, state.step_name) == (3, 6, "transfer data")
    assert (state.blocks, state.done_bytes, state.total_bytes, state.part) == (4, 512, 1024, 0.5)
    assert (state.rate, state.remaining_s, state.running) == (500.0, 1.5, True)
    assert (state.gate, state.gate_word, state.takeover) == ("OPEN", "Open", "")


def test_events_of_another_run_change_nothing(writing: Bench) -> None:
    progress(writing, 1)
    writing.appliance.tell("progress", run="r0", block=4, blocks=4)
    writing.appliance.tell("step_started", index=4, total=6, step="last")
    writing.until(lambda: writing.kit.write.state.step == 5)
    assert writing.kit.write.state.block == 1


def test_the_trace_of_the_voltage_is_bounded_and_has_gaps_where_there_was_none(
    writing: Bench,
) -> None:
    for tenth in range(TRACE_POINTS + 100):
        volts = None if tenth == TRACE_POINTS else 13.0
        writing.appliance.tell("voltage", at=5.0 + tenth / 10, volts=volts, reason="")
    progress(writing, 1)
    writing.until(lambda: writing.kit.write.state.block == 1)
    trace = writing.kit.write.state.trace
    assert len(trace) == TRACE_POINTS
    assert trace[0] == (10.0, 13.0)
    assert (TRACE_POINTS / 10, None) in trace


def test_old_events_are_never_taken_for_the_present_voltage(writing: Bench) -> None:
    writing.appliance.set(volts=None, voltage_reason="silent")
    writing.until(lambda: writing.kit.write.state.volts is None)
    writing.appliance.tell("voltage", at=5.0, volts=13.0, reason="")
    writing.until(lambda: writing.kit.write.state.trace)
    assert writing.kit.write.state.volts is None
    assert writing.kit.write.state.volts_reason == "silent"


def test_there_is_no_way_back_while_it_runs(writing: Bench) -> None:
    navigation = writing.kit.navigation
    assert not navigation.state.can_go_back
    navigation.back()
    assert screen(writing) == "write"
    navigation.home()
    assert screen(writing) == "write"
    for other in ("home", "vehicle", "gates", "acknowledge", "result", "recovery"):
        navigation.go(other)
        assert screen(writing) == "write"


def test_a_hold_takes_over_and_says_what_to_do_and_goes_by_itself(writing: Bench) -> None:
    write = writing.kit.write
    progress(writing, 1)
    writing.until(lambda: rate(write) == 500.0)
    writing.appliance.set(gate="HELD", volts=11.6)
    writing.until(lambda: write.state.takeover == "held")
    assert (write.state.reason, write.state.gate_next_step) == (
        *("below 12.0 V", "Charge the battery."),
    )
    assert (rate(write), write.state.remaining_s, write.state.can_resume) == (None, None, False)
    writing.appliance.set(gate="OPEN", volts=13.0)
    writing.until(lambda: not write.state.takeover)


def test_after_a_cut_only_a_new_acknowledgment_resumes(writing: Bench) -> None:
    write = writing.kit.write
    write.resume()
    assert writing.appliance.calls("running_plan") == []
    writing.appliance.set(gate="CUT", volts=10.5)
    writing.until(lambda: write.state.takeover == "cut" and write.state.can_resume)
    write.resume()
    writing.on("acknowledge")
    button = writing.kit.acknowledge
    writing.until(lambda: button.state.resumes)
    assert button.state.risk_text == "Software is erased and written."
    assert writing.appliance.calls("resume") == []
    button.enter(PASSPHRASE)
    button.press()
    writing.passes(3.1)
    writing.on("write")
    assert writing.appliance.calls("resume") == [("j1", "cd" * 32)]
    assert writing.appliance.calls("run") == []
    writing.until(lambda: write.state.gate == "OPEN")


def test_from_the_acknowledgment_that_resumes_back_leads_to_the_write_alone(writing: Bench) -> None:
    writing.appliance.set(gate="CUT")
    writing.until(lambda: writing.kit.write.state.can_resume)
    writing.kit.write.resume()
    writing.on("acknowledge")
    writing.kit.navigation.back()
    writing.on("write")


def test_an_abort_asks_first(writing: Bench) -> None:
    notices = writing.kit.messages
    writing.until(lambda: writing.kit.write.state.can_abort)
    writing.kit.write.ask_abort()
    assert notices.state.kind == "confirmation"
    notices.dismiss()
    writing.heard()
    assert writing.appliance.calls("abort") == []
    writing.kit.write.ask_abort()
    notices.confirm()
    writing.until(lambda: writing.appliance.calls("abort") == [("j1",)])


@pytest.mark.parametrize(
    ("outcome", "action"),
    [("verified", "home"), ("refused", "gates"), ("aborted_recoverable", "recover")],
)
def test_each_end_is_named_with_its_one_next_step(
    writing: Bench, outcome: str, action: str
) -> None:
    writing.appliance.tell("outcome", outcome=outcome, what="So it is.", next_step="Do this.")
    left = [run_info("aborted_recoverable")] if outcome == "aborted_recoverable" else []
    ended = job_view("j1", state=outcome, what="So it is.", next_step="Do this.")
    writing.appliance.set(runs=left, gate="CLOSED", jobs=[ended])
    writing.on("result")
    result = writing.kit.result
    writing.until(lambda: result.state.outcome)
    assert (result.state.outcome, result.state.action) == (outcome, action)
    assert (result.state.outcome_what, result.state.outcome_next_step) == ("So it is.", "Do this.")
    assert writing.kit.write.state.outcome == outcome


def test_a_question_about_a_write_that_has_ended_is_taken_away(writing: Bench) -> None:
    writing.until(lambda: writing.kit.write.state.can_abort)
    writing.kit.write.ask_abort()
    writing.appliance.tell("outcome", outcome="verified", what="", next_step="")
    writing.appliance.set(runs=[], jobs=[job_view("j1", state="verified")])
    writing.on("result")
    assert writing.kit.messages.state.kind == ""


def test_the_appliance_gone_during_a_write_says_that_the_write_goes_on(writing: Bench) -> None:
    progress(writing, 1)
    writing.until(lambda: writing.kit.write.state.block == 1)
    writing.appliance.set(gone=True)
    writing.on("gone")
    status, write = writing.kit.status.state, writing.kit.write.state
    assert status.write_goes_on
    assert (write.volts, write.rate, write.remaining_s, write.gate) == (None, None, None, "")
    assert not write.can_abort
    writing.appliance.set(gone=False)
    writing.on("write")
    progress(writing, 3)
    writing.until(lambda: writing.kit.write.state.block == 3)


def test_a_record_that_is_behind_is_looked_at_again(writing: Bench) -> None:
    writing.appliance.set(runs=[], jobs=[job_view("j1", state="writing", run="r1")])
    writing.on("result")
    writing.until(lambda: writing.kit.result.state.customer)
    assert (writing.kit.result.state.outcome, writing.kit.result.state.action) == ("", "")
    writing.appliance.set(jobs=[job_view("j1", state="verified")])
    writing.passes(1.2)
    writing.until(lambda: writing.kit.result.state.outcome == "verified")


def test_a_cut_that_was_resumed_is_no_cut_until_the_kit_says_so_again(writing: Bench) -> None:
    write = writing.kit.write
    writing.appliance.set(gate="CUT")
    writing.until(lambda: write.state.can_resume)
    write.resume()
    writing.on("acknowledge")
    writing.until(lambda: writing.kit.acknowledge.state.resumes)
    seen: list[tuple[str, str]] = []
    writing.kit.navigation.subscribe(
        lambda state: seen.append((state.screen, write.state.takeover))
    )
    writing.kit.acknowledge.enter(PASSPHRASE)
    writing.kit.acknowledge.press()
    writing.passes(3.1)
    writing.on("write")
    assert seen[-1] == ("write", "")
    writing.until(lambda: write.state.gate == "OPEN")
    # The next cut is a new one: it asks for nothing by itself.
    writing.appliance.set(gate="CUT")
    writing.until(lambda: write.state.can_resume)
    assert screen(writing) == "write"


def test_a_record_that_is_behind_is_told_beside_the_write_and_its_result(writing: Bench) -> None:
    full = m.Problem(
        code="store", what="The disk is full.", next_step="Make room on it.", exit_status=69
    )
    writing.appliance.set(record_problem=full)
    write, result = writing.kit.write, writing.kit.result
    writing.until(lambda: write.state.record_what == "The disk is full.")
    assert write.state.record_next_step == "Make room on it."
    # hw has ended, and the record knows nothing of it: the result waits and says why.
    writing.appliance.set(jobs=[job_view("j1", state="writing")], runs=[])
    writing.on("result")
    writing.until(lambda: result.state.outcome_word)
    assert (result.state.outcome, result.state.record_what) == ("", "The disk is full.")
    assert result.state.record_next_step == "Make room on it."
    writing.appliance.set(jobs=[job_view("j1", state="verified")], record_problem=None)
    writing.passes(1.5)
    writing.until(lambda: result.state.outcome == "verified")
    writing.until(lambda: not result.state.record_what)
