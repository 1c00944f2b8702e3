"""The acknowledgment: only a button held to the end, with the passphrase, starts a write."""

from __future__ import annotations

import pytest

from tests.ui.models.bench import Bench
from tests.ui.models.fake import PASSPHRASE, gate_results
from ui.models.acknowledge import AcknowledgeModel


@pytest.fixture
def button(bench: Bench) -> AcknowledgeModel:
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    bench.until(lambda: bench.kit.plan.state.digest)
    bench.kit.plan.go_on()
    bench.until(lambda: bench.kit.gates.state.can_go_on)
    bench.kit.gates.go_on()
    bench.on("acknowledge")
    return bench.kit.acknowledge


def holding(button: AcknowledgeModel) -> bool:
    return button.state.holding


def can_hold(button: AcknowledgeModel) -> bool:
    return button.state.can_hold


def runs(bench: Bench) -> int:
    return len(bench.appliance.calls("run"))


def test_the_exact_risk_text_is_shown(button: AcknowledgeModel) -> None:
    assert button.state.risk_text == "Software is erased and written."


def test_without_a_passphrase_the_button_does_nothing(
    bench: Bench, button: AcknowledgeModel
) -> None:
    button.press()
    bench.passes(5)
    assert (holding(button), runs(bench)) == (False, 0)


def test_held_to_the_end_it_starts_the_write_with_the_digest_of_this_risk(
    bench: Bench, button: AcknowledgeModel
) -> None:
    button.enter(PASSPHRASE)
    button.press()
    bench.passes(1.5)
    assert button.state.part == pytest.approx(0.5, abs=0.1)
    bench.passes(1.6)
    bench.on("write")
    assert bench.appliance.calls("run") == [("j1", b"{}", "cd" * 32)]


def test_letting_go_cancels_and_the_next_hold_begins_anew(
    bench: Bench, button: AcknowledgeModel
) -> None:
    button.enter(PASSPHRASE)
    button.press()
    bench.passes(2.9)
    button.release()
    assert (holding(button), button.state.part) == (False, 0.0)
    bench.passes(5)
    assert runs(bench) == 0
    button.press()
    bench.passes(2.9)
    assert runs(bench) == 0
    assert holding(button)


def test_a_screen_that_stood_still_does_not_count_as_holding(
    bench: Bench, button: AcknowledgeModel
) -> None:
    button.enter(PASSPHRASE)
    button.press()
    bench.clock.at += 10
    button.tick()
    assert button.state.held_s < 1
    button.release()
    bench.heard()
    assert runs(bench) == 0


def test_leaving_the_screen_lets_go_and_forgets_the_passphrase(
    bench: Bench, button: AcknowledgeModel
) -> None:
    button.enter(PASSPHRASE)
    button.press()
    bench.kit.navigation.back()
    bench.on("gates")
    bench.passes(5)
    assert (holding(button), runs(bench), button.state.has_passphrase) == (False, 0, False)


def test_the_appliance_gone_lets_go(bench: Bench, button: AcknowledgeModel) -> None:
    button.enter(PASSPHRASE)
    button.press()
    bench.appliance.set(gone=True)
    bench.on("gone")
    assert not holding(button)
    bench.appliance.set(gone=False)
    bench.on("acknowledge")
    bench.passes(5)
    assert runs(bench) == 0


def try_wrong(bench: Bench, button: AcknowledgeModel) -> None:
    before = runs(bench)
    button.enter("wrong")
    button.press()
    bench.passes(3.1)
    bench.until(lambda: runs(bench) > before and not button.state.busy)


def test_a_wrong_passphrase_writes_nothing_and_slows_down(
    bench: Bench, button: AcknowledgeModel
) -> None:
    try_wrong(bench, button)
    assert button.state.what == "Name and passphrase do not fit together."
    assert not button.state.has_passphrase
    try_wrong(bench, button)
    try_wrong(bench, button)
    assert button.state.wait_s == 2
    button.enter(PASSPHRASE)
    assert not can_hold(button)
    button.press()
    assert not holding(button)
    bench.passes(2.1)
    assert can_hold(button)
    assert bench.appliance.runs == []


def test_a_gate_that_refuses_the_write_itself_leads_back_to_the_gates(
    bench: Bench, button: AcknowledgeModel
) -> None:
    bench.appliance.set(gates=gate_results("VOLTAGE_CHECK", "11.9 V is too low."))
    button.enter(PASSPHRASE)
    button.press()
    bench.passes(3.1)
    bench.on("gates")
    assert [row.state for row in bench.kit.gates.state.rows] == [
        *("refused", "passed", "passed", "passed"),
    ]
    assert bench.kit.gates.state.rows[0].reason == "11.9 V is too low."
    assert not bench.kit.gates.state.can_go_on


def test_the_passphrase_is_in_no_state(bench: Bench, button: AcknowledgeModel) -> None:
    button.enter(PASSPHRASE)
    assert PASSPHRASE not in repr(button.state)
    assert PASSPHRASE not in repr(bench.kit.unlock.state)
