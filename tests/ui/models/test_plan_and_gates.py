"""The plan in plain words, and the four gates."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import gate_results, problem, refusal


@pytest.fixture
def at_plan(bench: Bench) -> Bench:
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.kit.desk.choose("doip://x", "sim-engine", "engine")
    bench.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    bench.until(lambda: bench.kit.plan.state.digest)
    return bench


@pytest.fixture
def at_gates(at_plan: Bench) -> Bench:
    at_plan.kit.plan.go_on()
    at_plan.on("gates")
    return at_plan


def states(bench: Bench) -> list[str]:
    return [row.state for row in bench.kit.gates.state.rows]


def test_a_plan_is_told_step_by_step_each_with_its_kind(at_plan: Bench) -> None:
    state = at_plan.kit.plan.state
    assert [(step.number, step.kind) for step in state.steps] == [
        *((1, "prepare"), (2, "erase"), (3, "write"), (4, "read"), (5, "check"), (6, "other")),
    ]
    assert [step.kind_word for step in state.steps[:2]] == ["Prepare", "Erase"]
    assert state.steps[5].text == "Something that nobody has thought of yet."
    assert state.head[0].startswith("Flash of the engine")
    assert state.tail == ("Nothing has to be restored.",)
    assert state.duration == "2048 bytes cross the link in about 1 s."
    assert "12 V" in state.what_if[0].what


def test_a_plan_that_cannot_be_made_says_why_and_leads_no_further(bench: Bench) -> None:
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.appliance.refuses["plan_kept"] = refusal("bad_input", "It does not fit.", "Take another.")
    bench.kit.plan.compile(lambda client: client.plan_kept(""))
    bench.until(lambda: bench.kit.plan.state.what == "It does not fit.")
    bench.kit.plan.go_on()
    assert bench.kit.navigation.state.screen == "plan"
    bench.kit.navigation.back()
    bench.on("work")


def test_the_gates_work_and_then_pass_while_the_acknowledgment_waits(at_gates: Bench) -> None:
    assert states(at_gates) == ["working", "working", "working", "waiting"]
    at_gates.until(lambda: at_gates.kit.gates.state.can_go_on)
    assert states(at_gates) == ["passed", "passed", "passed", "waiting"]
    at_gates.kit.gates.go_on()
    at_gates.on("acknowledge")


def test_a_gate_that_refuses_says_why_and_what_to_do(at_plan: Bench) -> None:
    at_plan.appliance.set(gates=gate_results("VOLTAGE_CHECK", "11.9 V is too low."))
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: "refused" in states(at_plan))
    row = at_plan.kit.gates.state.rows[0]
    assert (row.title, row.reason, row.next_step) == (
        *("Battery voltage", "11.9 V is too low.", "Put it right."),
    )
    at_plan.kit.gates.go_on()
    assert at_plan.kit.navigation.state.screen == "gates"


def test_a_missing_backup_is_made_from_here_and_the_gates_are_asked_again(at_plan: Bench) -> None:
    at_plan.appliance.set(gates=gate_results("DUAL_BACKUP", "There is none."))
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: at_plan.kit.gates.state.can_back_up)
    at_plan.appliance.set(gates=gate_results())
    at_plan.kit.gates.back_up()
    at_plan.until(lambda: at_plan.kit.gates.state.can_go_on)
    assert at_plan.kit.desk.state.backups == ("b9",)


def test_where_the_ecu_gives_no_memory_a_known_good_file_stands_in(at_plan: Bench) -> None:
    gates = at_plan.kit.gates
    at_plan.appliance.set(gates=gate_results("DUAL_BACKUP", "There is none."))
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: gates.state.can_back_up)
    assert not gates.state.wants_file
    at_plan.appliance.refuses["backup_make"] = problem(
        m.Problem(
            code="refused",
            what="The ECU refuses memory readout.",
            next_step="Give a known-good file.",
            exit_status=77,
            gate="DUAL_BACKUP",
        )
    )
    gates.back_up()
    at_plan.until(lambda: gates.state.wants_file)
    assert states(at_plan)[1] == "refused"
    gates.sticks()
    at_plan.until(lambda: gates.state.files)
    del at_plan.appliance.refuses["backup_make"]
    at_plan.appliance.set(gates=gate_results())
    gates.back_up(gates.state.files[0].path)
    at_plan.until(lambda: gates.state.can_go_on)
    assert not gates.state.wants_file
    asked = [request.known_good_path for (request,) in at_plan.appliance.calls("backup_make")]
    assert asked == ["", "/media/usb/new.s37"]


def test_a_backup_that_fails_for_another_reason_wants_no_file(at_plan: Bench) -> None:
    gates = at_plan.kit.gates
    at_plan.appliance.set(gates=gate_results("DUAL_BACKUP", "There is none."))
    at_plan.appliance.refuses["backup_make"] = refusal("unavailable", "Medium B is missing.")
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: gates.state.can_back_up)
    gates.back_up()
    at_plan.until(lambda: gates.state.what == "Medium B is missing.")
    assert not gates.state.wants_file


def test_an_error_instead_of_an_answer_passes_no_gate(at_plan: Bench) -> None:
    at_plan.appliance.refuses["check"] = problem(
        m.Problem(
            code="refused",
            what="The ECU is another one.",
            next_step="Plan again.",
            exit_status=77,
            gate="CHECKSUM_MATCH",
        )
    )
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: at_plan.kit.gates.state.what)
    assert states(at_plan) == ["waiting", "waiting", "refused", "waiting"]
    assert not at_plan.kit.gates.state.can_go_on


def in_window(bench: Bench) -> bool | None:
    return bench.kit.gates.state.in_window


def test_the_voltage_stands_beside_its_window_and_a_missing_one_is_in_none(at_gates: Bench) -> None:
    at_gates.until(lambda: in_window(at_gates) is True)
    at_gates.appliance.set(volts=12.1)
    at_gates.until(lambda: in_window(at_gates) is False)
    at_gates.appliance.set(volts=None, voltage_reason="frozen")
    at_gates.until(lambda: in_window(at_gates) is None)
    assert at_gates.kit.gates.state.volts_reason == "frozen"
