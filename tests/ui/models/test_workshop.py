"""The workshop on the screen: how handing over stands, and the code that lets this kit in."""

from __future__ import annotations

import pytest
from msgspec import structs

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import refusal
from ui.models.workshop import WorkshopModel

IDLE = m.Sync(
    state="idle",
    workshop="https://workshop:8443",
    kit="Van 1",
    silence=m.Silence(state="fine", days=0, heard="2026-03-01T09:00:00Z"),
)
SILENT = m.Silence(
    state="soon", days=27, heard="2026-02-02T09:00:00Z", what="27 days.", next_step="Hand over."
)


@pytest.fixture
def workshop(bench: Bench) -> WorkshopModel:
    bench.appliance.set(sync=IDLE, role="owner")
    model = bench.kit.workshop
    bench.until(lambda: model.state.state == "idle" and model.state.owner)
    model.open()
    return model


def test_what_is_under_way_is_followed(bench: Bench, workshop: WorkshopModel) -> None:
    assert workshop.state.heard == "2026-03-01T09:00:00Z"
    sending = structs.replace(
        IDLE, state="sending", waiting=2, job="j1", sent_bytes=10, total_bytes=40
    )
    bench.appliance.set(sync=sending)
    bench.until(lambda: workshop.state.sent_bytes == 10)
    assert (workshop.state.state, workshop.state.waiting) == ("sending", 2)
    aside = [m.SyncAside(job="j2", why="It contradicts another.")]
    bench.appliance.set(sync=structs.replace(IDLE, put_aside=1, aside=aside))
    bench.until(lambda: workshop.state.aside == (("j2", "It contradicts another."),))


def test_handing_over_now_does_not_wait_for_its_end(bench: Bench, workshop: WorkshopModel) -> None:
    workshop.hand_over()
    bench.until(lambda: bench.appliance.calls("sync_now") == [(False,)])
    bench.until(lambda: not workshop.state.busy)


def test_a_kit_without_a_workshop_is_let_in_with_the_scanned_code(bench: Bench) -> None:
    workshop = bench.kit.workshop
    bench.until(lambda: workshop.state.state == "not_set_up")
    workshop.typing("FKENROLAB")
    assert workshop.state.typed == 9
    workshop.take("FKENROLABC")
    bench.until(lambda: workshop.state.kit == "Van 1")
    assert workshop.state.done
    assert workshop.state.typed == 0
    assert bench.appliance.calls("sync_enrol") == [("FKENROLABC",)]


def test_a_code_that_is_none_is_told_and_an_empty_one_is_not_sent(bench: Bench) -> None:
    workshop = bench.kit.workshop
    bench.until(lambda: workshop.state.state == "not_set_up")
    bench.appliance.refuses["sync_enrol"] = refusal("usage", "This is no code.", "Scan it.")
    workshop.take("W-7K3F2")
    bench.until(lambda: workshop.state.what == "This is no code.")
    assert workshop.state.next_step == "Scan it."
    assert not workshop.state.done
    workshop.take("  ")
    assert len(bench.appliance.calls("sync_enrol")) == 1


def test_a_kit_that_has_a_workshop_changes_it_only_after_a_question(
    bench: Bench, workshop: WorkshopModel
) -> None:
    workshop.take("FKENROLABC")
    assert bench.kit.messages.state.kind == "confirmation"
    assert "https://workshop:8443" in bench.kit.messages.state.next_step
    assert bench.appliance.calls("sync_enrol") == []
    bench.kit.messages.confirm()
    bench.until(lambda: bench.appliance.calls("sync_enrol"))


def test_a_workshop_that_was_not_heard_for_long_is_told_at_home_too(bench: Bench) -> None:
    bench.appliance.set(sync=structs.replace(IDLE, silence=SILENT))
    bench.until(lambda: bench.kit.home.state.warning == "27 days. Hand over.")
    assert bench.kit.workshop.state.silence == "27 days."
    bench.appliance.set(sync=IDLE)
    bench.until(lambda: not bench.kit.home.state.warning)
