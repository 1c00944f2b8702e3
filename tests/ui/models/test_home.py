"""Home: what comes first, and a search of ten thousand jobs."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import FakeAppliance, job_view, order_view, refusal, run_info
from ui.models.home import ORDERS


@pytest.fixture
def appliance(appliance: FakeAppliance) -> FakeAppliance:
    appliance.jobs = [
        job_view("j9", customer="Today", made="2026-03-01T12:00:00Z"),
        job_view("j8", customer="Draft", made="2026-02-20T12:00:00Z"),
        job_view("j7", customer="Done", made="2026-02-20T12:00:00Z", state="verified"),
        job_view("j6", customer="Stopped", made="2026-01-02T12:00:00Z", run="r1"),
        *(job_view(f"old{n}", customer=f"Customer {n}") for n in range(10_000)),
    ]
    return appliance


def test_unfinished_writes_come_first_then_today_then_drafts(bench: Bench) -> None:
    bench.appliance.set(runs=[run_info("aborted_recoverable", job="j6")])
    bench.on("recovery")
    bench.kit.navigation.back()
    bench.on("home")
    bench.until(lambda: bench.kit.home.state.unfinished)
    state = bench.kit.home.state
    assert [row.customer for row in state.unfinished] == ["Stopped"]
    assert state.unfinished[0].unfinished
    assert "Today" in [row.customer for row in state.today]
    assert [row.customer for row in state.drafts] == ["Draft"]


def test_work_orders_without_a_job_are_told_and_opened(bench: Bench) -> None:
    bench.until(lambda: bench.kit.home.state.orders == 2)
    begun = m.Orders(orders=[order_view("W-7K3F2", job="j9"), order_view("W-0B9MX")])
    bench.appliance.replies["orders"] = begun
    bench.kit.home.open()
    bench.until(lambda: bench.kit.home.state.orders == 1)
    bench.kit.home.take(ORDERS)
    bench.on("orders")


def searches(bench: Bench) -> list[tuple[object, ...]]:
    return [words for words in bench.appliance.calls("job_list") if words[0]]


def test_a_search_waits_for_the_last_letter_and_comes_page_by_page(bench: Bench) -> None:
    for query in ("C", "Cu", "Customer"):
        bench.kit.home.search(query)
        bench.kit.backend.tick()
    assert searches(bench) == []
    assert bench.kit.home.state.searching
    bench.passes(0.4)
    bench.until(lambda: bench.kit.home.state.found)
    assert searches(bench) == [("Customer", "", 20)]
    assert (len(bench.kit.home.state.found), bench.kit.home.state.more) == (20, True)
    bench.kit.home.more()
    bench.kit.home.more()
    bench.until(lambda: len(bench.kit.home.state.found) == 40)
    assert searches(bench)[1:] == [("Customer", "old19", 20)]
    assert [row.job for row in bench.kit.home.state.found] == [f"old{n}" for n in range(40)]


def test_the_last_page_ends_the_search(bench: Bench) -> None:
    bench.kit.home.search("Customer 9999")
    bench.passes(0.4)
    bench.until(lambda: bench.kit.home.state.found)
    assert not bench.kit.home.state.more


def test_a_search_that_finds_nothing_says_so_and_an_empty_one_shows_the_lists(bench: Bench) -> None:
    bench.kit.home.search("nobody")
    bench.passes(0.4)
    bench.until(lambda: bench.kit.home.state.nothing_found)
    bench.kit.home.search("")
    assert not bench.kit.home.state.nothing_found
    assert not bench.kit.home.state.searching


def test_an_error_of_the_appliance_is_shown_unchanged(bench: Bench) -> None:
    bench.appliance.refuses["job_list"] = refusal("unavailable", "The disk fails.", "Call someone.")
    bench.kit.home.open()
    bench.until(lambda: bench.kit.home.state.what == "The disk fails.")
    assert bench.kit.home.state.next_step == "Call someone."
    assert not bench.kit.home.state.busy


@pytest.mark.parametrize(
    ("state", "screen"), [("draft", "vehicle"), ("verified", "result"), ("refused", "result")]
)
def test_a_job_is_taken_up_where_it_is(bench: Bench, state: str, screen: str) -> None:
    bench.appliance.set(jobs=[job_view("j1", state=state)])
    bench.kit.home.take("j1")
    bench.on(screen)
    assert bench.kit.desk.state.job == "j1"


def test_a_planned_job_is_taken_up_at_its_plan(bench: Bench) -> None:
    bench.appliance.set(jobs=[job_view("j1", state="ready")])
    bench.appliance.tell("identified", ecu="engine", profile="sim-engine", link="doip://x")
    bench.appliance.tell("plan_compiled", plan_digest="ab" * 32, recovers="")
    bench.kit.home.take("j1")
    bench.on("plan")
    assert bench.appliance.calls("plan_kept") == [("ab" * 32,)]
    assert bench.kit.plan.state.title == "Flash of the engine"
    assert bench.kit.desk.state.profile == "sim-engine"
