"""The codes that the office's pages show are read off the screen and do what they are for."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, expect

from appliance.sync.pairing import enrol, load_pairing
from appliance.workshop import proofs
from tests.appliance.workshop.office.conftest import PASSWORD, Looking, Shop, looking, member
from tests.appliance.workshop.scanner import scanned

pytestmark = pytest.mark.timeout(400)


def scanned_from(window: Looking) -> str:
    """What a scanner reads from the whole window."""
    window.page.locator(".qr").scroll_into_view_if_needed()
    return scanned(window.page.screenshot())


def test_a_kit_that_scans_the_code_for_enrolment_is_let_in(
    shop: Shop, chromium: Browser, tmp_path: Path
) -> None:
    owner = member(shop.people, "Oskar", "owner").name
    (tmp_path / "trust").mkdir()
    with looking(chromium, shop, owner, scheme="dark") as window:
        page = window.page
        window.open("/kits/enrol")
        page.get_by_label("Name of the kit").fill("Van 9")
        page.get_by_label("Where it reaches this hub").select_option("127.0.0.1")
        page.get_by_role("button", name="Show the code").click()
        pairing = enrol(tmp_path, Ed25519PrivateKey.generate(), scanned_from(window))
        assert pairing.name == "Van 9"
        assert load_pairing(tmp_path) == pairing
        window.open("/kits")
        expect(page.get_by_role("row", name="Van 9")).to_be_visible()


def test_a_phone_that_scans_the_code_of_a_first_login_makes_codes_that_fit(
    shop: Shop, chromium: Browser
) -> None:
    word = shop.people.add("Piet", "technician", "the test")
    with looking(chromium, shop) as window:
        page = window.page
        window.open("/first")
        page.get_by_label("Name").fill("Piet")
        page.get_by_label("One-time word").fill(word)
        page.get_by_role("button", name="Go on").click()
        told = urlsplit(scanned_from(window))
        assert told.scheme == "otpauth"
        secret = parse_qs(told.query)["secret"][0]
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_label("The same password again").fill(PASSWORD)
        page.get_by_label("Code that your phone").fill(proofs.totp_code(secret, time.time()))
        page.get_by_role("button", name="Set both").click()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
