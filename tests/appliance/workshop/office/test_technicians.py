"""The technicians of the kits, as an owner of the workshop adds and removes them."""

from __future__ import annotations

import html

import pytest
from playwright.sync_api import Browser, expect

from appliance.workshop.audit import entries
from appliance.workshop.technicians import kit_technicians
from tests.appliance.workshop.office.conftest import Desk, Shop, csrf_of, looking, member

PASSPHRASE = "five words for every van"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"again": "five words for every car"}, "The two passphrases differ."),
        ({"passphrase": "short", "again": "short"}, "shorter than 10 characters"),
        ({"name": "two words"}, "must be 1 to 32 letters"),
        ({"name": "../kit"}, "must be 1 to 32 letters"),
        ({"role": "office"}, "There is no role 'office'."),
        ({"name": "thandi"}, "The kits have a technician 'thandi' already."),
    ],
)
def test_a_technician_who_cannot_be_is_not_added_and_the_page_says_why(
    desk: Desk, wrong: dict[str, str], why: str
) -> None:
    right = {
        "name": "sipho", "role": "technician", "passphrase": PASSPHRASE, "again": PASSPHRASE,
    }  # fmt: skip
    with desk.somebody("owner") as client:
        csrf = {"csrf": csrf_of(client.get("/technicians").text)}
        client.post("/technicians", data={**csrf, **right, "name": "thandi"})
        before = kit_technicians(desk.workshop.hub)
        answer = client.post("/technicians", data={**csrf, **right, **wrong})
    assert answer.status_code == 400
    assert why in html.unescape(answer.text)
    assert PASSPHRASE not in answer.text
    assert kit_technicians(desk.workshop.hub) == before
    assert [one.name for one in before] == ["thandi"]


def test_a_technician_is_removed_only_by_their_name_and_who_did_it_is_written_down(
    desk: Desk,
) -> None:
    with desk.somebody("owner") as client:
        csrf = {"csrf": csrf_of(client.get("/technicians").text)}
        new = {"role": "owner", "passphrase": PASSPHRASE, "again": PASSPHRASE}
        client.post("/technicians", data={**csrf, **new, "name": "lerato"})
        removal = {**csrf, "technician": "lerato"}
        wrong = client.post("/technicians/remove", data={**removal, "name": "lerata"})
        assert (wrong.status_code, "nobody was removed" in wrong.text) == (400, True)
        assert not removed(desk)["lerato"]
        client.post("/technicians/remove", data={**removal, "name": "lerato"})
    assert removed(desk)["lerato"]
    told = [(one.who, one.did, one.about) for one in entries(desk.workshop.hub.database)][:2]
    assert told == [
        ("Oskar", "took a technician off the kits", "lerato"),
        ("Oskar", "gave the kits a technician (owner)", "lerato"),
    ]


def removed(desk: Desk) -> dict[str, bool]:
    return {one.name: bool(one.removed) for one in kit_technicians(desk.workshop.hub)}


@pytest.mark.timeout(400)
def test_an_owner_adds_a_technician_by_keyboard_alone(shop: Shop, chromium: Browser) -> None:
    owner = member(shop.people, "Otto", "owner")
    with looking(chromium, shop, owner.name) as window:
        window.open("/technicians")
        window.page.get_by_label("Name on the kits").focus()
        keys = window.page.keyboard
        keys.type("nomsa")
        for text in ("", PASSPHRASE, PASSPHRASE):
            keys.press("Tab")
            keys.type(text)
        keys.press("Enter")
        row = window.page.get_by_role("row", name="nomsa")
        expect(row).to_contain_text("technician")
        window.picture("technicians")
        row.locator("summary").click()
        row.get_by_label("To take them off every kit, type: nomsa").fill("nomsa")
        keys.press("Enter")
        expect(row.locator("summary")).to_have_count(0)
    (nomsa,) = [one for one in kit_technicians(shop.hub) if one.name == "nomsa"]
    assert nomsa.removed > 0
