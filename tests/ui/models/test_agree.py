"""The customer's agreement: the way to a write that needs it leads over it."""

from __future__ import annotations

import msgspec
import pytest

from hw.messages import GateResult
from hw.statements import TextName
from tests.ui.models.bench import Bench
from tests.ui.models.fake import gate_results, plan_view, refusal
from ui.models.agree import AgreeModel

STROKES = [[(10, 10, 0), (500, 200, 400)], [(600, 100, 900)]]


def needing(*texts: TextName) -> object:
    return msgspec.structs.replace(plan_view(), agreements=[*texts])


@pytest.fixture
def at_plan(bench: Bench) -> Bench:
    bench.appliance.set(plan=needing("immobiliser"))
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.kit.desk.choose("doip://x", "sim-cluster", "cluster")
    bench.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    bench.until(lambda: bench.kit.plan.state.digest)
    return bench


@pytest.fixture
def at_text(at_plan: Bench) -> Bench:
    at_plan.kit.plan.go_on()
    at_plan.on("agree")
    at_plan.until(lambda: at_plan.kit.agree.state.title)
    return at_plan


def signs(bench: Bench, name: str = "Thandi Nkosi") -> AgreeModel:
    """Read it, enter the name and draw."""
    model = bench.kit.agree
    model.read_to_end()
    model.enter(name)
    model.begin_signing()
    model.sign(STROKES)
    return model


def test_the_way_to_the_gates_leads_over_what_must_be_signed(at_text: Bench) -> None:
    state = at_text.kit.agree.state
    assert (state.title, state.number, state.count) == ("immobiliser en", 1, 1)
    assert state.paragraphs == ("", "Words of version 1.", "")
    assert at_text.appliance.calls("agreements") == [("j1", "ab" * 32, "en")]
    signs(at_text)
    at_text.on("gates")
    ((job, request),) = at_text.appliance.signed
    assert job == "j1"
    assert (request.text, request.sha256) == ("immobiliser", "immobiliser en 1")
    assert (request.customer, request.strokes) == ("Thandi Nkosi", STROKES)


def test_a_plan_that_needs_none_goes_straight_to_the_gates(at_plan: Bench) -> None:
    at_plan.appliance.set(plan=plan_view())
    at_plan.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    at_plan.until(lambda: at_plan.kit.plan.state.digest)
    at_plan.kit.plan.go_on()
    at_plan.on("gates")
    assert at_plan.appliance.calls("agreements") == []


def test_nothing_is_signed_that_was_not_read_to_its_end_by_somebody_with_a_name(
    at_text: Bench,
) -> None:
    model = at_text.kit.agree
    model.begin_signing()
    model.enter("  Thandi   Nkosi ")
    assert model.state.customer == "Thandi Nkosi"
    model.begin_signing()
    assert not model.state.signing
    model.sign(STROKES)
    model.read_to_end()
    model.enter("   ")
    model.begin_signing()
    assert not model.state.signing
    model.enter("Thandi")
    assert model.state.can_sign
    assert at_text.appliance.calls("agree") == []


def test_an_empty_page_is_not_read_to_its_end(at_plan: Bench) -> None:
    model = at_plan.kit.agree
    model.read_to_end()
    assert not model.state.read


def test_each_text_is_read_and_signed_on_its_own(at_plan: Bench) -> None:
    at_plan.appliance.set(plan=needing("terms", "immobiliser"))
    at_plan.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    at_plan.until(lambda: at_plan.kit.plan.state.digest)
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: at_plan.kit.agree.state.title == "terms en")
    model = signs(at_plan)
    at_plan.until(lambda: model.state.title == "immobiliser en")
    state = model.state
    assert (state.number, state.count) == (2, 2)
    assert (state.read, state.signing, state.can_sign) == (False, False, False)
    assert state.customer == "Thandi Nkosi"
    signs(at_plan)
    at_plan.on("gates")
    assert [request.text for _job, request in at_plan.appliance.signed] == ["terms", "immobiliser"]


def test_what_is_signed_already_is_not_asked_for_again(at_text: Bench) -> None:
    signs(at_text)
    at_text.on("gates")
    at_text.kit.navigation.back()
    at_text.on("plan")
    at_text.kit.plan.go_on()
    at_text.on("agree")
    at_text.on("gates")
    assert len(at_text.appliance.signed) == 1


def test_a_signature_that_is_refused_says_why_and_can_be_made_again(at_text: Bench) -> None:
    at_text.appliance.refuses["agree"] = refusal("bad_input", "Too short.", "Clear the pad.")
    model = signs(at_text)
    at_text.until(lambda: model.state.what == "Too short.")
    assert model.state.signing
    assert at_text.kit.navigation.state.screen == "agree"
    del at_text.appliance.refuses["agree"]
    model.sign(STROKES)
    at_text.on("gates")


def test_a_text_that_was_replaced_meanwhile_must_be_read_again(at_text: Bench) -> None:
    model = at_text.kit.agree
    model.read_to_end()
    model.enter("Thandi")
    model.begin_signing()
    model.back_to_text()
    at_text.until(lambda: not model.state.busy)
    assert model.state.can_sign
    at_text.appliance.set(text_version=2)
    model.begin_signing()
    model.back_to_text()
    at_text.until(lambda: "version 2" in "".join(model.state.paragraphs))
    assert not model.state.read
    assert not model.state.can_sign


def test_it_can_be_read_in_another_language_from_its_beginning(at_text: Bench) -> None:
    model = at_text.kit.agree
    model.read_to_end()
    assert model.state.other_language == "af"
    for language, other in (("af", "de"), ("de", "en"), ("en", "af")):
        model.turn_language()
        at_text.until(lambda: not model.state.busy)
        assert model.state.language == language
        assert model.state.other_language == other
        assert not model.state.read


def not_signed() -> list[GateResult]:
    """All passed but for what the customer signed."""
    refused = GateResult(
        gate="CUSTOMER_AGREEMENT",
        passed=False,
        reason="It is for another car.",
        next_step="Have it signed.",
    )
    return [*gate_results(), refused]


def test_a_gate_that_takes_no_agreement_leads_back_to_it(at_text: Bench) -> None:
    at_text.appliance.set(gates=not_signed())
    signs(at_text)
    gates = at_text.kit.gates
    at_text.until(lambda: gates.state.can_agree)
    row = gates.state.rows[3]
    assert (row.title, row.state) == ("Agreement of the customer", "refused")
    assert row.reason == "It is for another car."
    assert not gates.state.can_go_on
    gates.go_on()
    assert at_text.kit.navigation.state.screen == "gates"
    gates.agree()
    at_text.on("agree")
    at_text.until(lambda: at_text.kit.agree.state.title == "immobiliser en")
    at_text.appliance.set(gates=gate_results())
    signs(at_text)
    at_text.on("gates")
    assert len(at_text.appliance.signed) == 2


def test_the_gates_wait_for_the_agreement_too(at_text: Bench) -> None:
    signs(at_text)
    at_text.on("gates")
    at_text.until(lambda: at_text.kit.gates.state.rows[0].state == "passed")
    # The four passed, and nothing was heard of the fifth.
    assert not at_text.kit.gates.state.can_go_on
    assert [row.state for row in at_text.kit.gates.state.rows] == [
        *("passed", "passed", "passed", "waiting", "waiting"),
    ]


def test_a_gate_that_a_plan_did_not_tell_of_is_shown_all_the_same(at_plan: Bench) -> None:
    at_plan.appliance.set(plan=plan_view(), gates=not_signed())
    at_plan.kit.plan.compile(lambda client: client.plan_kept("ab" * 32))
    at_plan.until(lambda: at_plan.kit.plan.state.digest)
    at_plan.kit.plan.go_on()
    at_plan.until(lambda: at_plan.kit.gates.state.can_agree)
    assert at_plan.kit.gates.state.rows[-1].state == "refused"


def test_an_error_of_the_gates_is_no_missing_agreement(at_text: Bench) -> None:
    at_text.appliance.refuses["check"] = refusal("unavailable", "hw is gone.")
    signs(at_text)
    at_text.until(lambda: at_text.kit.gates.state.what == "hw is gone.")
    assert not at_text.kit.gates.state.can_agree
    at_text.kit.gates.agree()
    assert at_text.kit.navigation.state.screen == "gates"
