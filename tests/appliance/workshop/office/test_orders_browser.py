"""Mail-in and booking in a real browser, by keyboard as far as a keyboard goes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from appliance.workshop.office.mail_in import FORM
from tests.appliance.records.sample import VIN
from tests.appliance.workshop.office.conftest import Shop, looking, member
from tests.appliance.workshop.pictures import photo

pytestmark = pytest.mark.timeout(400)
SETTINGS = """
name = "Bench & Bus"
address = "1 Long Street\\n8001 Cape Town"
phone = "+27 21 555 0100"
whatsapp = "+27825550100"
"""
PHOTOS: list[FilePayload] = [
    {"name": f"{text}.jpg", "mimeType": "image/jpeg", "buffer": photo(text, (1600, 1200))}
    for text in ("0261S04567", "06A906032")
]
TYPED = (
    ("Name", "Zoë Müller"),
    ("Phone", "+49 30 1234567"),
    ("Where it is sent back to", "Straße 1, 10115 Berlin"),
    ("Make", "Volkswagen"),
    ("Model", "Golf IV"),
    ("Year", "2001"),
    ("VIN", VIN.lower()),
    ("What is wrong", "Stalls when hot, and starts again after ten minutes."),
    ("Fault codes", "P0606, U0100"),
)


def tab_to(page: Page, label: str) -> None:
    """Reach a field with the Tab key alone."""
    wanted = page.get_by_label(re.compile(f"^{re.escape(label)}( \\(optional\\))?$")).first
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"the Tab key never reaches {label}")


def send(page: Page) -> None:
    page.get_by_role("button", name="Send", exact=True).focus()
    page.keyboard.press("Enter")


def draw(page: Page) -> None:
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    mouse, y = page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + 40, y)
    mouse.down()
    for step in range(1, 30):
        mouse.move(box["x"] + 40 + 14 * step, y + (30 if step % 2 else -30))
    mouse.up()


def test_a_part_is_sent_in_with_photos_and_the_office_works_on_it(
    shop: Shop, chromium: Browser
) -> None:
    (shop.keys.folder.parent / "workshop.toml").write_text(SETTINGS)
    with looking(chromium, shop) as window:
        page = window.page
        window.open(FORM)
        for label, text in TYPED:
            tab_to(page, label)
            page.keyboard.type(text)
        tab_to(page, "Your name, as your signature")
        page.keyboard.type("Zoë Müller")
        page.get_by_label("Photos of the label").set_input_files(PHOTOS)
        send(page)
        assert page.url.endswith(FORM), "the browser itself asks for the terms"
        page.locator('input[name="agree_terms"]').focus()
        page.keyboard.press("Space")
        draw(page)
        window.picture("mail-in")
        send(page)
        expect(page.get_by_text("wait for your part")).to_be_visible()
        reference = page.locator(".reference").inner_text()
        window.picture("mail-in-sent")
        chat = page.get_by_role("link", name="WhatsApp").get_attribute("href")
        assert chat == f"https://wa.me/27825550100?text=My%20order%20is%20{reference}."
        slip = page.get_by_role("link", name="Packing slip").get_attribute("href")
        begins = page.evaluate(
            "async (slip) => (await (await fetch(slip)).text()).slice(0, 5)", slip
        )
        assert begins == "%PDF-"

    order = shop.hub.orders.by_reference(reference).order
    assert (len(order.photos), order.vin) == (2, VIN)
    assert [len(one.strokes) for one in order.agreed] == [1]
    office_works_on(shop, chromium, reference)
    with looking(chromium, shop) as window:
        window.open(f"{FORM}/{shop.hub.orders.by_reference(reference).token}")
        expect(window.page.get_by_text("being worked on")).to_be_visible()


def office_works_on(shop: Shop, chromium: Browser, reference: str) -> None:
    olga = member(shop.people, "Olga", "office").name
    with looking(chromium, shop, olga) as window:
        page = window.page
        window.open("/orders")
        window.picture("orders")
        page.get_by_role("link", name=reference).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Stalls when hot")).to_be_visible()
        photos = page.get_by_role("img", name=f"of {reference}")
        expect(photos).to_have_count(2)
        for one in photos.all():
            expect(one).to_have_js_property("complete", True)
            assert one.evaluate("one => one.naturalWidth") == 1200, "turned upright"
        expect(page.get_by_role("img", name="Signature of Zoë Müller")).to_be_visible()
        window.picture("order")
        page.get_by_role("button", name="At the bench").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=reference)).to_contain_text("at the bench")


def test_the_office_books_by_keyboard_and_is_told_what_is_wrong(
    shop: Shop, chromium: Browser
) -> None:
    otto = member(shop.people, "Otto", "office").name
    with looking(chromium, shop, otto, scheme="dark") as window:
        page = window.page
        window.open("/orders")
        page.get_by_role("link", name="Book an order").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Book an order")).to_be_visible()
        for label, text in (
            ("Name", "Thandi Nkosi"),
            ("Phone", "+27 83 555 0123"),
            ("VIN", "WVWZZZ1JZXWO00001"),
        ):
            tab_to(page, label)
            page.keyboard.type(text)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Nothing was sent yet")
        expect(page.get_by_text(f"Is it {VIN}?")).to_be_visible()
        # A browser says itself that the answer to this form was 'no'.
        assert all("400" in one for one in window.complaints)
        window.complaints.clear()
        window.picture("order-form")
        page.get_by_label("VIN", exact=False).first.fill(VIN)
        page.get_by_role("button", name="Book").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=re.compile("^Order W-"))).to_contain_text("booked")


def test_the_form_for_customers_works_without_script(shop: Shop, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(shop.address + FORM)
    expect(page.locator("#pad")).not_to_be_visible()
    for label, text in TYPED:
        page.get_by_label(re.compile(f"^{re.escape(label)}( \\(optional\\))?$")).first.fill(text)
    page.get_by_label("Your name, as your signature").fill("Zoë Müller")
    page.locator('input[name="agree_terms"]').check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("wait for your part")).to_be_visible()
    context.close()
