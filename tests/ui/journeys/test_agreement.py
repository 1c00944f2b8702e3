"""Keys are learned at the screen: the way to the write leads over the customer's signature."""

from __future__ import annotations

import json

import pytest

from tests.ui.journeys.kit import CLUSTER, Kit
from tests.ui.journeys.screen import Screen

pytestmark = pytest.mark.timeout(300)

LEARN = "2e0601"
CUSTOMER_NAME = "Thandi"
KEYS = 4


def test_the_way_to_the_write_leads_over_the_customers_signature(kit: Kit, screen: Screen) -> None:
    job = kit.planned_keys("Keys", KEYS)
    mark = kit.mark()
    screen.opens("Keys")
    screen.press("Check the gates")
    asked = screen.on("AgreePage")
    assert not asked.offers("Sign")
    assert not asked.offers("Go on")
    screen.sees("Work on keys and the immobiliser")

    # Neither the gates nor a write let it pass before.
    with kit.client() as client:
        gates = client.check(job, client.plan_kept(client.job_show(job).plans[-1]).file)
    refused = [result.gate for result in gates.results if not result.passed]
    assert "CUSTOMER_AGREEMENT" in refused
    assert kit.writes(mark) == []

    screen.has_it_signed(CUSTOMER_NAME)
    screen.on("GatesPage")
    screen.passes_the_gates()
    while screen.acknowledges() == "GatesPage":  # A busy computer's samples may be late.
        screen.passes_the_gates()
    screen.watches_for("Verified")
    assert [one for one in kit.writes(mark) if one.startswith("2e")] == [f"{LEARN}{KEYS:02x}01"]
    assert kit.control(do="state", ecu=CLUSTER)["dids"]["0x0601"] == f"{KEYS:02x}01"
    with kit.client() as client:
        (signed,) = [one for one in client.events(job) if one.kind == "agreement_signed"]
    statement = json.loads(signed.body["statement"])
    assert statement["customer"] == CUSTOMER_NAME
    assert len(statement["strokes"]) == 1
    assert len(statement["strokes"][0]) >= 8
