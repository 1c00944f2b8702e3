"""Work orders on the screen: what is shown, and the job that is opened for one."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import refusal


@pytest.fixture
def orders(bench: Bench) -> Bench:
    bench.kit.navigation.go("orders")
    bench.on("orders")
    bench.until(lambda: bench.kit.orders.state.fetched)
    return bench


def test_orders_are_shown_with_when_and_how_far_they_are(orders: Bench) -> None:
    first, second = orders.kit.orders.state.orders
    assert (first.reference, first.appointment) == ("W-7K3F2", "2026-03-02 09:30")
    assert (first.state_word, second.state_word) == ("Booked", "In the mail")


def test_an_order_that_is_touched_or_scanned_opens_its_job(orders: Bench) -> None:
    orders.kit.orders.scanning("W7K3")
    assert orders.kit.orders.state.scanned == "W7K3"
    orders.kit.orders.take("w7k3f2")
    orders.on("vehicle")
    assert orders.appliance.calls("order_open") == [("w7k3f2",)]
    assert orders.kit.desk.state.job == "j1"
    assert not orders.kit.orders.state.scanned


def test_a_reference_that_the_kit_does_not_have_is_told_and_nothing_is_opened(
    orders: Bench,
) -> None:
    what = "This kit has no work order W-00000."
    orders.appliance.refuses["order_open"] = refusal("usage", what, "Compare it.")
    orders.kit.orders.take("00000")
    orders.until(lambda: orders.kit.orders.state.what == what)
    orders.on("orders")
    orders.kit.orders.take("  ")
    assert orders.appliance.calls("order_open") == [("00000",)]


def test_the_list_is_fetched_anew_each_time(orders: Bench) -> None:
    orders.kit.navigation.back()
    orders.on("home")
    orders.appliance.replies["orders"] = m.Orders(orders=[])
    orders.kit.navigation.go("orders")
    orders.until(lambda: orders.kit.orders.state.fetched)
    assert orders.kit.orders.state.orders == ()
