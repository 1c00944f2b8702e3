"""The pages in a real browser, as a person uses them."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, expect

from appliance.workshop import proofs
from tests.appliance.records.sample import VIN
from tests.appliance.workshop.office.conftest import (
    PASSWORD,
    Shop,
    looking,
    member,
    written_job,
)

pytestmark = pytest.mark.timeout(400)


def test_a_person_logs_in_by_keyboard_alone_and_sees_a_kits_job_arrive(
    shop: Shop, chromium: Browser
) -> None:
    olga = member(shop.people, "Olga", "office")
    with looking(chromium, shop) as window:
        window.open("/")
        window.picture("login")
        keys = window.page.keyboard
        keys.type(olga.name)
        keys.press("Tab")
        keys.type(PASSWORD)
        keys.press("Tab")
        # The code of now was used to set the phone up.
        keys.type(olga.code(time.time() + proofs.STEP_S))
        keys.press("Enter")
        expect(window.page.get_by_role("heading", name="Jobs")).to_be_visible()
        expect(window.page.get_by_text("No job fits")).to_be_visible()
        window.page.get_by_label("Search").press_sequentially("wvwzzz")
        shop.arrive(written_job(shop.kit.records))
        row = window.page.get_by_role("row", name=VIN)
        expect(row).to_contain_text("verified")
        assert window.page.evaluate("document.activeElement.id") == "words", "focus stays"
        window.picture("jobs")
