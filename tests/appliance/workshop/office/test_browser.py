"""The pages in a real browser, as a person uses them."""

from __future__ import annotations

import re
import subprocess
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.sync.enrolcode import read_code
from appliance.sync.hubclient import Paused
from appliance.workshop import proofs
from tests.appliance.records.sample import VIN, new_job
from tests.appliance.workshop.office.conftest import (
    PASSWORD,
    Looking,
    Shop,
    arrived,
    looking,
    member,
    written_job,
)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def olga(shop: Shop) -> str:
    return member(shop.people, "Olga", "office").name


@pytest.fixture(scope="module")
def oskar(shop: Shop) -> str:
    return member(shop.people, "Oskar", "owner").name


@pytest.fixture(scope="module")
def job(shop: Shop) -> str:
    """A job that lies at the hub."""
    return arrived(shop.kit, written_job(shop.kit.records))


def test_a_person_logs_in_by_keyboard_alone_and_sees_a_kits_job_arrive(
    shop: Shop, chromium: Browser
) -> None:
    ute = member(shop.people, "Ute", "office")
    with looking(chromium, shop) as window:
        window.open("/")
        window.picture("login")
        keys = window.page.keyboard
        keys.type(ute.name)
        keys.press("Tab")
        keys.type(PASSWORD)
        keys.press("Tab")
        # The code of now was used to set the phone up.
        keys.type(ute.code(time.time() + proofs.STEP_S))
        keys.press("Enter")
        expect(window.page.get_by_role("heading", name="Jobs")).to_be_visible()
        window.page.get_by_label("Search").press_sequentially("nieuw")
        expect(window.page.get_by_text("No job fits")).to_be_visible()
        arrived(shop.kit, new_job(shop.kit.records, "Nieuwoudt"))
        expect(window.page.get_by_role("row", name="Nieuwoudt")).to_contain_text("draft")
        assert window.page.evaluate("document.activeElement.id") == "words", "focus stays"
        expect(window.page).to_have_url(re.compile(r"words=nieuw"))


def focused_link(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))


def test_a_list_that_changes_keeps_the_focus_of_who_goes_through_it(
    shop: Shop, chromium: Browser, olga: str, job: str
) -> None:
    with looking(chromium, shop, olga) as window:
        window.open("/jobs")
        window.picture("jobs")
        window.page.keyboard.press("Tab")
        assert focused_link(window.page) == "Skip to the content"
        link = window.page.locator(f"#job-{job}")
        link.focus()
        arrived(shop.kit, new_job(shop.kit.records, "Another"))
        expect(window.page.get_by_role("row", name="Another")).to_be_visible()
        assert focused_link(window.page) == f"job-{job}"
        window.page.keyboard.press("Enter")
        expect(window.page.get_by_role("heading", level=1)).to_contain_text("Volkswagen Golf")


def test_a_jobs_page_shows_its_chart_and_gives_its_report(
    shop: Shop, chromium: Browser, olga: str, job: str
) -> None:
    with looking(chromium, shop, olga) as window:
        window.open(f"/jobs/{job}")
        chart = window.page.locator("img.chart")
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_js_property("complete", True)
        assert chart.evaluate("image => image.naturalWidth") > 400
        with window.page.expect_download() as saved:
            window.page.get_by_role("link", name="Report (PDF)").click()
        text = subprocess.run(
            ["pdftotext", "-layout", saved.value.path(), "-"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert VIN in text
        window.page.get_by_text("Files and how to open them").click()
        window.page.get_by_role("button", name=re.compile("Read the files")).click()
        expect(window.page.get_by_text("every file read again on")).to_be_visible()
        window.picture("job")
    with looking(chromium, shop, olga, scheme="dark") as window:
        window.open(f"/jobs/{job}")
        window.picture("job-dark")
        window.open("/backups")
        window.picture("backups")


def test_a_passkey_logs_in_without_password_or_code(
    shop: Shop, chromium: Browser, olga: str
) -> None:
    with looking(chromium, shop, olga) as window:
        authenticator(window)
        window.open("/account")
        window.page.get_by_label("Name of a new passkey").fill("my phone")
        window.page.get_by_role("button", name="Add a passkey").click()
        expect(window.page.get_by_role("row", name="my phone")).to_be_visible()
        window.picture("account")
        window.page.get_by_role("button", name="Log out").click()
        window.page.get_by_role("button", name="Log in with a passkey").click()
        expect(window.page.get_by_role("heading", name="Jobs")).to_be_visible()
        expect(window.page.get_by_role("link", name="Olga")).to_be_visible()
        window.open("/account")
        window.page.get_by_role("button", name="Remove my phone").click()
        window.page.get_by_role("button", name="Log out").click()
        window.page.get_by_role("button", name="Log in with a passkey").click()
        expect(window.page.get_by_role("heading", name="Not done")).to_be_visible()
        assert window.complaints.pop().count("401") == 1


def authenticator(window: Looking) -> None:
    """A security key in the browser's own machine, whose owner always agrees."""
    devtools = window.context.new_cdp_session(window.page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def test_an_owner_lets_people_and_kits_in_and_shuts_a_kit_out(
    shop: Shop, chromium: Browser, oskar: str
) -> None:
    with looking(chromium, shop, oskar) as window:
        page = window.page
        window.open("/people")
        page.get_by_label("Name", exact=True).fill("Piet")
        page.get_by_role("button", name="Add").click()
        word = page.locator("#word").inner_text()
        window.picture("people")
        window.open("/kits")
        page.get_by_role("link", name="Enrol a kit").click()
        page.get_by_label("Name of the kit").fill("Van 9")
        page.get_by_role("button", name="Show the code").click()
        code = page.locator("#code").inner_text()
        assert read_code(code).host == "workshop.test"
        window.picture("enrol")
        window.open("/kits")
        window.picture("kits")
        page.get_by_role("link", name="Shut out Van 1").click()
        page.get_by_label("Type the kit's name").fill("Van 2")
        page.get_by_role("button", name="Shut out").click()
        expect(page.get_by_role("alert")).to_contain_text("not this kit's")
        assert "400" in window.complaints.pop()
        window.picture("revoke")
        page.get_by_label("Type the kit's name").fill("Van 1")
        page.get_by_role("button", name="Shut out").click()
        expect(page.get_by_role("row", name="Van 1")).to_contain_text("shut out")
        window.open("/conflicts")
        window.picture("conflicts")
        window.open("/audit")
        expect(page.get_by_role("row", name="shut out the kit")).to_contain_text("Oskar")
        window.picture("audit")
    with looking(chromium, shop) as window:
        window.open("/first")
        window.page.get_by_label("Name").fill("Piet")
        window.page.get_by_label("One-time word").fill(word)
        window.page.get_by_role("button", name="Go on").click()
        expect(window.page.get_by_role("heading", name="Welcome, Piet")).to_be_visible()
        window.picture("first")
    with pytest.raises(Paused, match="shut out"):
        shop.kit.hub.hello("1", -1, 0)
